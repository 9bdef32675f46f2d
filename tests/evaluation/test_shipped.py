"""What the shipped model promises, measured on dev data that no part of it is fitted on within the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.data.examples import read_examples
from emofuse.evaluation.audit import calibration_of, conformal_of
from emofuse.evaluation.predict import GIVEN, predict_examples
from emofuse.explain.shapley import task_of


@pytest.mark.slow
@pytest.mark.parametrize(("corpus", "limit"), [("goemotions", 600), ("ferplus", 400)])
def test_sets_cover_what_was_asked_on_the_other_half_of_dev(shipped, corpora_root: Path, corpus: str, limit: int):
    given = read_examples(corpus, corpora_root / corpus, "dev", shipped.tasks, limit=limit)
    found = predict_examples(shipped, given.examples, subsets=[], batch_size=64)
    task, rows = task_of(shipped, "emotion"), found.rows(GIVEN, "emotion")
    values, targets = found.values[GIVEN]["emotion"][rows], found.targets["emotion"][rows]
    right = float((values.argmax(1) == targets.argmax(1)).mean())
    for coverage in (0.8, 0.9):
        reached = conformal_of(values, targets, task, coverage)["lac"]
        least = max(coverage, right)  # no set lacks the leading emotion, which is right that often
        assert coverage - 0.02 <= reached["coverage"] <= least + 0.02
        assert 1 <= reached["size"] < 4
    after = calibration_of(found, task)[GIVEN]["after"]
    assert after["ece"] < after["ece_by_chance"] + 0.08
