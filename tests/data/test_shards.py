"""Shards: what comes out is what went in, wherever they lie, and what is not whole is refused in words."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
import soundfile

from emofuse.corpora.registry import read
from emofuse.corpora.shards import INDEX
from emofuse.data.duplicates import without_duplicates
from emofuse.data.examples import read_examples
from emofuse.data.load import load_segment
from emofuse.data.shards import write_shards
from emofuse.errors import DataError, OutputError
from emofuse.tasks import TASKS

RATE = 16_000
SIZE = 100_000
"""Bytes: three sounds of a second fill a shard."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty sounds of a second, two parts of a longer one, and a turn of words alone."""
    folder = tmp_path_factory.mktemp("corpus")
    rng, rows = np.random.default_rng(0), ["id,media,start,end,text,speaker,split,emotion"]
    for i in range(20):
        soundfile.write(folder / f"{i}.wav", rng.uniform(-0.5, 0.5, RATE).astype(np.float32), RATE)
        split = "train" if i < 16 else "dev"
        rows.append(f"u{i},{i}.wav,,,words {i},{split}{i},{split},{('joy', 'fear')[i % 2]}")
    soundfile.write(folder / "long.wav", rng.uniform(-0.5, 0.5, 3 * RATE).astype(np.float32), RATE)
    rows += ["part1,long.wav,0.5,1.25,one part,trainlong,train,joy", "part2,long.wav,2,,another,trainlong,train,fear"]
    rows.append("words,,,,words\u2028alone,trainwords,train,joy")
    (folder / "all.csv").write_text("\n".join(rows) + "\n")
    return folder / "all.csv"


@pytest.fixture(scope="module")
def shards(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    write_shards(read("manifest", corpus).utterances, folder, SIZE)
    return folder


@pytest.fixture
def copied(shards: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shards, tmp_path / "copied"))


@pytest.fixture
def address(shards: Path) -> str:
    """The archives in fsspec's memory."""
    store = fsspec.filesystem("memory")
    for path in shards.glob("*.tar"):
        store.pipe(f"/shards/{path.name}", path.read_bytes())
    return "memory://shards"


def test_segments_targets_and_clusters_are_those_of_the_corpus(corpus, shards):
    ours, theirs = (
        {e.id: e for e in read_examples(name, root, ("train", "dev"), [TASKS["emotion"]]).examples}
        for name, root in (("shards", shards), ("manifest", corpus))
    )
    assert ours.keys() == theirs.keys() and len(ours) == 23
    for name, example in theirs.items():
        one, two = ours[name].load(), example.load()
        assert (ours[name].cluster, ours[name].groups) == (example.cluster, example.groups)
        assert np.array_equal(ours[name].targets["emotion"], example.targets["emotion"])
        assert [w.text for w in one.words or ()] == [w.text for w in two.words or ()]
        if two.waveform is None:
            assert one.waveform is None
        else:
            cut = name.startswith("part")  # to 16 bits
            assert np.allclose(one.waveform, two.waveform, rtol=0, atol=1 / 65_535 if cut else 0)


def test_archives_are_of_about_the_size_and_in_the_layout_of_webdataset(shards):
    header = json.loads((shards / INDEX).read_text("utf-8").splitlines()[0])
    assert len([name for name in header["shards"] if name.startswith("train")]) > 3
    for name, size in header["shards"].items():
        assert size == (shards / name).stat().st_size < SIZE + 60_000
        with tarfile.open(shards / name) as archive:
            for key in {member.split(".")[0] for member in archive.getnames()}:
                row = json.load(archive.extractfile(f"{key}.json"))
                if "media" in row:
                    told = row["media"]
                    assert (
                        archive.extractfile(told["name"]).read()
                        == (shards / name).read_bytes()[told["offset"] : told["offset"] + told["bytes"]]
                    )


def test_of_an_address_the_copies_never_pass_the_limit(shards, address, tmp_path):
    cache, limit = tmp_path / "cache", 3 * SIZE
    assert sum(p.stat().st_size for p in shards.glob("*.tar")) > 2 * limit
    reading = read("shards", shards, address=address, cache=str(cache), disk_gb=limit / 1e9)
    plain = {u.id: u for u in read("shards", shards).utterances}
    held = []
    for utterance in reading.utterances:
        segment = load_segment(utterance)
        held.append(sum(p.stat().st_size for p in cache.glob("*")))
        if segment.waveform is not None:
            assert np.array_equal(segment.waveform, load_segment(plain[utterance.id]).waveform)
    assert 0 < max(held) <= limit
    assert len(list(cache.glob("*.tar"))) < len(list(shards.glob("*.tar")))


