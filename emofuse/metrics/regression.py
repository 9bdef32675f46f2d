"""Metrics of a scalar, and the accuracies that the sentiment corpora read off one.

All of them take float vectors without NaN, compute in float64, and answer NaN with a `MetricWarning` for empty input.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from emofuse.metrics.classification import accuracy, weighted_f1
from emofuse.metrics.undefined import pair, warn


def mae(targets: Float[np.ndarray, " n"], predictions: Float[np.ndarray, " n"]) -> float:
    """Mean absolute error, in the unit of the target."""
    targets, predictions = pair("MAE", targets, predictions, name="predictions", axes=1)
    return float(np.mean(np.abs(targets - predictions))) if len(targets) else float("nan")


def rmse(targets: Float[np.ndarray, " n"], predictions: Float[np.ndarray, " n"]) -> float:
    """Root mean squared error, in the unit of the target."""
    targets, predictions = pair("RMSE", targets, predictions, name="predictions", axes=1)
    return float(np.sqrt(np.mean((targets - predictions) ** 2))) if len(targets) else float("nan")


def pearson(targets: Float[np.ndarray, " n"], predictions: Float[np.ndarray, " n"]) -> float:
    """Pearson's correlation; NaN and a warning when either side is constant or there are fewer than two samples."""
    targets, predictions = pair("Pearson's correlation", targets, predictions, name="predictions", axes=1)
    if not len(targets):
        return float("nan")
    if _constant("Pearson's correlation", targets, predictions):
        return float("nan")
    x, y = targets - targets.mean(), predictions - predictions.mean()
    x, y = x / np.abs(x).max(), y / np.abs(y).max()
    return float(np.clip(np.dot(x, y) / np.sqrt(np.dot(x, x) * np.dot(y, y)), -1.0, 1.0))


def ccc(targets: Float[np.ndarray, " n"], predictions: Float[np.ndarray, " n"]) -> float:
    """Concordance correlation, 2·cov / (var + var + (difference of means)²), with population moments (Lin 1989).

    One constant side gives 0 by the formula, and a warning; two constants that are equal give 0/0: NaN, and a warning.
    """
    targets, predictions = pair("CCC", targets, predictions, name="predictions", axes=1)
    if not len(targets):
        return float("nan")
    if (
        _constant("CCC", targets, predictions)
        and float(targets[0]) == float(predictions[0])
        and (np.ptp(targets) == np.ptp(predictions) == 0)
    ):
        return float("nan")
    covariance = np.mean((targets - targets.mean()) * (predictions - predictions.mean()))
    spread = targets.var() + predictions.var() + (targets.mean() - predictions.mean()) ** 2
    return float(2 * covariance / spread)


def sentiment_scores(targets: Float[np.ndarray, " n"], predictions: Float[np.ndarray, " n"]) -> dict[str, float]:
    """The protocol of CMU-MOSI and CMU-MOSEI on the scale -3…3, as MMSA (Mao et al. 2022) computes it.

    `has0` splits at ≥ 0 and keeps every sample, `non0` splits at > 0 and leaves out the samples whose target is 0; the
    F1 of both is weighted. Acc-3, -5 and -7 clip to ±1, ±2 and ±3, then round (halves to even) both sides.
    """
    targets, predictions = pair("the sentiment accuracies", targets, predictions, name="predictions", axes=1)
    scores: dict[str, float] = {}
    kept = targets != 0
    for name, truth, guess in (
        ("has0", targets >= 0, predictions >= 0),
        ("non0", targets[kept] > 0, predictions[kept] > 0),
    ):
        scores[f"acc2_{name}"] = accuracy(truth, guess)
        scores[f"f1_{name}"] = weighted_f1(truth.astype(np.int64), guess.astype(np.int64), 2)
    for classes in (3, 5, 7):
        reach = classes // 2
        scores[f"acc{classes}"] = accuracy(
            np.round(np.clip(targets, -reach, reach)), np.round(np.clip(predictions, -reach, reach))
        )
    return scores


SIMS_CUTS = {2: (0.0,), 3: (-0.1, 0.1), 5: (-0.7, -0.1, 0.1, 0.7)}
"""Where CH-SIMS's scale is cut; a value on a cut belongs below it."""


def sims_scores(targets: Float[np.ndarray, " n"], predictions: Float[np.ndarray, " n"]) -> dict[str, float]:
    """The protocol of CH-SIMS on the scale -1…1, as MMSA computes it: Acc-2 with its weighted F1, Acc-3 and Acc-5."""
    targets, predictions = pair("the accuracies of CH-SIMS", targets, predictions, name="predictions", axes=1)
    sides = [np.clip(side, -1, 1) for side in (targets, predictions)]
    cut = {k: [np.searchsorted(cuts, side, side="left") for side in sides] for k, cuts in SIMS_CUTS.items()}
    scores = {f"acc{k}": accuracy(*both) for k, both in cut.items()}
    return scores | {"f1": weighted_f1(*cut[2], 2)}


def _constant(metric: str, targets: np.ndarray, predictions: np.ndarray) -> bool:
    sides = [n for n, v in (("targets", targets), ("predictions", predictions)) if np.ptp(v) == 0]
    if sides:
        warn(f"{metric}: the {' and the '.join(sides)} are constant")
    return bool(sides)
