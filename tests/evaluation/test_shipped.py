"""What the shipped model promises, measured on dev data that no part of it is fitted on within the test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.batch import collate
from emofuse.data.examples import read_examples
from emofuse.evaluation.audit import calibration_of, conformal_of
from emofuse.evaluation.predict import GIVEN, predict_examples
from emofuse.explain.attribution import integrated_gradients
from emofuse.explain.faithfulness import SHARES, deletion_curve, randomised, similarity
from emofuse.explain.shapley import shapley, task_of
from emofuse.media.transcript import spread
from emofuse.model.checkpoint import load, locate
from emofuse.types import Segment

SAID = (
    "I am so happy that you came, this is wonderful!",
    "I hate you, and this makes me furious.",
    "She died last night and I cannot stop crying.",
)


@pytest.fixture(scope="module")
def shipped(repository: Path) -> Any:
    """The model that comes with the project."""
    if not (repository / "checkpoints" / "emofuse-small" / "config.json").is_file():
        pytest.skip("checkpoints/emofuse-small is not there")
    return load(locate("emofuse-small")).eval()


def said(text: str) -> Segment:
    return Segment("said", 0.0, 3.0, words=spread(text, 0.0, 3.0))


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


def test_the_words_that_rank_highest_carry_the_answer(shipped):
    task, other, rng = task_of(shipped, "emotion"), randomised(shipped), np.random.default_rng(0)
    top, random, like = [], [], []
    for text in SAID:
        batch = collate([shipped.prepare(said(text))])
        target = int(shipped.predict(batch).tasks["emotion"][0].argmax())
        shares = shapley(shipped, batch, task, target)
        assert sum(shares.values.values()) == pytest.approx(shares.full - shares.none, abs=1e-5)
        found = integrated_gradients(shipped, batch, task, target, steps=24)
        top.append(deletion_curve(shipped, batch, task, target, found))
        seeds = rng.integers(0, 1000, 5).tolist()
        random += [deletion_curve(shipped, batch, task, target, found, order="random", seed=s) for s in seeds]
        like.append(similarity(found, integrated_gradients(other, batch, task, target, steps=8)))
    early = len(SHARES) // 2
    assert np.mean([curve[1:early] for curve in top]) < np.mean([curve[1:early] for curve in random])
    assert abs(np.mean(like)) < 0.6
