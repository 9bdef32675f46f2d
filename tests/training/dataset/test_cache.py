"""The cache on disk: what comes out is what went in, or nothing; it stays in its bounds, with two processes at it."""

from __future__ import annotations

import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emofuse.batch import collate
from emofuse.data.load import load_segment
from emofuse.media.faces.track import FaceOptions
from emofuse.training.dataset import cache as module
from emofuse.training.dataset.cache import DiskCache, InputCache, SegmentCache, digest, encode
from emofuse.training.objective.objective import run
from emofuse.types import Utterance


def entry(value: int, size: int = 1000) -> dict[str, np.ndarray]:
    return {"a": np.full(size, value, np.uint8), "b": np.array(value)}


def test_arrays_come_back_as_they_were(tmp_path: Path):
    disk = DiskCache(tmp_path, 1 << 20)
    arrays = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "mask": np.array([True, False])}
    assert disk.get(digest("a")) is None
    disk.put(digest("a"), arrays)
    disk.put(digest("b"), {})
    found = DiskCache(tmp_path, 1 << 20).get(digest("a"))
    assert found is not None
    for name, value in arrays.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].dtype == value.dtype
    assert disk.get(digest("b")) == {}


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_a_damaged_entry_is_a_miss_and_goes(tmp_path: Path, damage: str):
    disk = DiskCache(tmp_path, 1 << 20)
    disk.put(digest("a"), entry(7))
    path = next(tmp_path.glob("*/*.npz"))
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes({"cut": bytes(data[:300]), "flip": bytes(data), "empty": b"", "text": b"no npz"}[damage])
    assert disk.get(digest("a")) is None
    assert not path.exists()


def test_the_least_recently_used_leave(tmp_path: Path):
    disk = DiskCache(tmp_path, 12_000)
    for number in range(4):
        disk.put(digest(str(number)), entry(number))
        os.utime(next(tmp_path.glob(f"*/{digest(str(number))}.npz")), ns=(number, number))
    assert disk.get(digest("0")) is not None
    for number in range(4, 14):
        disk.put(digest(str(number)), entry(number))
        disk.get(digest("0"))
    held = sum(p.stat().st_size for p in tmp_path.glob("*/*.npz"))
    assert held <= 12_000 * (1 + 1 / 16) + 2000
    assert disk.get(digest("0")) is not None
    assert disk.get(digest("1")) is None


def write_and_read(folder: str, seed: int) -> int:
    """Another process: 200 puts and gets of the same 10 keys; returns how many hits held what their key says."""
    disk, rng, hits = DiskCache(folder, 40_000), np.random.default_rng(seed), 0
    for _ in range(200):
        number = int(rng.integers(10))
        found = disk.get(digest(str(number)))
        if found is None:
            disk.put(digest(str(number)), entry(number, 3000))
        else:
            assert (found["a"] == number).all()
            assert len(found["a"]) == 3000
            hits += 1
    return hits


def test_two_processes_write_at_once(tmp_path: Path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        hits = pool.starmap(write_and_read, [(str(tmp_path), 0), (str(tmp_path), 1)])
    assert min(hits) > 50
    assert not list(tmp_path.rglob("*.partial"))
    assert sum(p.stat().st_size for p in tmp_path.glob("*/*.npz")) < 2 * 40_000


def test_a_full_disk_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    disk = DiskCache(tmp_path, 1 << 20)
    monkeypatch.setattr(module.np, "savez", full)
    with pytest.warns(RuntimeWarning, match="No space left"):
        disk.put(digest("a"), entry(1))
    disk.put(digest("b"), entry(1))
    assert disk.get(digest("a")) is None
    assert not list(tmp_path.rglob("*.partial"))


@pytest.fixture
def utterance(tiny_corpus: Path) -> Utterance:
    media = tiny_corpus / "0.wav"
    return Utterance("u", "manifest", "train", "a", media=media, text="i am so happy!", context=("A: sad",))


def test_frozen_tokens_fuse_to_the_same_outputs(utterance: Utterance, tiny_model, tmp_path: Path):
    frozen = frozenset(tiny_model.modalities)
    store = InputCache(DiskCache(tmp_path, 1 << 22), tiny_model, frozen)
    sample = tiny_model.prepare(load_segment(utterance))
    tokens = {m: store.inputs(m, utterance, lambda: load_segment(utterance)) for m in tiny_model.modalities}
    assert set(tokens["text"]) == {"states", "mask", "times"}
    assert tokens["face"] is None
    with torch.no_grad():
        expected = tiny_model(collate([sample]))
        found = run(tiny_model, collate([replace(sample, inputs=tokens)]), bf16=False)
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.by_modality, expected.by_modality, atol=1e-5, rtol=1e-4)


