"""Shards in this process: what one clip does to the whole is found to be that clip's."""

from __future__ import annotations

import errno
import importlib.util
import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest
import soundfile

import emofuse
from emofuse.batch_jobs.engine import Engine
from emofuse.batch_jobs.job import JobOptions
from emofuse.batch_jobs.run import open_job
from emofuse.errors import CheckpointError, DataError, EmofuseError, MediaError, MissingExtraError, OutputError
from emofuse.media.asr import find_recogniser
from emofuse.media.decode import read_audio
from emofuse.types import SAMPLE_RATE

needs_recogniser = pytest.mark.skipif(find_recogniser("auto") is None, reason="the extra asr is not installed")
TEXTS = ("I am so happy!", "this is not great", "sad")


@pytest.fixture
def job_of(model_folder, tmp_path):
    """Begins a job on rows of a table."""

    def call(name, rows, header="id,text,media", **more):
        table = tmp_path / f"{name}.csv"
        table.write_text("\n".join([header, *rows]))
        options = JobOptions(model=str(model_folder), device="cpu", batch_size=4, **more)
        return open_job(tmp_path / name, [str(table)], options)

    return call


def run(job):
    told = [0, 0, 0.0]

    def report(*counts):
        told[:] = [a + b for a, b in zip(told, counts, strict=True)]

    engine = Engine(job, readers=2)
    assert all(engine.run(shard, report) for shard in job.shards)
    return told


def poisoned(monkeypatch, word):
    """Predicting a batch that holds this word fails, as where memory runs out."""
    from emofuse.pipeline import many

    predict = many.predict_chunk

    def failing(model, chunk):
        if any(w.text == word for _, _, segment in chunk for w in segment.words or ()):
            raise RuntimeError("out of memory")
        return predict(model, chunk)

    monkeypatch.setattr(many, "predict_chunk", failing)


def test_who_brings_a_batch_down_is_set_aside_and_the_others_are_as_without_it(job_of, monkeypatch, rows_of):
    rows = [f"t{i},{TEXTS[i % 3]} {i}," for i in range(20)]
    without = job_of("without", [*rows[:9], "bad,,nowhere.mp4", *rows[9:]])
    run(without)
    poisoned(monkeypatch, "terrible")
    job = job_of("with", [*rows[:9], "bad,terrible,", *rows[9:]])
    assert run(job)[:2] == [21, 1]
    clips = {row["id"]: row for row in rows_of(job.folder, "clips").to_pylist()}
    assert clips["bad"]["error"] == "RuntimeError: out of memory" and clips["bad"]["attempts"] == 2
    assert sum(row["error"] is not None for row in clips.values()) == 1
    assert rows_of(job.folder, "segments").equals(rows_of(without.folder, "segments"))


def test_a_full_disk_ends_the_job_and_costs_no_attempt(job_of, monkeypatch, rows_of):
    import pyarrow.parquet as parquet

    job = job_of("full", ["a,so sad,", "b,so happy,"])

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(parquet, "write_table", full)
        with pytest.raises(OutputError, match="No space left on device"):
            run(job)
    assert not list(job.folder.rglob("part-*")) and not list(job.folder.rglob(".emofuse-*.parquet"))
    run(job)
    assert rows_of(job.folder, "clips")["attempts"].to_pylist() == [1, 1]


def test_addresses_are_fetched_and_named_in_errors(job_of, rows_of, sample: Path):
    store = fsspec.filesystem("memory")
    store.pipe("/fetch/a.mp4", sample.read_bytes())
    store.pipe("/fetch/a.srt", sample.with_suffix(".srt").read_bytes())
    store.pipe("/fetch/broken.mp4", b"these are not moving pictures" * 9)
    rows = ["a,memory://fetch/a.mp4,memory://fetch/a.srt", "b,memory://fetch/broken.mp4,", "c,memory://fetch/no.mp4,"]
    job = job_of("fetch", rows, "id,media,transcript")
    run(job)
    a, b, c = rows_of(job.folder, "clips").to_pylist()
    assert a["error"] is None and a["media"] == "memory://fetch/a.mp4" and "never been so happy!" in a["text"]
    assert "cannot read memory://fetch/broken.mp4: it is not media" in b["error"]
    assert "cannot read memory://fetch/no.mp4: FileNotFoundError" in c["error"]


