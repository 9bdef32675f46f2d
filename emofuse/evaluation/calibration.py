"""Confidence that means what it says: temperatures for the heads, and prediction sets with a promised coverage."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from emofuse.errors import CheckpointError, DataError
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


@dataclass(frozen=True)
class Conformal:
    """Sets of classes that hold the true one with a promised probability, whatever the model (Vovk et al. 2005).

    Split conformal: the promise holds on average over samples exchangeable with those it was fitted on, which must not
    be those the model was trained or calibrated on. "lac" gives the smallest sets on average (Sadinle et al. 2019);
    "aps" adapts to hard samples with larger sets and covers classes more evenly (Romano et al. 2020; the randomised
    form where `seed` is given to `predict_sets`, else the conservative one).
    """

    method: Literal["lac", "aps"]
    coverage: float
    threshold: float
    """The highest score a class may have and still be in the set; inf when fitted on too few samples."""
    n: int
    classes: tuple[str, ...]
    widest: int | None = None
    """A set with more classes than this is an abstention; None = never abstain."""

    @classmethod
    def fit(
        cls,
        probs: Float[np.ndarray, "n k"],
        labels: Int[np.ndarray, " n"] | Float[np.ndarray, "n k"],
        coverage: float,
        *,
        classes: Sequence[str],
        method: Literal["lac", "aps"] = "lac",
        widest: int | None = None,
        seed: int | None = None,
    ) -> Conformal:
        """The ⌈(n+1)·coverage⌉-th smallest score of the true class; soft `labels` count as their leading class.

        Where n is so small that this rank is n + 1, every set must hold every class: a `MetricWarning` says so. Raises
        ValueError for a coverage outside (0, 1) and for shapes that do not fit.
        """
        probs, labels = _calibration_rows(probs, labels, len(classes))
        if not 0 < coverage < 1:
            raise ValueError(f"coverage {coverage} is not between 0 and 1; 0.9 promises nine of ten")
        if method not in ("lac", "aps"):
            raise ValueError(f"method {method!r} is not known; valid: lac, aps")
        scores = np.sort(_scores(probs, method, _uniform(seed, len(probs)))[np.arange(len(probs)), labels])
        rank = math.ceil((len(scores) + 1) * coverage - 1e-9)
        if rank > len(scores):
            warn(f"{len(scores)} samples cannot promise a coverage of {coverage:g}: every set holds every class")
        threshold = float(scores[rank - 1]) if rank <= len(scores) else math.inf
        return cls(method, coverage, threshold, len(scores), tuple(classes), widest)

    def members(self, probs: Float[np.ndarray, "n k"], *, seed: int | None = None) -> Bool[np.ndarray, "n k"]:
        """Which classes are in the set of each row; the leading class always is, so that no set is empty."""
        probs = np.asarray(probs, dtype=np.float64)
        if probs.ndim != 2 or probs.shape[1] != len(self.classes):
            raise ValueError(f"probs {probs.shape} must be samples × {len(self.classes)} classes")
        inside = _scores(probs, self.method, _uniform(seed, len(probs))) <= self.threshold
        inside[np.arange(len(probs)), probs.argmax(axis=1)] = True
        return inside

    def predict_sets(self, probs: Float[np.ndarray, "n k"], *, seed: int | None = None) -> list[tuple[str, ...] | None]:
        """The set of each row, most probable class first; None = abstained, the set being wider than `widest`."""
        probs = np.asarray(probs, dtype=np.float64)
        sets: list[tuple[str, ...] | None] = []
        for row, inside in zip(probs, self.members(probs, seed=seed), strict=True):
            order = [k for k in np.argsort(-row, kind="stable") if inside[k]]
            too_wide = self.widest is not None and len(order) > self.widest
            sets.append(None if too_wide else tuple(self.classes[k] for k in order))
        return sets

    def assess(
        self,
        probs: Float[np.ndarray, "n k"],
        labels: Int[np.ndarray, " n"] | Float[np.ndarray, "n k"],
        *,
        seed: int | None = None,
    ) -> dict[str, float]:
        """Coverage reached, mean set size and share of abstentions on other samples; NaN when there are none."""
        probs, labels = _calibration_rows(probs, labels, len(self.classes))
        if not len(probs):
            warn("the coverage on no samples is undefined: NaN")
            return {"n": 0, "coverage": math.nan, "size": math.nan, "abstained": math.nan}
        inside = self.members(probs, seed=seed)
        sizes = inside.sum(axis=1)
        return {
            "n": len(probs),
            "coverage": float(inside[np.arange(len(probs)), labels].mean()),
            "size": float(sizes.mean()),
            "abstained": float(np.mean(sizes > self.widest)) if self.widest is not None else 0.0,
        }

    def to_json(self) -> str:
        """All of it, as JSON; an infinite threshold is null."""
        fields: dict[str, Any] = asdict(self)
        fields["threshold"] = None if math.isinf(self.threshold) else self.threshold
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: str) -> Conformal:
        """The inverse of `to_json`; raises CheckpointError when the text is not that."""
        try:
            fields = json.loads(text)
            fields["classes"] = tuple(fields["classes"])
            fields["threshold"] = math.inf if fields["threshold"] is None else float(fields["threshold"])
            return cls(**fields)
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointError(
                f"not a saved conformal predictor ({error}); write one with Conformal.to_json"
            ) from error


def save_calibration(calibrations: Mapping[str, Mapping[str, Calibration]], path: Path) -> None:
    """Write `fit_temperatures`' answer as JSON, under a temporary name first."""
    plain = {subset: {task: asdict(c) for task, c in each.items()} for subset, each in calibrations.items()}
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(plain, indent=2), encoding="utf-8")
    temporary.replace(path)


def _calibration_rows(probs: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Labelled rows only, labels as indices."""
    probs, labels = np.asarray(probs, dtype=np.float64), np.asarray(labels)
    if probs.ndim != 2 or probs.shape[1] != classes or len(labels) != len(probs):
        raise ValueError(
            f"probs {probs.shape} must be samples × {classes} classes, with as many labels ({len(labels)})"
        )
    if labels.ndim == 2:
        kept = ~np.isnan(labels).any(axis=1)
        probs, labels = probs[kept], labels[kept].argmax(axis=1)
    if np.isnan(probs).any():
        raise DataError("some probabilities are NaN: the model diverged, or was fed what it cannot read")
    return probs, labels.astype(np.int64)


def _scores(probs: np.ndarray, method: str, uniform: np.ndarray | None) -> Float[np.ndarray, "n k"]:
    """How odd each class would be as the truth: 1 − p, or the mass of the classes at least as probable (less u·p)."""
    if method == "lac":
        return 1 - probs
    order = np.argsort(-probs, axis=1, kind="stable")
    ranked = np.take_along_axis(probs, order, axis=1)
    mass = np.cumsum(ranked, axis=1)
    if uniform is not None:
        mass = mass - uniform[:, None] * ranked
    scores = np.empty_like(mass)
    np.put_along_axis(scores, order, mass, axis=1)
    return scores


def _uniform(seed: int | None, n: int) -> np.ndarray | None:
    return None if seed is None else np.random.default_rng(seed).random(n)


__all__ = [
    "Calibration",
    "Conformal",
    "MetricWarning",
    "calibrate",
    "fit_temperature",
    "fit_temperatures",
    "save_calibration",
    "sigmoid",
    "softmax",
]
