"""Temperatures against the temperature that made the data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emofuse.calibration.temperature import (
    COLDEST,
    HOTTEST,
    fit_temperature,
    sigmoid,
    softmax,
)
from emofuse.metrics import MetricWarning


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
    assert fit_temperature(logits, sigmoid(logits, 0.7), exclusive=False) == pytest.approx(0.7, rel=1e-9)


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


def test_rows_count_by_their_weight() -> None:
    (a, a_targets), (b, b_targets) = drawn(0.5, n=3000), drawn(2.0, n=300, seed=1)
    logits, targets = np.vstack([a, b]), np.vstack([a_targets, b_targets])
    even = np.repeat([1 / 3000, 1 / 300], [3000, 300])
    doubled = fit_temperature(np.vstack([a, *[b] * 10]), np.vstack([a_targets, *[b_targets] * 10]))
    assert fit_temperature(logits, targets, weights=even) == pytest.approx(doubled, rel=1e-9)
    assert fit_temperature(logits, targets) < doubled


def test_sigmoid_does_not_overflow() -> None:
    np.testing.assert_allclose(sigmoid(np.array([-1e4, 0.0, 1e4])), [0.0, 0.5, 1.0], atol=0)