def test_what_a_killed_fetch_left_makes_room(shards, address, tmp_path):
    cache, limit = tmp_path / "cache", 2 * SIZE
    cache.mkdir()
    (cache / "left.tar").write_bytes(bytes(limit))
    stored = read("shards", shards, address=address, cache=str(cache), disk_gb=limit / 1e9).utterances
    load_segment(next(u for u in stored if u.stored))
    assert not (cache / "left.tar").exists() and len(list(cache.glob("*.tar"))) == 1


def test_a_video_stands_once_for_all_utterances_of_it_and_a_picture_as_it_is(tmp_path):
    samples = Path(__file__).resolve().parents[2] / "demo" / "samples"
    for name in ("sample.mp4", "face.jpg"):
        shutil.copy(samples / name, tmp_path / name)
    rows = ["sample.mp4,0.2,0.9,train,joy", "sample.mp4,1,1.8,train,fear", "face.jpg,,,train,joy"]
    (tmp_path / "my.csv").write_text("\n".join(["media,start,end,split,emotion", *rows]) + "\n")
    theirs = read("manifest", tmp_path / "my.csv").utterances
    written = write_shards(theirs, tmp_path / "shards")
    with tarfile.open(tmp_path / "shards" / "train-00000.tar") as archive:
        assert sorted(Path(name).suffix for name in archive.getnames()) == [".jpg", ".json", ".json", ".json", ".mp4"]
    assert len(written.rows) == 3
    ours = {u.id: u for u in read("shards", tmp_path / "shards").utterances}
    for utterance in theirs:
        one, two = load_segment(ours[utterance.id]), load_segment(utterance)
        assert (one.start, one.end, len(one.faces)) == (two.start, two.end, len(two.faces))
        assert all(np.array_equal(a.crops, b.crops) for a, b in zip(one.faces, two.faces, strict=True))
        assert np.array_equal(one.waveform, two.waveform) if two.waveform is not None else one.waveform is None


def test_copies_of_a_sound_are_found_by_their_digest(shards):
    one, two = (read("shards", shards).utterances for _ in range(2))
    assert [u.id for u in without_duplicates(one, two)] == []
    assert without_duplicates(one, [u for u in two if u.id == "u3"]) == [u for u in one if u.id != "u3"]


def test_what_is_not_whole_is_refused_in_words(copied, tmp_path):
    first = sorted(copied.glob("train*.tar"))[0]
    whole = first.read_bytes()
    first.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"train-00000\.tar has \d+ bytes, not the \d+ of its index.*copy it again"):
        read("shards", copied)
    first.write_bytes(bytes(len(whole)))
    damaged = [u for u in read("shards", copied).utterances if u.stored and u.stored.shard.place == str(first)]
    with pytest.raises(DataError, match="is not what was written"):
        load_segment(damaged[0])
    first.unlink()
    with pytest.raises(DataError, match=r"no shard .*train-00000\.tar; copy it beside its index"):
        read("shards", copied)
    lines = (copied / INDEX).read_text("utf-8").split("\n")[:-1]  # U+2028 in a text ends no line
    (copied / INDEX).write_text("\n".join(lines[:-3]))
    with pytest.raises(DataError, match=r"holds \d+ of 23 rows: it was cut off"):
        read("shards", copied)
    (copied / INDEX).unlink()
    with pytest.raises(DataError, match="writing did not end; run emofuse data shards again"):
        read("shards", copied)


def test_an_address_that_has_nothing_or_something_else_is_refused_in_words(shards, address, tmp_path):
    def utterances(place: str, gigabytes: float = 1.0):
        cache = str(tmp_path / "cache")
        return [u for u in read("shards", shards, address=place, cache=cache, disk_gb=gigabytes).utterances if u.stored]

    with pytest.raises(DataError, match="cannot open memory://nowhere/"):
        load_segment(utterances("memory://nowhere")[0])
    chosen = utterances(address)[0]
    fsspec.filesystem("memory").pipe(chosen.stored.shard.place.removeprefix("memory:/"), b"cut off")
    with pytest.raises(DataError, match=r"has 7 bytes, not the \d+ of its index"):
        load_segment(chosen)
    with pytest.raises(DataError, match="raise disk_gb, or write smaller shards"):
        load_segment(utterances(address, 1e-6)[-1])
    assert not list((tmp_path / "cache").glob("*.tar"))


def test_a_folder_that_holds_shards_is_left_alone(corpus, shards):
    with pytest.raises(DataError, match="holds shards already"):
        write_shards(read("manifest", corpus).utterances, shards)
    with pytest.raises(DataError, match="in a shard already"):
        write_shards(read("shards", shards).utterances, shards / "again")
    with pytest.raises(OutputError, match="is a file; name a folder"):
        write_shards(read("manifest", corpus).utterances, corpus)
