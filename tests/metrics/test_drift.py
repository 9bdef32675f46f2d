"""The population stability index by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from emofuse.metrics.drift import psi, psi_of_chance


def test_equal_shares_are_no_drift_and_others_are_as_the_formula_has_it():
    assert psi(np.array([10, 20, 30]), np.array([1000, 2000, 3000])) == pytest.approx(0, abs=1e-3)
    p, q = (9.5 / 10.0, 0.5 / 10.0), (0.5 / 10.0, 9.5 / 10.0)
    expected = sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True))
    assert psi(np.array([9, 0]), np.array([0, 9])) == pytest.approx(expected)


def test_it_is_symmetric_finite_and_nan_where_there_is_nothing():
    a, b = np.array([5, 0, 95]), np.array([40, 60, 0])
    assert psi(a, b) == pytest.approx(psi(b, a), rel=0.2) and math.isfinite(psi(a, b))
    assert math.isnan(psi(a, np.zeros(3)))
    with pytest.raises(ValueError, match="both need the same"):
        psi(a, np.array([1, 2]))


@pytest.mark.parametrize(
    ("expected", "actual", "value"),
    [
        ([1, 1], [1, 1], 0.0),
        ([3, 1], [1, 3], 0.4 * math.log(3.5 / 1.5) * 2),  # shares (0.7, 0.3) and (0.3, 0.7)
        ([4, 0, 0], [0, 0, 4], 2 * (4 / 5.5) * math.log(9)),
        ([0, 9], [9, 0], 2 * 0.9 * math.log(19)),
        ([7], [70], 0.0),
    ],
)
def test_the_index_of_small_histograms_by_hand(expected, actual, value):
    assert psi(np.array(expected), np.array(actual)) == pytest.approx(value, abs=1e-12)


def test_counts_of_half_precision_are_computed_in_double():
    counts = [np.array([3, 11, 7], np.float16), np.array([5, 2, 13], np.float16)]
    wide = psi(*(each.astype(np.float64) for each in counts))
    assert psi(counts[0], counts[1].astype(np.float64)) == psi(counts[0].astype(np.float64), counts[1]) == wide
    assert psi(*counts) == wide


def test_only_a_histogram_without_any_count_has_no_index():
    assert math.isnan(psi(np.zeros(2), np.array([1, 0]))) and math.isnan(psi(np.array([1, 0]), np.zeros(2)))
    assert not math.isnan(psi(np.array([1, 0]), np.array([0, 1])))


@pytest.mark.parametrize("shapes", [((2,), (3,)), ((2, 2), (2, 2)), ((), ())])
def test_bins_that_do_not_match_are_named(shapes):
    with pytest.raises(ValueError, match=r"^histograms of ") as raised:
        psi(*map(np.ones, shapes))
    assert str(raised.value) == f"histograms of {shapes[0]} and {shapes[1]} bins; both need the same"


@pytest.mark.parametrize(
    ("bins", "expected", "actual", "chance"), [(10, 500, 800, 9 * 0.00325), (2, 4, 2, 0.75), (1, 5, 5, 0.0)]
)
def test_chance_is_the_number_of_bins_but_one_over_both_sizes(bins, expected, actual, chance):
    assert psi_of_chance(bins, expected, actual) == pytest.approx(chance, abs=1e-12)
    assert math.isnan(psi_of_chance(bins, 0, actual)) and math.isnan(psi_of_chance(bins, expected, 0))


def test_chance_is_what_samples_without_drift_give_on_average():
    rng = np.random.default_rng(0)
    shares = np.full(10, 0.1)
    found = [psi(rng.multinomial(500, shares), rng.multinomial(800, shares)) for _ in range(400)]
    assert np.mean(found) == pytest.approx(psi_of_chance(10, 500, 800), rel=0.1)
