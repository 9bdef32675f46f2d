"""Temperatures against the temperature that made the data; conformal sets against the coverage they promise."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from emofuse.errors import CheckpointError, DataError
from emofuse.evaluation.calibration import (
    COLDEST,
    HOTTEST,
    Conformal,
    calibrate,
    fit_temperature,
    fit_temperatures,
    save_calibration,
    sigmoid,
    softmax,
)
from emofuse.evaluation.metrics import MetricWarning
from emofuse.labels import Task

CLASSES = ("a", "b", "c", "d")


def drawn(temperature: float, n: int = 6000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their softmax at `temperature`: the temperature to find."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 4)) * 2
    labels = [rng.choice(4, p=p) for p in softmax(logits, temperature)]
    return logits, np.eye(4)[labels]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    logits, targets = drawn(temperature)
    assert fit_temperature(logits, targets) == pytest.approx(temperature, rel=0.08)


def test_soft_targets_give_the_exact_temperature() -> None:
    logits, _ = drawn(1.0, n=50)
    assert fit_temperature(logits, softmax(logits, 3.0)) == pytest.approx(3.0, rel=1e-9)
    assert fit_temperature(logits, sigmoid(logits, 0.7), kind="multilabel") == pytest.approx(0.7, rel=1e-9)


def test_it_is_the_minimum_that_an_optimiser_finds() -> None:
    logits, targets = drawn(1.7, n=400)
    log_t = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [log_t], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-12, tolerance_change=0
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(torch.from_numpy(logits) / log_t.exp(), torch.from_numpy(targets))
        loss.backward()
        return loss

    optimiser.step(closure)
    assert fit_temperature(logits, targets) == pytest.approx(log_t.exp().item(), rel=1e-6)


def test_shifting_all_logits_of_a_row_changes_nothing() -> None:
    logits, targets = drawn(2.0, n=200)
    shifted = logits + np.random.default_rng(1).normal(size=(200, 1)) * 100
    assert fit_temperature(shifted, targets) == pytest.approx(fit_temperature(logits, targets), rel=1e-9)


def test_unlabelled_rows_do_not_count() -> None:
    logits, targets = drawn(2.0, n=200)
    more = np.vstack([logits, np.ones((5, 4))]), np.vstack([targets, np.full((5, 4), np.nan)])
    assert fit_temperature(*more) == fit_temperature(logits, targets)


def test_degenerate_data_have_documented_answers() -> None:
    right = np.eye(4) * 9
    with pytest.warns(MetricWarning, match="too cold"):
        assert fit_temperature(right, np.eye(4)) == COLDEST
    with pytest.warns(MetricWarning, match="too hot"):
        assert fit_temperature(right, np.roll(np.eye(4), 1, axis=1)) == HOTTEST
    with pytest.warns(MetricWarning, match="same for every class"):
        assert fit_temperature(np.ones((3, 4)), np.eye(4)[:3]) == 1.0
    with pytest.warns(MetricWarning, match="no labelled sample"):
        assert fit_temperature(np.ones((2, 4)), np.full((2, 4), np.nan)) == 1.0
    with pytest.raises(ValueError, match="one shape"):
        fit_temperature(np.ones((2, 4)), np.ones((2, 3)))


def test_calibration_improves_what_it_minimises_and_the_ece() -> None:
    logits, targets = drawn(2.5)
    found = calibrate(logits, targets)
    assert found.after["nll"] < found.before["nll"]
    assert found.after["ece"] < 0.03 < found.before["ece"]
    assert found.after["brier"] < found.before["brier"]
    assert found.n == len(logits)


def test_a_temperature_for_every_subset_and_task(tmp_path) -> None:
    hot, targets = drawn(2.0, seed=1)
    cold, _ = drawn(1.0, seed=1)
    tasks = [Task("mood", "categorical", CLASSES), Task("unlabelled", "categorical", CLASSES), Task("size", "scalar")]
    unlabelled = np.full_like(targets, np.nan)
    fitted = fit_temperatures(
        {"text": {"mood": hot, "unlabelled": hot}, "text+face": {"mood": hot / 2, "unlabelled": cold}},
        {"mood": targets, "unlabelled": unlabelled, "size": np.zeros(len(hot))},
        tasks,
    )
    assert {s: set(each) for s, each in fitted.items()} == {"text": {"mood"}, "text+face": {"mood"}}
    assert fitted["text"]["mood"].temperature == pytest.approx(2 * fitted["text+face"]["mood"].temperature, rel=1e-9)
    save_calibration(fitted, tmp_path / "calibration.json")
    read = json.loads((tmp_path / "calibration.json").read_text())
    assert read["text"]["mood"]["temperature"] == fitted["text"]["mood"].temperature
    assert [p.name for p in tmp_path.iterdir()] == ["calibration.json"]


def test_sigmoid_does_not_overflow() -> None:
    np.testing.assert_allclose(sigmoid(np.array([-1e4, 0.0, 1e4])), [0.0, 0.5, 1.0], atol=0)


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
    with pytest.warns(MetricWarning, match="cannot promise"):
        fitted = Conformal.fit(softmax(np.eye(4)), np.arange(4), 0.9, classes=CLASSES)
    assert math.isinf(fitted.threshold)
    assert Conformal.from_json(fitted.to_json()) == fitted
    assert len(fitted.predict_sets(softmax(np.eye(4)))[0] or ()) == 4


def test_conformal_survives_json_and_refuses_other_text() -> None:
    fitted = Conformal("aps", 0.9, 0.83, 120, CLASSES, widest=3)
    assert Conformal.from_json(fitted.to_json()) == fitted
    for text in ("{}", "[1]", "not json", '{"method": "lac"}'):
        with pytest.raises(CheckpointError, match="not a saved conformal"):
            Conformal.from_json(text)


def test_conformal_refuses_what_it_cannot_promise() -> None:
    probs = softmax(np.eye(4))
    with pytest.raises(ValueError, match="between 0 and 1"):
        Conformal.fit(probs, np.arange(4), 90, classes=CLASSES)
    with pytest.raises(ValueError, match="valid: lac, aps"):
        Conformal.fit(probs, np.arange(4), 0.5, classes=CLASSES, method="raps")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="samples × 4"):
        Conformal.fit(probs[:, :3], np.arange(4), 0.5, classes=CLASSES)
    with pytest.raises(DataError, match="NaN"):
        Conformal.fit(probs * np.nan, np.arange(4), 0.5, classes=CLASSES)
    fitted = Conformal("lac", 0.9, 0.5, 10, CLASSES)
    with pytest.warns(MetricWarning, match="no samples"):
        assert np.isnan(fitted.assess(np.empty((0, 4)), np.empty(0))["coverage"])
    with pytest.raises(ValueError, match="samples × 4"):
        fitted.predict_sets(np.ones((1, 3)))
