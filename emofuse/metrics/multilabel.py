"""Metrics of several labels a sample: F1 at a threshold of each class's own, chosen on dev and never on test."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from emofuse.metrics.classification import auroc, mean_where_defined
from emofuse.metrics.undefined import warn
from emofuse.tasks import POSITIVE


def multilabel_f1(
    targets: Float[np.ndarray, "n classes"],
    probs: Float[np.ndarray, "n classes"],
    thresholds: float | Float[np.ndarray, " classes"] = 0.5,
    *,
    average: Literal["macro", "micro"] = "macro",
) -> float:
    """F1 of `probs` ≥ threshold. Macro averages the classes that occur or are predicted; micro pools the counts.

    NaN and a warning when no label occurs and none is predicted.
    """
    scores, pooled = _f1(targets, probs, thresholds)
    value = mean_where_defined(scores) if average == "macro" else pooled
    if np.isnan(value):
        warn(f"{average} F1 with no label in targets or predictions is undefined: NaN")
    return value


def multilabel_f1_per_class(
    targets: Float[np.ndarray, "n classes"],
    probs: Float[np.ndarray, "n classes"],
    thresholds: float | Float[np.ndarray, " classes"] = 0.5,
) -> Float[np.ndarray, " classes"]:
    """F1 of each class; NaN where a class neither occurs nor is predicted."""
    return _f1(targets, probs, thresholds)[0]


def multilabel_auroc(targets: Float[np.ndarray, "n classes"], probs: Float[np.ndarray, "n classes"]) -> float:
    """AUROC averaged over the classes that have both positives and negatives; the others are named in a warning."""
    present, probs = _labels(targets), np.asarray(probs, dtype=np.float64)
    usable = present.any(axis=0) & ~present.all(axis=0) if len(present) else np.zeros(present.shape[1], dtype=bool)
    if not usable.all():
        warn(f"AUROC leaves out class {', '.join(map(str, np.flatnonzero(~usable)))}: only one of present and absent")
    return mean_where_defined(np.array([auroc(present[:, k], probs[:, k]) for k in np.flatnonzero(usable)]))


def tune_thresholds(
    targets: Float[np.ndarray, "n classes"], probs: Float[np.ndarray, "n classes"]
) -> Float[np.ndarray, " classes"]:
    """The threshold of each class that gives it the highest F1 on this (dev) data.

    Candidates lie half-way between neighbouring scores, so that scores near the threshold do not decide it; of equally
    good ones the nearest to 0.5 wins. A class that does not occur keeps 0.5, and a warning names it.
    """
    present, probs = _labels(targets), np.asarray(probs, dtype=np.float64)
    thresholds = np.full(present.shape[1], 0.5)
    missing = [str(k) for k in range(present.shape[1]) if not present[:, k].any()]
    if missing:
        warn(f"no sample has class {', '.join(missing)}: its threshold stays 0.5")
    for k in range(present.shape[1]):
        if present[:, k].any():
            thresholds[k] = _best_threshold(present[:, k], probs[:, k])
    return thresholds


def _best_threshold(present: Bool[np.ndarray, " n"], scores: Float[np.ndarray, " n"]) -> float:
    """One sweep: sorted from the top, the k highest are predicted; hits among them are a running sum."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(present[order])
    last_of_tie = np.append(ranked[1:] != ranked[:-1], True)
    f1 = (2 * hits / (np.arange(1, len(ranked) + 1) + present.sum()))[last_of_tie]
    kept = ranked[last_of_tie]
    cuts = (kept + np.append(kept[1:], 0.0)) / 2
    best = np.flatnonzero(np.isclose(f1, f1.max(), rtol=0, atol=1e-12))
    return float(min(cuts[best], key=lambda cut: abs(cut - 0.5)))


def _f1(
    targets: np.ndarray, probs: np.ndarray, thresholds: float | np.ndarray
) -> tuple[Float[np.ndarray, " classes"], float]:
    present, guessed = _labels(targets), np.asarray(probs, dtype=np.float64) >= thresholds
    if present.shape != guessed.shape:
        raise ValueError(f"targets {present.shape} and probs {guessed.shape} must have one shape")
    hits = (present & guessed).sum(axis=0).astype(np.float64)
    counted = present.sum(axis=0) + guessed.sum(axis=0)
    each = np.divide(2 * hits, counted, out=np.full(len(hits), np.nan), where=counted > 0)
    return each, float(2 * hits.sum() / counted.sum()) if counted.sum() else float("nan")


def _labels(targets: np.ndarray) -> Bool[np.ndarray, "n classes"]:
    targets = np.asarray(targets, dtype=np.float64)
    if targets.ndim != 2:
        raise ValueError(f"multilabel targets must be samples × classes; came {targets.shape}")
    return targets >= POSITIVE
