"""Prediction sets against the coverage they promise."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from emofuse.calibration.temperature import softmax
from emofuse.errors import CheckpointError, DataError
from emofuse.model.conformal import Conformal, ConformalScores, ConformalWarning, load_conformal, save_conformal

CLASSES = ("a", "b", "c", "d")


def drawn(temperature: float, n: int = 6000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their softmax at `temperature`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 4)) * 2
    return logits, np.eye(4)[[rng.choice(4, p=p) for p in softmax(logits, temperature)]]


@pytest.mark.parametrize("method", ["lac", "aps"])
@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_coverage_is_kept_on_the_other_half(method, coverage: float) -> None:
    logits, targets = drawn(1.0, n=8000)
    probs = softmax(logits, 0.4)  # overconfident: the promise must hold all the same
    fitted = Conformal.fit(probs[::2], targets[::2], coverage, classes=CLASSES, method=method, seed=0)
    held = fitted.assess(probs[1::2], targets[1::2], seed=1)
    assert held["coverage"] == pytest.approx(coverage, abs=0.02)
    assert 1 <= held["size"] < 4


def test_conservative_aps_covers_at_least_what_was_promised() -> None:
    logits, targets = drawn(1.0, n=8000)
    probs = softmax(logits)
    fitted = Conformal.fit(probs[::2], targets[::2], 0.9, classes=CLASSES, method="aps")
    assert fitted.assess(probs[1::2], targets[1::2])["coverage"] > 0.88


def test_the_threshold_is_the_promised_order_statistic() -> None:
    probs = np.column_stack([np.arange(1, 10) / 10, 1 - np.arange(1, 10) / 10])
    fitted = Conformal.fit(probs, np.zeros(9, dtype=int), 0.8, classes=("a", "b"))
    assert fitted.threshold == pytest.approx(1 - 0.2)  # the 8th smallest of 1 - p, p = 0.9 … 0.1
    assert fitted.n == 9


def test_sets_are_ordered_and_never_empty_and_wide_ones_abstain() -> None:
    fitted = Conformal("lac", 0.9, threshold=0.75, n=10, classes=CLASSES, widest=2)
    probs = np.array(
        [[0.3, 0.6, 0.05, 0.05], [0.24, 0.23, 0.27, 0.26], [0.3, 0.35, 0.05, 0.3], [0.01, 0.01, 0.01, 0.97]]
    )
    assert fitted.predict_sets(probs) == [("b", "a"), ("c", "d"), None, ("d",)]
    strict = Conformal("lac", 0.9, threshold=0.0, n=10, classes=CLASSES)
    assert strict.predict_sets(probs) == [("b",), ("c",), ("b",), ("d",)]


def test_too_few_samples_promise_only_the_whole_set() -> None:
    with pytest.warns(ConformalWarning, match="cannot promise"):
        fitted = Conformal.fit(softmax(np.eye(4)), np.arange(4), 0.9, classes=CLASSES)
    assert math.isinf(fitted.threshold)
    assert len(fitted.predict_sets(softmax(np.eye(4)))[0] or ()) == 4


def test_conformal_refuses_what_it_cannot_promise() -> None:
    probs = softmax(np.eye(4))
    with pytest.raises(ValueError, match="between 0 and 1"):
        Conformal.fit(probs, np.arange(4), 90, classes=CLASSES)
    with pytest.raises((ValueError, TypeError)):
        Conformal.fit(probs, np.arange(4), 0.5, classes=CLASSES, method="raps")  # type: ignore[arg-type]
    with pytest.raises((ValueError, TypeError)):
        Conformal.fit(probs[:, :3], np.arange(4), 0.5, classes=CLASSES)
    with pytest.raises(DataError, match="NaN"):
        Conformal.fit(probs * np.nan, np.arange(4), 0.5, classes=CLASSES)
    fitted = Conformal("lac", 0.9, 0.5, 10, CLASSES)
    with pytest.warns(ConformalWarning, match="no samples"):
        assert np.isnan(fitted.assess(np.empty((0, 4)), np.empty(0, int))["coverage"])
    with pytest.raises((ValueError, TypeError)):
        fitted.predict_sets(np.ones((1, 3)))


def test_every_source_counts_the_same_however_large() -> None:
    """Of two sources, one of which is hard and small, the coverage holds for a sample of a random one."""
    (easy, known), (hard, unknown) = drawn(0.3, n=8000), drawn(4.0, n=4000, seed=1)
    probs = softmax(np.vstack([easy[::2], hard[::2]]))
    targets = np.vstack([known[::2], unknown[::2]])
    names = np.repeat(["easy", "hard"], [4000, 2000])
    balanced = ConformalScores.fit(probs, targets, classes=CLASSES, sources=names).at(0.9)
    pooled = ConformalScores.fit(probs, targets, classes=CLASSES).at(0.9)
    each = [balanced.assess(softmax(x[1::2]), t[1::2])["coverage"] for x, t in ((easy, known), (hard, unknown))]
    assert np.mean(each) == pytest.approx(0.9, abs=0.02)
    assert pooled.assess(softmax(hard[1::2]), unknown[1::2])["coverage"] < each[1] - 0.05
    assert (balanced.n, pooled.n) == (6000, 6000)


def test_scores_survive_the_disk_and_cover_no_less(tmp_path) -> None:
    logits, targets = drawn(1.0, n=500)
    names = np.repeat(["one", "two"], 250)
    scores = ConformalScores.fit(softmax(logits), targets, classes=CLASSES, sources=names, most=100)
    assert {s: len(own) for s, own in scores.scores.items()} == {"one": 100, "two": 100}
    save_conformal({"text": {"mood": scores}}, tmp_path / "conformal.json")
    back = load_conformal(tmp_path / "conformal.json")["text"]["mood"]
    assert (back.method, back.classes) == (scores.method, scores.classes)
    assert scores.at(0.9).threshold <= back.at(0.9).threshold <= scores.at(0.9).threshold + 1e-5
    assert [p.name for p in tmp_path.iterdir()] == ["conformal.json"]
    for text in ("[]", "{", json.dumps({"text": {"mood": {"method": "lac"}}})):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(CheckpointError, match="emofuse calibrate"):
            load_conformal(tmp_path / "bad.json")
