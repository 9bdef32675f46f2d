"""Conformal prediction sets with a stated coverage, or an abstention."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from emofuse.errors import CheckpointError, DataError, check_coverage
from emofuse.files import write_file
from emofuse.tasks import leading

Method = Literal["lac", "aps"]
FILE = "conformal.json"
"""Beside the weights of a checkpoint that was calibrated."""
COMPOSED = "composed"
"""What the names of sources begin with that were put together from several corpora."""
DIGITS = 5
"""Of a score on disk."""


class ConformalWarning(UserWarning):
    """A coverage was asked for or measured that the samples are too few for."""


@dataclass(frozen=True)
class ConformalScores:
    """How odd the true class looked on calibration samples: all that a set of any coverage needs (Vovk et al. 2005)."""

    method: Method
    classes: tuple[str, ...]
    scores: Mapping[str, tuple[float, ...]]
    """By source of samples (a corpus), ascending."""

    @classmethod
    def fit(
        cls,
        probs: Float[np.ndarray, "n k"],
        labels: Int[np.ndarray, " n"] | Float[np.ndarray, "n k"],
        *,
        classes: Sequence[str],
        method: Method = "lac",
        sources: Sequence[str] | np.ndarray | None = None,
        seed: int | None = None,
        most: int | None = None,
    ) -> ConformalScores:
        """Scores of the labelled rows; soft `labels` count as their leading class.

        `sources` names the source of each row: all sources then count the same, however many rows they have. `most`
        keeps a random that many of a source, so that a checkpoint stays small; the promise holds all the same. `seed`
        asks for randomised APS scores. Raises ValueError for shapes or a method that do not fit, DataError for NaN.
        """
        if method not in ("lac", "aps"):
            raise ValueError(f"method {method!r} is not known; valid: lac, aps")
        kept, probs, labels = _calibration_rows(probs, labels, len(classes))
        scores = _scores(probs, method, _uniform(seed, len(probs)))[np.arange(len(probs)), labels]
        owners = np.zeros(len(scores), int) if sources is None else np.asarray(sources)[kept]
        found: dict[str, tuple[float, ...]] = {}
        for owner in dict.fromkeys(owners.tolist()):
            own = scores[owners == owner]
            if most is not None and len(own) > most:
                own = np.random.default_rng(0).choice(own, most, replace=False)
            found[str(owner) if sources is not None else ""] = tuple(np.sort(own).tolist())
        return cls(method, tuple(classes), found)

    @property
    def n(self) -> int:
        """Samples in all."""
        return sum(map(len, self.scores.values()))

    @property
    def composed(self) -> bool:
        """Whether no sample was a recording of one person."""
        return bool(self.scores) and all(source.startswith(COMPOSED) for source in self.scores)

    def at(self, coverage: float, *, widest: int | None = None) -> Conformal:
        """The predictor of this coverage: its threshold is the smallest score that enough of the samples stay within.

        Of one source of n samples that is the ⌈(n+1)·coverage⌉-th smallest score; of several, the mean of their shares
        k/(n+1) must reach `coverage`, so that it holds for a sample of a random source (Bhattacharyya and Barber 2024,
        group-weighted conformal prediction). Where the samples are too few, every set must hold every class: a
        `ConformalWarning` says so. Raises `MediaError` (a ValueError) for a coverage outside (0, 1).
        """
        check_coverage(coverage)
        scores = np.concatenate([np.asarray(own) for own in self.scores.values()] or [np.empty(0)])
        shares = [np.full(len(own), 1 / (len(self.scores) * (len(own) + 1))) for own in self.scores.values()]
        order = np.argsort(scores, kind="stable")
        reached = np.cumsum(np.concatenate(shares or [np.empty(0)])[order])
        enough = np.flatnonzero(reached >= coverage - 1e-9)
        if not len(enough):
            message = f"{self.n} samples cannot promise a coverage of {coverage:g}: every set holds every class"
            warnings.warn(message, ConformalWarning, stacklevel=2)
        threshold = float(scores[order][enough[0]]) if len(enough) else math.inf
        return Conformal(self.method, coverage, threshold, self.n, self.classes, widest)


ConformalTable = dict[str, dict[str, ConformalScores]]
"""Subset of modalities ('text+face') → task → scores."""


def save_conformal(table: Mapping[str, Mapping[str, ConformalScores]], path: Path) -> None:
    """Write `{subset of modalities: {task: scores}}` as JSON, whole or not at all."""
    plain = {
        subset: {task: asdict(s) | {"scores": _rounded(s.scores)} for task, s in each.items()}
        for subset, each in table.items()
    }
    write_file(path, json.dumps(plain, separators=(",", ":")) + "\n")


def _rounded(scores: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Upwards, so that no sample falls out of its own set."""
    scale = 10**DIGITS
    return {source: [math.ceil(x * scale) / scale for x in own] for source, own in scores.items()}


