"""Few labels: the sure rows are labelled, the unsure ones are asked about, and what is labelled stays as it is."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from emofuse.corpora.registry import read
from emofuse.errors import DataError
from emofuse.training.few_labels import bald, dropout_on, entropy, margin, pseudo_label, suggest

TEXTS = ("i am so happy!", "this is not great", "sad", "terrible", "so so happy", "this is great", "great", "not sad")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Eight unlabelled train rows, one labelled, and two dev rows of which one is not labelled."""
    path = tmp_path / "all.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "speaker", "split", "emotion"])
        writer.writerows([f"r{i}", text, f"s{i}", "train", ""] for i, text in enumerate(TEXTS))
        writer.writerow(["known", "i am sad", "s20", "train", "sadness"])
        writer.writerow(["d1", "great", "s21", "dev", "joy"])
        writer.writerow(["d2", "terrible", "s22", "dev", ""])
    return path


def labels(path: Path) -> dict[str, object]:
    return {u.id: u.labels.get("emotion") for u in read("manifest", path).utterances}


def test_only_sure_train_rows_are_labelled(tiny_model, manifest: Path, tmp_path: Path):
    loose = pseudo_label(tiny_model, manifest, tmp_path / "loose.csv", threshold=0.01)
    assert sum(loose.taken.values()) == len(TEXTS)
    assert (loose.given, loose.left) == (3, 0)
    found = labels(loose.manifest)
    assert found["known"] == "sadness"
    assert found["d1"] == "joy"
    assert found["d2"] is None
    assert all(found[f"r{i}"] for i in range(len(TEXTS)))
    with torch.no_grad():
        strict = pseudo_label(tiny_model, manifest, tmp_path / "strict.csv", threshold=1.0)
    assert (strict.taken, strict.left) == ({}, len(TEXTS))
    assert set(labels(strict.manifest)) == {"known", "d1", "d2"}


def test_most_bounds_each_class_and_soft_keeps_the_distribution(tiny_model, manifest: Path, tmp_path: Path):
    found = pseudo_label(tiny_model, manifest, tmp_path / "out.csv", threshold=0.01, most=1, soft=True)
    assert set(found.taken.values()) == {1}
    soft = [v for k, v in labels(found.manifest).items() if k.startswith("r")]
    assert len(soft) == len(found.taken)
    assert all(sum(v.values()) == pytest.approx(1, abs=1e-3) for v in soft)


@pytest.mark.parametrize("by", ["entropy", "margin", "bald"])
def test_the_rows_that_teach_most_come_first(tiny_model, manifest: Path, tmp_path: Path, by: str):
    found = suggest(tiny_model, manifest, tmp_path / "ask.csv", by=by, n=3, passes=4)
    everything = suggest(tiny_model, manifest, tmp_path / "all-asked.csv", by=by, n=99, passes=4)
    scores = [s.score for s in everything]
    assert scores == sorted(scores, reverse=True)
    assert len(everything) == len(TEXTS)
    assert [s.utterance.id for s in found] == [s.utterance.id for s in everything[:3]]
    asked = labels(tmp_path / "ask.csv")
    assert list(asked) == [s.utterance.id for s in found]
    assert set(asked.values()) == {None}
    assert not any(m.training for m in tiny_model.modules())
    if by == "bald":
        assert scores[0] > 0


def test_measures_of_doubt():
    p = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1 / 3] * 3])
    np.testing.assert_allclose(entropy(p), [0, np.log(2), np.log(3)], atol=1e-9)
    np.testing.assert_allclose(margin(p), [0, 1, 1])
    agreeing = np.stack([p, p])
    np.testing.assert_allclose(bald(agreeing), 0, atol=1e-12)
    disagreeing = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    np.testing.assert_allclose(bald(disagreeing), np.log(2))


def test_dropout_draws_and_leaves_no_trace(tiny_model, make_segment):
    from emofuse.batch import collate

    batch = collate([tiny_model.prepare(make_segment(0))])
    before = torch.random.get_rng_state()
    with dropout_on(tiny_model, 0):
        one, two = (tiny_model.predict(batch).tasks["emotion"] for _ in range(2))
    assert not np.array_equal(one, two)
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(
        tiny_model.predict(batch).tasks["emotion"], tiny_model.predict(batch).tasks["emotion"]
    )


def test_wrong_requests_are_errors(tiny_model, manifest: Path, tmp_path: Path):
    with pytest.raises(DataError, match="entropy"):
        suggest(tiny_model, manifest, tmp_path / "a.csv", by="entropi")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="intensity"):
        pseudo_label(tiny_model, manifest, tmp_path / "a.csv", task="intensity")
    with pytest.raises(DataError, match="threshold"):
        pseudo_label(tiny_model, manifest, tmp_path / "a.csv", threshold=1.5)
    full = pseudo_label(tiny_model, manifest, tmp_path / "full.csv", threshold=0.01).manifest
    with pytest.raises(DataError, match="every train row"):
        suggest(tiny_model, full, tmp_path / "a.csv")