def test_tokens_and_inputs_mix_across_modalities(utterance: Utterance, tiny_model, tmp_path: Path):
    store = InputCache(DiskCache(tmp_path, 1 << 22), tiny_model, {"text"})
    sample = tiny_model.prepare(load_segment(utterance))
    inputs = sample.inputs | {"text": store.inputs("text", utterance, lambda: load_segment(utterance))}
    batch = collate([replace(sample, inputs=inputs), replace(sample, inputs=inputs | {"speech": None})])
    assert list(encode(tiny_model, batch)) == ["text", "speech"]


def test_any_change_of_what_counts_is_a_miss(utterance: Utterance, tiny_model, tmp_path: Path):
    loads = 0

    def load():
        nonlocal loads
        loads += 1
        return load_segment(utterance)

    def ask(asked: Utterance) -> int:
        before = loads
        InputCache(DiskCache(tmp_path, 1 << 22), tiny_model, {"speech"}).inputs("speech", asked, load)
        return loads - before

    assert ask(utterance) == 1
    assert ask(utterance) == 0
    assert ask(replace(utterance, id="another", split="dev")) == 0
    assert ask(replace(utterance, speaker="b")) == 1  # a dialogue's words are read with who says them
    assert ask(replace(utterance, text="sad")) == 1
    assert ask(replace(utterance, end=0.1)) == 1
    with torch.no_grad():
        next(tiny_model.encoders["speech"].parameters()).add_(1e-3)
    assert ask(utterance) == 1


def test_media_count_by_content(utterance: Utterance, tmp_path: Path):
    assert utterance.media is not None
    copy = tmp_path / "copy.wav"
    copy.write_bytes(utterance.media.read_bytes())
    assert module.source_of(utterance) == module.source_of(replace(utterance, media=copy))
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    os.utime(copy, ns=(1, 1))
    assert module.source_of(utterance) != module.source_of(replace(utterance, media=copy))


def test_decoded_segments_come_back(
    utterance: Utterance, make_segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    decoded = make_segment(3)
    (track,) = decoded.faces
    decoded = replace(decoded, faces=(replace(track, seconds=1.5, talk=0.25), replace(track, person=1)))
    monkeypatch.setattr(module, "load_segment", lambda u, faces: decoded)
    assert SegmentCache(DiskCache(tmp_path, 1 << 24), lambda u: True)(utterance) is decoded
    monkeypatch.setattr(module, "load_segment", lambda u, faces: pytest.fail("decoded again"))
    found = SegmentCache(DiskCache(tmp_path, 1 << 24), lambda u: True)(utterance)
    np.testing.assert_array_equal(found.waveform, decoded.waveform)
    for part in module.TRACK:
        np.testing.assert_array_equal(getattr(found.faces[0], part), getattr(decoded.faces[0], part))
    assert [(t.person, t.seconds, t.talk) for t in found.faces] == [(0, 1.5, 0.25), (1, 0.0, None)]
    with pytest.raises(pytest.fail.Exception, match="decoded again"):
        SegmentCache(DiskCache(tmp_path, 1 << 24), lambda u: True, FaceOptions(view="frames"))(utterance)
    assert (found.start, found.end, found.context) == (decoded.start, decoded.end, utterance.context)
    assert " ".join(w.text for w in found.words or ()) == utterance.text


GOLDEN = Path(__file__).with_name("preprocessing.json")
"""Outlines of what the sample clip becomes, and the version they belong to; EMOFUSE_WRITE_GOLDEN=1 writes it."""


def outline(values: np.ndarray) -> list[float]:
    """Shape, mean, deviation and nine values along an array: what any change of preprocessing moves."""
    flat = np.asarray(values, np.float64).ravel()
    along = flat[np.linspace(0, flat.size - 1, 9).astype(int)] if flat.size else flat
    return [*map(float, np.shape(values)), *(round(float(v), 5) for v in (flat.mean(), flat.std(), *along))]


def test_other_values_need_another_version_of_preprocessing(tiny_model, repository: Path):
    clip = repository / "demo" / "samples" / "sample.mp4"
    segment = load_segment(Utterance("u", "manifest", "train", "a", media=clip, text="I have never been so happy!"))
    inputs = tiny_model.prepare(segment).inputs
    arrays = module._packed(segment) | {f"{m}.{name}": v for m in sorted(inputs) for name, v in inputs[m].items()}
    found = {name: outline(value) for name, value in sorted(arrays.items())}
    if os.environ.get("EMOFUSE_WRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps({"version": module.PREPROCESSING, "arrays": found}, indent=1) + "\n")
    golden = json.loads(GOLDEN.read_text())
    advice = "raise PREPROCESSING and write the file anew with EMOFUSE_WRITE_GOLDEN=1"
    assert golden["version"] == module.PREPROCESSING, advice
    assert found.keys() == golden["arrays"].keys(), advice
    for name, values in found.items():
        np.testing.assert_allclose(values, golden["arrays"][name], rtol=1e-3, atol=2e-3, err_msg=f"{name}: {advice}")