def as_plain(table: Mapping[str, Mapping[str, ConformalScores]]) -> dict[str, dict[str, Any]]:
    """The table in JSON's types, not rounded."""
    return {subset: {task: asdict(s) for task, s in each.items()} for subset, each in table.items()}


def from_plain(table: Mapping[str, Any]) -> ConformalTable:
    """The inverse of `as_plain`. Raises ValueError, TypeError, KeyError or AttributeError for anything else."""
    return {subset: {task: _scores_from(s) for task, s in each.items()} for subset, each in table.items()}


def load_conformal(path: Path) -> ConformalTable:
    """The inverse of `save_conformal`; raises CheckpointError when the file is not that."""
    try:
        return from_plain(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{path} holds no conformal scores ({error}); write it with emofuse calibrate, or delete it"
        ) from error


def _scores_from(plain: Mapping[str, Any]) -> ConformalScores:
    """Raises ValueError, TypeError or KeyError for what `save_conformal` never writes."""
    method, classes = plain["method"], tuple(plain["classes"])
    scores = {str(source): tuple(map(float, own)) for source, own in plain["scores"].items()}
    if method not in get_args(Method) or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"method {method!r} over the classes {list(classes)}")
    if not all(math.isfinite(score) for own in scores.values() for score in own):
        raise ValueError("some scores are no finite numbers")
    return ConformalScores(method, classes, scores)


@dataclass(frozen=True)
class Conformal:
    """Sets of classes that hold the true one with a promised probability, whatever the model (Vovk et al. 2005).

    Split conformal: the promise holds on average over samples exchangeable with those it was fitted on, which must not
    be those the model was trained or calibrated on. "lac" gives the smallest sets on average (Sadinle et al. 2019);
    "aps" adapts to hard samples with larger sets and covers classes more evenly (Romano et al. 2020; the randomised
    form where `seed` is given to `predict_sets`, else the conservative one).
    """

    method: Method
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
        method: Method = "lac",
        widest: int | None = None,
        seed: int | None = None,
    ) -> Conformal:
        """`ConformalScores.fit(…).at(coverage)`, for one coverage."""
        scores = ConformalScores.fit(probs, labels, classes=classes, method=method, seed=seed)
        return scores.at(coverage, widest=widest)

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
        _, probs, labels = _calibration_rows(probs, labels, len(self.classes))
        if not len(probs):
            warnings.warn("the coverage on no samples is undefined: NaN", ConformalWarning, stacklevel=2)
            return {"n": 0, "coverage": math.nan, "size": math.nan, "abstained": math.nan}
        inside = self.members(probs, seed=seed)
        sizes = inside.sum(axis=1)
        return {
            "n": len(probs),
            "coverage": float(inside[np.arange(len(probs)), labels].mean()),
            "size": float(sizes.mean()),
            "abstained": float(np.mean(sizes > self.widest)) if self.widest is not None else 0.0,
        }


def _calibration_rows(probs: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which rows have a label that leads, and those rows, labels as indices."""
    probs, labels = np.asarray(probs, dtype=np.float64), np.asarray(labels)
    if probs.ndim != 2 or probs.shape[1] != classes or len(labels) != len(probs):
        raise ValueError(
            f"probs {probs.shape} must be samples × {classes} classes, with as many labels ({len(labels)})"
        )
    kept: np.ndarray = np.ones(len(probs), bool)
    if labels.ndim == 2:
        kept = np.asarray(~np.isnan(labels).any(axis=1) & (leading(labels) >= 0))
        probs, labels = probs[kept], leading(labels[kept])
    if np.isnan(probs).any():
        raise DataError("some probabilities are NaN: the model diverged, or was fed what it cannot read")
    return kept, probs, labels.astype(np.int64)


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
