"""Drift: how far one distribution of counts is from another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def psi(expected: Float[np.ndarray, " k"] | Int[np.ndarray, " k"], actual: Float[np.ndarray, " k"]) -> float:
    """The population stability index of two histograms over the same k bins: 0 where their shares are equal.

    The symmetric Kullback-Leibler divergence of the shares (Siddiqi 2006); by custom, below 0.1 is no drift, above 0.2
    is. Half a count is added to each bin, so that an empty one does not make it infinite. NaN where either is empty.
    Raises ValueError for bins that do not match.
    """
    expected, actual = np.asarray(expected, np.float64), np.asarray(actual, np.float64)
    if expected.shape != actual.shape or expected.ndim != 1:
        raise ValueError(f"histograms of {expected.shape} and {actual.shape} bins; both need the same")
    if not expected.sum() or not actual.sum():
        return float("nan")
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (expected, actual))
    return float(np.sum((q - p) * np.log(q / p)))


def psi_of_chance(bins: int, expected: float, actual: float) -> float:
    """What `psi` is on average where nothing has drifted, for samples of these sizes (Yurdakul and Naranjo 2020)."""
    return (bins - 1) * (1 / expected + 1 / actual) if expected and actual else float("nan")
