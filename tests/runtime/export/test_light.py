"""The shipped model by ONNX Runtime alone: the same answers, in a process in which PyTorch cannot be imported."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import av
import httpx
import numpy as np
import pytest

import emofuse
from emofuse.errors import CheckpointError, EmofuseError
from emofuse.model.folder import locate
from emofuse.model.model import EmotionModel
from emofuse.pipeline.analysis import Analysis
from emofuse.runtime.export.beside import LEAST, checkpoint_arrays, small_hash
from emofuse.runtime.export.write import export

TOLERANCE = 1e-4
LARGEST = 1.5e6
"""Bytes of all graphs of the shipped model, weights being beside them."""
BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "scipy", "soundfile"):
            raise ImportError(f"{name} is not to be imported")

sys.meta_path.insert(0, Blocker())
sys.argv = ["emofuse", *sys.argv[1:]]
from emofuse.cli import main

main()
"""
"""The command line where neither PyTorch nor what comes with it is installed."""

pytestmark = [pytest.mark.checkpoint, pytest.mark.slow]


@pytest.fixture(scope="module")
def whole() -> emofuse.Pipeline:
    return emofuse.load(backend="torch", device="cpu", precision="float32")


@pytest.fixture(scope="module")
def light() -> emofuse.Pipeline:
    return emofuse.load(backend="onnx")


def numbers(value: object, path: str = "") -> dict[str, object]:
    """Every leaf of an analysis's JSON by its place."""
    if isinstance(value, dict):
        return {k: v for key, each in value.items() for k, v in numbers(each, f"{path}.{key}").items()}
    if isinstance(value, (list, tuple)):
        return {k: v for i, each in enumerate(value) for k, v in numbers(each, f"{path}.{i}").items()}
    return {path: value}


def assert_same(one: dict, other: dict) -> None:
    """Numbers within TOLERANCE, all else equal, and nothing in one that is not in the other."""
    left, right = numbers(one), numbers(other)
    assert left.keys() == right.keys()
    for path, value in left.items():
        expected = pytest.approx(right[path], abs=TOLERANCE) if isinstance(value, float) else right[path]
        assert value == expected, path


def assert_parity(one: Analysis, other: Analysis) -> None:
    """Of all that is answered, embeddings included."""
    assert_same(one.to_dict(), other.to_dict())
    assert len(one) > 0
    for p, q in zip(one, other, strict=True):
        np.testing.assert_allclose(p.embedding, q.embedding, atol=TOLERANCE)
        assert p.unfamiliarity == pytest.approx(q.unfamiliarity, abs=0.011)  # a percentile may fall on its edge


@pytest.fixture(scope="module")
def sample(repository: Path) -> Path:
    return repository / "demo" / "samples" / "sample.mp4"


