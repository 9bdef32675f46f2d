"""Calibration measures, against torchmetrics, scikit-learn and hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import binom
from sklearn.metrics import log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from emofuse.metrics import MetricWarning, brier, ece, ece_by_chance, nll, reliability_curve

EXACT = {"rel": 0, "abs": 1e-9}


def sample(seed: int, n: int = 500, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(k) * 0.7, n)
    truth = np.array([rng.choice(k, p=p) for p in probs])
    return np.eye(k)[truth], probs


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bins", [10, 15])
def test_measures_agree_with_the_references(seed: int, bins: int) -> None:
    targets, probs = sample(seed)
    truth = targets.argmax(axis=1)
    theirs = multiclass_calibration_error(torch.from_numpy(probs), torch.from_numpy(truth), num_classes=4, n_bins=bins)
    assert ece(targets, probs, bins=bins) == pytest.approx(theirs.item(), abs=1e-6)  # they bin in float32
    assert ece(targets, probs, bins=bins) == pytest.approx(ece_by_definition(truth, probs, bins), **EXACT)
    assert nll(targets, probs) == pytest.approx(log_loss(truth, probs), **EXACT)
    assert brier(targets, probs) == pytest.approx(
        np.mean([np.sum((p - t) ** 2) for p, t in zip(probs, targets, strict=True)])
    )


def ece_by_definition(truth: np.ndarray, probs: np.ndarray, bins: int) -> float:
    """Guo et al. 2017, equation 3, word for word."""
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == truth
    total = 0.0
    for b in range(bins):
        inside = (confidence > b / bins) & (confidence <= (b + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


def test_ece_by_hand() -> None:
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    targets = np.array([[1, 0], [0, 1], [1, 0], [1, 0]], dtype=float)
    # bin of 0.9: half right; bin of 0.6: all right
    assert ece(targets, probs, bins=10) == pytest.approx((0.4 + 0.4) / 2, **EXACT)
    assert ece(targets, probs, bins=1) == pytest.approx(abs(0.75 - 0.75), **EXACT)
    curve = reliability_curve(targets, probs, bins=10)
    np.testing.assert_allclose(curve.confidence, [0.6, 0.9])
    np.testing.assert_allclose(curve.accuracy, [1.0, 0.5])
    np.testing.assert_array_equal(curve.count, [2, 2])


def test_equal_mass_bins_hold_equal_numbers() -> None:
    targets, probs = sample(0, n=600)
    assert set(reliability_curve(targets, probs, bins=12, binning="mass").count) == {50}


def test_equal_mass_bins_do_not_depend_on_the_order_even_with_ties() -> None:
    targets, probs = sample(1, n=101)
    probs = np.round(probs, 1)
    order = np.random.default_rng(0).permutation(101)
    before = ece(targets, probs, binning="mass")
    assert ece(targets[order], probs[order], binning="mass") == pytest.approx(before, **EXACT)


def test_brier_and_nll_of_soft_targets_by_hand() -> None:
    targets, probs = np.array([[0.5, 0.5]]), np.array([[0.8, 0.2]])
    assert brier(targets, probs) == pytest.approx(0.18, **EXACT)
    assert nll(targets, probs) == pytest.approx(-0.5 * np.log(0.16), **EXACT)


def test_certain_and_wrong_is_finite() -> None:
    assert 700 < nll(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])) < 710


def test_certain_predictions_fall_in_the_last_bin() -> None:
    assert ece(np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]])) == 0.0
    assert ece(np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]]), binning="mass") == 1.0


@pytest.mark.parametrize("measure", [nll, brier, ece])
def test_nothing_to_score_is_nan_and_says_so(measure) -> None:
    with pytest.warns(MetricWarning, match="no samples"):
        assert np.isnan(measure(np.empty((0, 3)), np.empty((0, 3))))


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        ece(np.zeros((3, 2)), np.zeros((3, 3)))


def test_the_ece_of_chance_is_that_of_truths_drawn_from_the_confidences() -> None:
    """One bin of n samples at confidence p: E|k/n - p| of a binomial k, and nothing where p is 1."""
    n, p = 40, 0.9
    probs = np.tile([p, 1 - p], (n, 1))
    expected = np.sum(binom.pmf(np.arange(n + 1), n, p) * np.abs(np.arange(n + 1) / n - p))
    assert ece_by_chance(probs, draws=4000) == pytest.approx(expected, rel=0.05)
    assert ece_by_chance(np.tile([1.0, 0.0], (n, 1))) == 0.0


def test_the_ece_of_chance_is_drawn_by_its_seed_and_bins() -> None:
    _, probs = sample(0, n=50)
    assert ece_by_chance(probs) == ece_by_chance(probs, bins=15, draws=200, seed=0)
    assert ece_by_chance(probs) != ece_by_chance(probs, seed=1)
    assert ece_by_chance(probs, bins=1) < ece_by_chance(probs, bins=15)
    with pytest.warns(MetricWarning, match="^the ECE of no samples is undefined: NaN$"):
        assert np.isnan(ece_by_chance(np.empty((0, 3))))


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    probs = np.array([[0.5, 0.5], [np.nextafter(0.5, 1), 0.5]])
    targets = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert reliability_curve(targets, probs, bins=2).count.tolist() == [1, 1]
    assert ece(targets, probs, bins=2) == pytest.approx(0.5, **EXACT)


def test_bins_of_equal_mass_by_hand() -> None:
    targets, probs = np.eye(2)[[0, 0, 1, 1, 0]], np.array([[p, 1 - p] for p in (0.6, 0.7, 0.8, 0.9, 0.95)])
    curve = reliability_curve(targets, probs, bins=2, binning="mass")
    assert curve.count.tolist() == [3, 2]
    np.testing.assert_allclose(curve.confidence, [0.7, 0.925])
    np.testing.assert_allclose(curve.accuracy, [2 / 3, 0.5])
    assert curve.ece == pytest.approx((3 * (0.7 - 2 / 3) + 2 * 0.425) / 5, **EXACT)


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (nll, "NLL of no samples is undefined: NaN"),
        (brier, "the Brier score of no samples is undefined: NaN"),
        (ece, "the reliability curve of no samples is undefined: NaN"),
    ],
)
def test_what_is_undefined_is_called_by_its_name(measure, message: str) -> None:
    with pytest.warns(MetricWarning) as caught:
        assert np.isnan(measure(np.empty((0, 3)), np.empty((0, 3))))
    assert str(caught[0].message) == message
    with pytest.raises(ValueError, match=r"^targets \(3,\) and probs \(3,\) must be samples × classes of one shape$"):
        measure(np.zeros(3), np.zeros(3))
