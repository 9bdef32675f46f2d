"""Confidence that means what it says: temperatures for the heads, and prediction sets with a promised coverage."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from emofuse.evaluation.conformal import Conformal, ConformalScores
from emofuse.evaluation.metrics import MetricWarning, brier, ece, nll
from emofuse.evaluation.metrics.undefined import warn
from emofuse.labels import Task

COLDEST, HOTTEST = 0.05, 20.0
"""The range temperatures are looked for in: the same as multiplying the logits by 20 … 1/20."""


@dataclass(frozen=True)
class Calibration:
    """What one temperature does to the confidence of one head on the data it was fitted on."""

    temperature: float
    n: int
    before: Mapping[str, float]
    """nll, brier and ece at temperature 1."""
    after: Mapping[str, float]


def softmax(logits: Float[np.ndarray, "n k"], temperature: float = 1.0) -> Float[np.ndarray, "n k"]:
    """Rows of probabilities, in float64."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def sigmoid(logits: Float[np.ndarray, "..."], temperature: float = 1.0) -> Float[np.ndarray, "..."]:
    """Probabilities of independent labels, in float64, without overflow."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    return np.where(
        scaled >= 0, 1 / (1 + np.exp(-np.abs(scaled))), np.exp(-np.abs(scaled)) / (1 + np.exp(-np.abs(scaled)))
    )


def fit_temperature(
    logits: Float[np.ndarray, "n k"],
    targets: Float[np.ndarray, "n k"],
    *,
    kind: Literal["categorical", "multilabel"] = "categorical",
) -> float:
    """The temperature that minimises the cross-entropy to (soft) `targets` (Guo et al. 2017); rows of NaN are left out.

    Cross-entropy is convex in 1/temperature, so the root of its slope there, found by bisection, is the minimum. Where
    there is none inside [COLDEST, HOTTEST] the nearer end is returned with a `MetricWarning`: every sample is right
    (colder is always better) or logits and targets are unrelated. No labelled sample, or logits that are the same for
    every class (any temperature gives the same): 1.0, with a warning.
    """
    logits, targets = np.asarray(logits, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if logits.shape != targets.shape or logits.ndim != 2:
        raise ValueError(f"logits {logits.shape} and targets {targets.shape} must be samples × classes of one shape")
    kept = ~np.isnan(targets).any(axis=1)
    logits, targets = logits[kept], targets[kept]
    if not len(logits):
        warn("no labelled sample to fit a temperature on: it stays 1")
        return 1.0
    flat = np.ptp(logits, axis=1).max() == 0 if kind == "categorical" else not logits.any()
    if flat:
        warn("the logits are the same for every class: any temperature gives the same probabilities, and it stays 1")
        return 1.0
    centred = logits - logits.max(axis=1, keepdims=True) if kind == "categorical" else logits

    def slope(sharpness: float) -> float:
        probs = softmax(centred, 1 / sharpness) if kind == "categorical" else sigmoid(centred, 1 / sharpness)
        mass = targets.sum(axis=1, keepdims=True) if kind == "categorical" else 1.0
        return float(np.mean(np.sum((mass * probs - targets) * centred, axis=1)))

    blunt, sharp = 1 / HOTTEST, 1 / COLDEST
    if slope(sharp) <= 0:
        warn(f"no temperature above {COLDEST:g} is too cold for this data (all right, with room to spare): {COLDEST:g}")
        return COLDEST
    if slope(blunt) >= 0:
        warn(f"no temperature below {HOTTEST:g} is too hot for this data (the logits mislead): {HOTTEST:g}")
        return HOTTEST
    for _ in range(100):
        middle = math.sqrt(blunt * sharp)
        blunt, sharp = (blunt, middle) if slope(middle) > 0 else (middle, sharp)
    return 1 / math.sqrt(blunt * sharp)


def calibrate(
    logits: Float[np.ndarray, "n k"], targets: Float[np.ndarray, "n k"], temperature: float | None = None
) -> Calibration:
    """A temperature (fitted here unless given) with NLL, Brier and ECE before and after it."""
    logits, targets = np.asarray(logits, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    fitted = fit_temperature(logits, targets) if temperature is None else temperature
    kept = ~np.isnan(targets).any(axis=1)

    def scores(at: float) -> dict[str, float]:
        probs = softmax(logits[kept], at) if kept.any() else logits[kept]
        return {
            "nll": nll(targets[kept], probs),
            "brier": brier(targets[kept], probs),
            "ece": ece(targets[kept], probs),
        }

    return Calibration(fitted, int(kept.sum()), scores(1.0), scores(fitted))


def fit_temperatures(
    logits: Mapping[str, Mapping[str, np.ndarray]], targets: Mapping[str, np.ndarray], tasks: Sequence[Task]
) -> dict[str, dict[str, Calibration]]:
    """A calibration for every subset of modalities and every task with classes: `result[subset][task]`.

    `logits[subset][task]` are n × classes for the same n samples as `targets[task]`; scalars have no temperature, and a
    task without a labelled sample is left out.
    """
    named = {task.name: task for task in tasks if task.kind == "categorical"}
    return {
        subset: {
            name: calibrate(each[name], targets[name])
            for name in named
            if name in each and name in targets and not np.isnan(targets[name]).any(axis=1).all()
        }
        for subset, each in logits.items()
    }


def save_calibration(calibrations: Mapping[str, Mapping[str, Calibration]], path: Path) -> None:
    """Write `fit_temperatures`' answer as JSON, under a temporary name first."""
    plain = {subset: {task: asdict(c) for task, c in each.items()} for subset, each in calibrations.items()}
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(plain, indent=2), encoding="utf-8")
    temporary.replace(path)


__all__ = [
    "Calibration",
    "Conformal",
    "ConformalScores",
    "MetricWarning",
    "calibrate",
    "fit_temperature",
    "fit_temperatures",
    "save_calibration",
    "sigmoid",
    "softmax",
]