@pytest.fixture(scope="module")
def sound(sample: Path) -> tuple[int, np.ndarray]:
    with av.open(str(sample)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    return rate, np.concatenate(frames, axis=1).mean(0).astype(np.float32)


@pytest.fixture(scope="module")
def picture(sample: Path) -> np.ndarray:
    with av.open(str(sample)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def test_the_sample_clip(whole, light, sample):
    one, other = (model(sample, transcript=sample.with_suffix(".srt")) for model in (light, whole))
    assert_parity(one, other)
    assert one.overall.by_modality.keys() == {"text", "speech", "face"}


@pytest.mark.parametrize(
    "text", ["I can't believe it!", "No.", "太好了！", "Das ist ja furchtbar. Ich habe Angst. " * 12]
)
def test_texts(whole, light, text):
    assert_parity(light(text=text), whole(text=text))


def test_one_modality_alone_and_two(whole, light, sound, picture):
    for inputs in ({"audio": sound}, {"image": picture}, {"audio": sound, "image": picture}):
        assert_parity(light(**inputs), whole(**inputs))
    assert_parity(light(image=picture, text="Look at me"), whole(image=picture, text="Look at me"))


def test_a_long_clip_of_which_parts_lack_words(whole, light, sound):
    rate, once = sound
    inputs = {"audio": (rate, np.tile(once, 8)), "transcript": "1\n00:00:01,000 --> 00:00:04,000\nSo happy!\n"}
    assert_parity(light(**inputs), whole(**inputs))


def test_rows_of_different_modalities_in_one_batch(whole, light, make_segment):
    segments = [make_segment(s).without(*gone) for s, gone in enumerate(((), ("text",), ("face", "speech"), ("face",)))]
    (one, present), (other, expected) = (m.model.answer([m.model.prepare(s) for s in segments]) for m in (light, whole))
    assert present.tolist() == expected.tolist() == [7, 6, 1, 3]
    for task, values in other.tasks.items():
        np.testing.assert_allclose(one.tasks[task], values, atol=TOLERANCE)
    for modality, tasks in other.by_modality.items():
        for task, values in tasks.items():
            np.testing.assert_allclose(one.by_modality[modality][task], values, atol=TOLERANCE)


def test_what_the_configuration_says_is_said_by_both(whole, light):
    for name in ("context_turns", "future_turns", "tasks", "modalities", "conformal"):
        assert getattr(light.model, name) == getattr(whole.model, name)
    for mask in range(1, 8):
        for task in light.model.tasks:
            assert light.model.supports(task.name, mask) == whole.model.supports(task.name, mask)
    for text in ("So happy!", "Καλημέρα σε όλους"):
        words = whole(text=text).transcript
        assert light.model.encoder("text").foreign(words) == whole.model.encoder("text").foreign(words)


def test_the_shipped_graphs_are_small_and_what_an_export_writes(tmp_path):
    folder = locate("emofuse-small")
    files = sorted((folder / "onnx").iterdir())
    assert sum(path.stat().st_size for path in files) < LARGEST
    model = EmotionModel.from_pretrained(folder, lean=True)  # as `emofuse export` reads it
    again = export(model, tmp_path / "again", "onnx", beside=True, source=folder) / "onnx"
    assert [path.name for path in files] == sorted(path.name for path in again.iterdir())
    for path in files:
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_graphs_of_other_weights_are_refused(tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = shutil.copytree(locate("emofuse-small"), tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    name = "heads.emotion.temperature.text"
    save_file(tensors | {name: np.asarray(tensors[name] * 2)}, folder / "model.safetensors")
    assert tensors[name].size < LEAST
    assert small_hash(checkpoint_arrays(folder)) != small_hash(checkpoint_arrays(locate("emofuse-small")))
    with pytest.raises(CheckpointError, match="are of other weights than those beside them"):
        emofuse.load(folder, backend="onnx")
    (folder / "onnx" / "text.onnx").write_bytes(b"no graph")
    shutil.copy(locate("emofuse-small") / "model.safetensors", folder)
    with pytest.raises(CheckpointError, match="cannot be read"):
        emofuse.load(folder, backend="onnx")


def test_a_saved_pipeline_takes_its_graphs_along(light, tmp_path):
    folder = light.save_pretrained(tmp_path / "mine")
    assert emofuse.load(folder, backend="onnx")(text="So happy!").top == light(text="So happy!").top


def test_what_graphs_cannot_do_is_refused(light):
    with pytest.raises(EmofuseError, match="explain with the torch model"):
        next(light.explain(text="So happy!"))
    with pytest.raises(EmofuseError, match="computes on the cpu here, not on 'cuda'"):
        emofuse.load(backend="onnx", device="cuda")
    with pytest.raises(EmofuseError, match="have the precision they were exported in, not 'int8'"):
        emofuse.load(backend="onnx", precision="int8")
    with pytest.raises(EmofuseError, match="no backend 'tensorrt'; valid: auto, torch, onnx, openvino"):
        emofuse.load(backend="tensorrt")  # type: ignore[arg-type]


def without_torch(*arguments: str | Path) -> list[str]:
    """The command line in a process that cannot import PyTorch."""
    return [sys.executable, "-W", "error", "-c", BLOCKED, *map(str, arguments)]


def blocked(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What such a process ended with."""
    return subprocess.run(without_torch(*arguments), capture_output=True, text=True, timeout=300)


def test_the_command_predicts_where_torch_cannot_be_imported(whole, sample):
    done = blocked("predict", sample, "--transcript", sample.with_suffix(".srt"), "--json", "-")
    assert done.returncode == 0, done.stderr
    assert_same(
        json.loads(done.stdout), json.loads(whole(sample, transcript=sample.with_suffix(".srt")).to_text(".json"))
    )


def test_jobs_run_where_torch_cannot_be_imported(tmp_path):
    (tmp_path / "posts.csv").write_text("id,text\na,I am so happy!\nb,This is terrible.\n")
    done = blocked("batch", tmp_path / "posts.csv", "--out", tmp_path / "out", "--workers", "0", "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "clips.csv").read_text().count("\n") == 3


def test_the_service_answers_where_torch_cannot_be_imported(whole):
    command = without_torch("serve", "--no-demo", "--port", "0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            told = process.stdout.readline()
            address = re.search(r"http://[\d.]+:\d+", told)
            assert address is not None, told + process.stderr.read()
            answer = httpx.post(f"{address[0]}/v1/analyze", json={"text": "I am so happy!"}, timeout=120)
        finally:
            process.terminate()
            process.communicate(timeout=60)
    assert answer.status_code == 200, answer.text
    emotions = answer.json()["overall"]["emotions"]
    assert emotions == pytest.approx(whole(text="I am so happy!").overall.emotions, abs=TOLERANCE)


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("explain", "--text", "So happy!"), "torch"),
        (("evaluate", "emofuse-small", "--corpus", "manifest", "--root", "."), "torch"),
        (("compare", "emofuse-small", "emofuse-small", "--corpus", "manifest", "--root", "."), "torch"),
        (("keywords", "rows.csv", "--text-column", "text", "--of", "joy"), "keywords"),
        (("contrast", "rows.csv", "rows.csv"), "keywords"),
        (("data", "suggest", "rows.csv", "out.csv", "-n", "1"), "torch"),
        (("export", "emofuse-small", "out"), "export"),
        (("predict", "--text", "So happy!", "--device", "cuda"), "torch"),
    ],
)
def test_what_needs_torch_names_its_extra(arguments, extra, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("id,text,split,speaker\na,I am so happy!,train,x\n")
    done = blocked(*arguments)
    assert done.returncode == 2, done.stderr
    assert f"pip install 'emofuse[{extra}]'" in done.stderr
