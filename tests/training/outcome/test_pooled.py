"""Folds as one result: pooled figures are those of all samples at once."""

from __future__ import annotations

import json

import numpy as np
import pytest

from emofuse.errors import DataError
from emofuse.evaluation.evaluate import Evaluation, evaluate
from emofuse.training.outcome.pooled import pool, write


@pytest.fixture
def runs(tiny_model, samples) -> dict[str, Evaluation]:
    """Three folds of one model."""
    parts = {f"fold-{n + 1}-of-3": samples[8 * n : 8 * n + 8] for n in range(3)}
    return {label: evaluate(tiny_model, part, resamples=20) for label, part in parts.items()}


def test_pooled_folds_are_all_samples_at_once(runs, tiny_model, samples, tmp_path):
    whole = evaluate(tiny_model, samples, resamples=20).tasks["emotion"]
    found = pool(runs, "manifest", "test", resamples=20)
    task = found["tasks"]["emotion"]
    assert found["folds"] == ["1/3", "2/3", "3/3"] and found["seeds"] is None
    assert task["n"] == whole.report["n"] and task["confusion"] == whole.report["confusion"]
    for metric, band in task["pooled"].items():
        assert band["estimate"] == pytest.approx(whole.report[metric])
        assert band["low"] <= band["estimate"] <= band["high"]
        each = [e.tasks["emotion"].report[metric] for e in runs.values()]
        assert list(task["by_fold"].values())[1][metric] == pytest.approx(each[1])
        assert task["over_folds"][metric]["mean"] == pytest.approx(np.mean(each))
        assert task["over_folds"][metric]["std"] == pytest.approx(np.std(each, ddof=1))
    path = write(found, tmp_path)
    assert path.name == "folds-test.md"
    assert json.loads((tmp_path / "folds-test.json").read_text()) == json.loads(json.dumps(found))
    text = path.read_text()
    assert "| pooled (95 % interval) |" in text and "| mean ± deviation over folds |" in text and "| 2/3 |" in text


def test_seeds_of_folds_are_averaged_and_their_confusion_added(runs):
    seeded = {f"{label}/seed-{seed}": found for label, found in runs.items() for seed in (0, 7)}
    found, single = pool(seeded, "manifest", "dev", resamples=20), pool(runs, "manifest", "dev", resamples=20)
    one, two = single["tasks"]["emotion"], found["tasks"]["emotion"]
    assert found["seeds"] == ["0", "7"] and two["n"] == one["n"]
    assert two["pooled"]["uar"]["estimate"] == pytest.approx(one["pooled"]["uar"]["estimate"])
    assert two["confusion"] == (2 * np.array(one["confusion"])).tolist()


def test_folds_that_share_a_sample_are_not_pooled(runs):
    with pytest.raises(DataError, match="two folds hold the same sample"):
        pool(runs | {"fold-4": runs["fold-1-of-3"]}, "manifest", "test")
    with pytest.raises(DataError, match="not measured on the same samples"):
        seeds = {"fold-1/seed-0": runs["fold-1-of-3"], "fold-1/seed-1": runs["fold-2-of-3"]}
        pool(seeds, "manifest", "test")
