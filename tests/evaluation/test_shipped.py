"""What the shipped model promises, measured on dev data that no part of it is fitted on within the test."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from emofuse.data.examples import read_examples
from emofuse.evaluation.audit import calibration_of, conformal_of
from emofuse.evaluation.predict import GIVEN, predict_examples
from emofuse.explain.shapley import task_of
from emofuse.tasks import EMOTIONS


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


@pytest.mark.checkpoint
def test_the_readme_draws_the_heads_that_the_model_has_learnt(repository: Path):
    """And none that it has not."""
    config = repository / "checkpoints" / "emofuse-small" / "config.json"
    learnt = [task["name"] for task in json.loads(config.read_text("utf-8"))["tasks"]]
    (drawn,) = re.findall(r"fusion transformer ─ (.*)", (repository / "README.md").read_text("utf-8"))
    assert drawn.split(" · ") == learnt


@pytest.mark.slow
def test_polarity_never_contradicts_a_sure_emotion_on_dev(shipped, corpora_root: Path):
    given = read_examples("meld", corpora_root / "meld", "dev", shipped.tasks, frozenset({"text"}), limit=200)
    found = predict_examples(shipped, given.examples, subsets=[], batch_size=64).values[GIVEN]
    emotion, polarity = found["emotion"], found["polarity"]
    assert not (emotion[:, EMOTIONS.index("joy")] > 0.8)[polarity[:, 0] > 0.8].any()
    sure = emotion[:, [EMOTIONS.index(e) for e in ("sadness", "anger", "fear", "disgust")]].max(axis=1) > 0.8
    assert not sure[polarity[:, 2] > 0.8].any()