def test_who_speaks_and_what_was_said_before_are_columns(job_of, rows_of, model_folder):
    job = job_of("talk", ['a,this is not great,Ann,"[""Ben: so happy"", ""Ben: so sad""]"'], "id,text,speaker,context")
    run(job)
    (row,) = rows_of(job.folder, "segments").to_pylist()
    pipeline = emofuse.load(str(model_folder), device="cpu")
    asked = {"text": "this is not great", "speaker": "Ann"}
    told = pipeline(**asked, context=["Ben: so happy", "Ben: so sad"]).overall.emotions
    assert row["speaker"] == "Ann" and row["emotions.joy"] == pytest.approx(told["joy"], abs=1e-6)
    assert told["joy"] != pytest.approx(pipeline(**asked).overall.emotions["joy"], abs=1e-6)


def test_a_call_has_a_speaker_a_channel_and_only_who_is_asked_for(job_of, rows_of, sample, tmp_path):
    sound = read_audio(sample)
    agent, customer = np.zeros((2, 8 * SAMPLE_RATE), np.float32)
    agent[SAMPLE_RATE : 3 * SAMPLE_RATE] = customer[4 * SAMPLE_RATE : 6 * SAMPLE_RATE] = sound[: 2 * SAMPLE_RATE]
    soundfile.write(tmp_path / "call.wav", np.stack([agent, customer], 1), SAMPLE_RATE)
    rows = [f"a,,{tmp_path / 'call.wav'}", "b,words alone,"]
    both = job_of("both", rows, channels=("agent", "customer"))
    run(both)
    assert [row["speaker"] for row in rows_of(both.folder, "segments").to_pylist()] == ["agent", "customer", None]
    asked = job_of("asked", rows, channels=("agent", "customer"), only=("customer",))
    run(asked)
    assert [row["speaker"] for row in rows_of(asked.folder, "segments").to_pylist()] == ["customer"]
    with pytest.raises(DataError, match="begun otherwise: only customer, now agent"):
        job_of("asked", rows, channels=("agent", "customer"), only=("agent",))
    with pytest.raises(MediaError, match="names 'a' twice"):
        JobOptions(channels=("a", "A"))


def test_another_model_is_not_worked_with(job_of, model_folder, tmp_path):
    job = job_of("other", ["a,so sad,"])
    changed = shutil.copytree(model_folder, tmp_path / "changed")
    (changed / "config.json").write_text((changed / "config.json").read_text() + "\n")
    with pytest.raises(DataError, match=r"was begun otherwise: model .*tiny \(.*now .*changed"):
        open_job(job.folder, [str(tmp_path / "other.csv")], JobOptions(str(changed), "cpu", batch_size=4))
    with pytest.raises(DataError, match="inputs of 1 items, now 2, or what is in them"):
        job_of("other", ["a,so sad,", "b,so sad,"])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"precision": "float8"}, "no precision 'float8'; valid: auto"),
        ({"precision": "int8", "device": "gpu"}, "cannot compute on 'gpu'; valid here: auto"),
        pytest.param({"asr": "nosuch"}, "the speech recogniser 'nosuch' cannot be loaded", marks=needs_recogniser),
        pytest.param({"asr": "auto", "language": "xx"}, "the language given is 'xx'", marks=needs_recogniser),
    ],
)
def test_options_that_nobody_can_work_with_begin_no_job(model_folder, tmp_path, wrong, told):
    (tmp_path / "t.csv").write_text("text\nsad\n")
    options = JobOptions(**{"model": str(model_folder), "device": "cpu"} | wrong)
    with pytest.raises(EmofuseError, match=told):
        open_job(tmp_path / "out", [str(tmp_path / "t.csv")], options)
    assert not (tmp_path / "out").exists()


def test_a_damaged_model_and_a_missing_package_begin_no_job(model_folder, tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("text\nsad\n")
    damaged = shutil.copytree(model_folder, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        open_job(tmp_path / "out", [str(tmp_path / "t.csv")], JobOptions(str(damaged), "cpu"))
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "sklearn" else found(name))
    with pytest.raises(MissingExtraError, match=r"emofuse\[speakers\]"):
        open_job(tmp_path / "out", [str(tmp_path / "t.csv")], JobOptions(str(model_folder), "cpu", speakers=2))
    assert not (tmp_path / "out").exists()
