"""The review queue: what the model abstains on, is unlike training, or fires an act, as a manifest to fill in."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emofuse.batch_jobs.job import JobOptions, begin
from emofuse.batch_jobs.plan import Item
from emofuse.batch_jobs.review import reasons_of, write_queue
from emofuse.batch_jobs.rows import clip_row, clip_table, segment_rows, segment_table
from emofuse.corpora.manifest.reader import Manifest, check_manifest
from emofuse.errors import DataError
from emofuse.model.conformal import ConformalScores
from emofuse.pipeline.conversation.acts import read_acts
from emofuse.pipeline.formats import as_row, from_row
from emofuse.tasks import EMOTIONS
from emofuse.types import Prediction

ACTS = """
acts:
  - {name: refund, do: escalate, when: {words: [refund]}}
"""


def said(emotion: str, sure: float, **more) -> Prediction:
    rest = (1 - sure) / 6
    emotions = {name: sure if name == emotion else rest for name in EMOTIONS}
    return Prediction(1.0, 2.0, None, frozenset({"text"}), emotions, **more)


@pytest.fixture
def conformal():
    """Sets at which only what is surer than nine in ten is one class."""
    probs = np.full((200, 7), 0.01 / 6)
    probs[:, 0] = 0.99
    truth = np.eye(7)[np.where(np.arange(200) % 5 == 0, 1, 0)]
    probs[np.arange(200) % 5 == 0] = [0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
    return {"text": {"emotion": ConformalScores.fit(probs, truth, classes=EMOTIONS)}}


def test_a_row_is_the_prediction_it_was_made_from():
    full = said(
        "joy", 0.7, polarity={"negative": 0.1, "neutral": 0.2, "positive": 0.7}, intensity=0.4, intensity_level="weak",
        valence=0.5, others={"goemotions28": {"love": 0.5}, "dominance": 0.1}, by_modality={"text": {"joy": 0.9}},
        derived={"polarity": ("polarity", "emotion")}, unfamiliarity={"text": 0.99}, unfamiliar={"text": "language"},
        speaker="ann", sets={"emotion": ("joy", "fear")},
    )  # fmt: skip
    row = as_row(None, full, "words") | {"arousal": None, "others.none": None}
    found = from_row(row)
    assert replace(found, emotions=None) == replace(full, emotions=None)
    assert found.emotions == full.emotions


def test_each_reason_is_told(conformal, tmp_path):
    sure, unsure = as_row(None, said("joy", 0.99), "a refund please"), as_row(None, said("joy", 0.2), "hm")
    strange = as_row(None, said("joy", 0.99, unfamiliar={"text": "language"}), "hm")
    (tmp_path / "acts.yaml").write_text(ACTS)
    acts = read_acts(tmp_path / "acts.yaml")
    assert reasons_of([sure, unsure, strange], conformal, 0.9, ()) == [(), ("abstained",), ("unfamiliar text",)]
    assert reasons_of([sure, unsure], conformal, 0.9, acts) == [("act refund",), ("abstained",)]
    kept = [sure | {"acts": [{"act": "refund", "do": "escalate"}]}]
    assert reasons_of(kept, conformal, 0.9) == reasons_of(kept, conformal, 0.9, acts) == [("act refund",)]
    assert reasons_of([unsure], {}, 0.9, ()) == [()], "a model without sets does not abstain"


@pytest.fixture
def job(tmp_path, tiny_pipeline, conformal, monkeypatch):
    """Four texts of two people; the second and the fourth are unlike training."""
    import emofuse.batch_jobs.review as review

    monkeypatch.setattr(review, "_conformal", lambda job: {})
    pipeline, folder = tiny_pipeline(), tmp_path / "out"
    texts = ["I am so happy!", "sad", "this is great", "=terrible"]
    items = [Item(f"t{i}", text=text, speaker=f"p{i % 2}") for i, text in enumerate(texts)]
    made = begin(folder, items, JobOptions(), "tiny", ["texts.csv"])
    shapes = [pipeline(text=item.text) for item in items]
    for number, shape in enumerate(shapes):
        if number % 2:
            shape.segments[:] = [replace(p, unfamiliar={"text": "language"}) for p in shape.segments]
    rows = [row for item, shape in zip(items, shapes, strict=True) for row in segment_rows(item, shape, False)]
    clips = [clip_row(item, shape, 1) for item, shape in zip(items, shapes, strict=True)]
    import pyarrow.parquet as parquet

    parquet.write_table(segment_table(rows, pipeline.model), made.part("segments", 0))
    parquet.write_table(clip_table(clips, pipeline.model, {}), made.part("clips", 0))
    return folder


def test_the_queue_is_a_manifest_to_fill_in(job: Path, tmp_path: Path):
    found = write_queue(job, tmp_path / "review.csv")
    assert (found.rows, found.looked_at, found.why) == (2, 4, {"unfamiliar text": 2})
    with (tmp_path / "review.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {r["id"] for r in rows} == {"t1#0", "t3#0"} and {r["emotion"] for r in rows} == {""}
    assert all(r["why"] == "unfamiliar text" and r["guess"] in EMOTIONS and r["speaker"] == "p1" for r in rows)
    table = [dict(r, emotion="sadness") for r in rows]
    with (tmp_path / "review.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(table)
    assert check_manifest(tmp_path / "review.csv", ignore=["guess", "why"]) == []
    labels = [u.labels["emotion"] for u in Manifest().read(tmp_path / "review.csv").utterances]
    assert labels == ["sadness", "sadness"]
    assert {u.text for u in Manifest().read(tmp_path / "review.csv").utterances} == {"sad", "=terrible"}


def test_the_least_sure_come_first_and_so_many_are_kept(job: Path, tmp_path: Path):
    both = write_queue(job, tmp_path / "all.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    one = write_queue(job, tmp_path / "one.jsonl", most=1)
    assert (both.rows, one.rows) == (2, 1)
    assert json.loads((tmp_path / "one.jsonl").read_text())["id"] == lines[0]["id"]


def test_a_folder_without_a_job_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"there is no job\.json"):
        write_queue(tmp_path, tmp_path / "review.csv")
