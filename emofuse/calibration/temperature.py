"""Temperature scaling: the temperature that makes a head's probabilities as confident as it is accurate."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy import optimize, special

from emofuse.metrics.undefined import warn
from emofuse.tasks import Task

COLDEST, HOTTEST = 0.05, 20.0
"""The range temperatures are looked for in: the same as multiplying the logits by 20 … 1/20."""


def softmax(logits: Float[np.ndarray, "n k"], temperature: float = 1.0) -> Float[np.ndarray, "n k"]:
    """Rows of probabilities, in float64."""
    return special.softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1)


def sigmoid(logits: Float[np.ndarray, "..."], temperature: float = 1.0) -> Float[np.ndarray, "..."]:
    """Probabilities of independent labels, in float64, without overflow."""
    return special.expit(np.asarray(logits, dtype=np.float64) / temperature)


def decode(task: Task, logits: Float[np.ndarray, "n width"], temperature: float = 1.0) -> Float[np.ndarray, "n width"]:
    """Logits as probabilities, or as numbers within the scalar's range: of arrays what `Head.decode` is of tensors."""
    if not task.tempered:
        return logits.clip(task.low, task.high)
    return softmax(logits, temperature) if task.exclusive else sigmoid(logits, temperature)


def fit_temperature(
    logits: Float[np.ndarray, "n k"],
    targets: Float[np.ndarray, "n k"],
    *,
    exclusive: bool = True,
    weights: Float[np.ndarray, " n"] | None = None,
) -> float:
    """The temperature that minimises the cross-entropy to (soft) `targets` (Guo et al. 2017); rows of NaN are left out.

    `exclusive`: exactly one of the classes holds; else they are labels that stand beside each other. `weights` say how
    much each row counts; None = all the same.

    Cross-entropy is convex in 1/temperature, so the root of its slope there (Brent's method) is the minimum. Where
    there is none inside [COLDEST, HOTTEST] the nearer end is returned with a `MetricWarning`: every sample is right
    (colder is always better) or logits and targets are unrelated. No labelled sample, or logits that are the same for
    every class (any temperature gives the same): 1.0, with a warning.
    """
    logits, targets = np.asarray(logits, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if logits.shape != targets.shape or logits.ndim != 2:
        raise ValueError(f"logits {logits.shape} and targets {targets.shape} must be samples × classes of one shape")
    kept = ~np.isnan(targets).any(axis=1)
    logits, targets = logits[kept], targets[kept]
    shares = np.ones(len(logits)) if weights is None else np.asarray(weights, dtype=np.float64)[kept]
    if not len(logits):
        warn("no labelled sample to fit a temperature on: it stays 1")
        return 1.0
    flat = np.ptp(logits, axis=1).max() == 0 if exclusive else not logits.any()
    if flat:
        warn("the logits are the same for every class: any temperature gives the same probabilities, and it stays 1")
        return 1.0
    centred = logits - logits.max(axis=1, keepdims=True) if exclusive else logits

    def slope(log_sharpness: float) -> float:
        temperature = math.exp(-log_sharpness)
        probs = softmax(centred, temperature) if exclusive else sigmoid(centred, temperature)
        mass = targets.sum(axis=1, keepdims=True) if exclusive else 1.0
        return float(np.dot(shares, np.sum((mass * probs - targets) * centred, axis=1)) / shares.sum())

    blunt, sharp = -math.log(HOTTEST), -math.log(COLDEST)
    if slope(sharp) <= 0:
        warn(f"no temperature above {COLDEST:g} is too cold for this data (all right, with room to spare): {COLDEST:g}")
        return COLDEST
    if slope(blunt) >= 0:
        warn(f"no temperature below {HOTTEST:g} is too hot for this data (the logits mislead): {HOTTEST:g}")
        return HOTTEST
    found = optimize.root_scalar(slope, bracket=(blunt, sharp), method="brentq", xtol=1e-14)
    return math.exp(-float(found.root))
