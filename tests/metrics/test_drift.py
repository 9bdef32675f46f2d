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


def test_chance_is_what_samples_without_drift_give_on_average():
    rng = np.random.default_rng(0)
    shares = np.full(10, 0.1)
    found = [psi(rng.multinomial(500, shares), rng.multinomial(800, shares)) for _ in range(400)]
    assert np.mean(found) == pytest.approx(psi_of_chance(10, 500, 800), rel=0.1)
