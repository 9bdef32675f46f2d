"""Mixup of two samples of one kind: voices with voices, faces with faces."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Arrays = dict[str, np.ndarray]
BLENDED = ("values", "pixels")
"""The arrays that hold sound and pictures; masks and times stay those of the first sample."""


def share(alpha: float, rng: np.random.Generator) -> float:
    """How much of the first sample stays: the larger part of a draw from Beta(α, α)."""
    drawn = float(rng.beta(alpha, alpha))
    return max(drawn, 1 - drawn)


def blend(first: Arrays, second: Arrays, kept: float) -> Arrays:
    """`kept` of the first and the rest of the second, which is repeated or cut to the first's length."""
    mixed = dict(first)
    for name in BLENDED:
        if name in first:
            one, other = first[name], second[name]
            other = other[np.arange(len(one)) % len(other)]
            both = kept * one.astype(np.float32) + (1 - kept) * other.astype(np.float32)
            mixed[name] = (np.rint(both) if one.dtype == np.uint8 else both).astype(one.dtype)
    return mixed


def blend_targets(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], kept: float
) -> dict[str, np.ndarray]:
    """Targets in the same shares (Zhang et al. 2018, eq. 1); NaN, not labelled, where either is."""
    return {task: (kept * target + (1 - kept) * second[task]).astype(target.dtype) for task, target in first.items()}
