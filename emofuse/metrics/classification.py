"""Metrics of one label per sample, all of them read off the confusion matrix.

`targets` and `predictions` are class indices in [0, classes). 0/0 is NaN, never a made-up 0; empty input gives NaN and
a `MetricWarning`. Averages leave out the classes on which they are not defined:

- UAR averages recall over the classes that occur in `targets` (scikit-learn's `balanced_accuracy_score`);
- macro F1 averages over the classes that occur in `targets` or in `predictions`, where F1 = 2TP / (2TP + FP + FN) is
  defined (scikit-learn's `f1_score(average="macro")` with its default `labels`). A class that is only ever predicted
  wrongly therefore counts as 0; one that neither occurs nor is predicted does not count;
- weighted F1 weighs by the count in `targets` (scikit-learn's `average="weighted"`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from emofuse.metrics.undefined import warn


@dataclass(frozen=True, eq=False)
class PerClass:
    """Precision, recall, F1 (NaN where 0/0) and the count of targets of each class."""

    precision: Float[np.ndarray, " classes"]
    recall: Float[np.ndarray, " classes"]
    f1: Float[np.ndarray, " classes"]
    support: Int[np.ndarray, " classes"]


def confusion_matrix(
    targets: Int[np.ndarray, " n"], predictions: Int[np.ndarray, " n"], classes: int
) -> Int[np.ndarray, "classes classes"]:
    """Counts with the truth in rows and the prediction in columns; raises ValueError for unequal lengths or indices."""
    targets, predictions = np.asarray(targets), np.asarray(predictions)
    if targets.shape != predictions.shape or targets.ndim != 1:
        raise ValueError(f"targets {targets.shape} and predictions {predictions.shape} must be vectors of one length")
    for name, values in (("targets", targets), ("predictions", predictions)):
        if len(values) and (values.min() < 0 or values.max() >= classes):
            raise ValueError(f"{name} hold {values.min()}…{values.max()}; valid: 0…{classes - 1}")
    cells = targets.astype(np.int64) * classes + predictions.astype(np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def accuracy(targets: Int[np.ndarray, " n"], predictions: Int[np.ndarray, " n"]) -> float:
    """The share of samples classified rightly (weighted accuracy, WA, in speech emotion papers); NaN when empty."""
    targets, predictions = np.asarray(targets), np.asarray(predictions)
    if targets.shape != predictions.shape:
        raise ValueError(f"targets {targets.shape} and predictions {predictions.shape} must have one shape")
    if not len(targets):
        warn("accuracy of no samples is undefined: NaN")
        return float("nan")
    return float(np.mean(targets == predictions))


def per_class(confusion: Int[np.ndarray, "classes classes"]) -> PerClass:
    """Precision, recall and F1 of every class; precision is NaN if never predicted, recall if it does not occur."""
    hits = np.diag(confusion).astype(np.float64)
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    return PerClass(
        precision=_ratio(hits, predicted), recall=_ratio(hits, support), f1=_ratio(2 * hits, support + predicted),
        support=support,
    )  # fmt: skip


def uar(targets: Int[np.ndarray, " n"], predictions: Int[np.ndarray, " n"], classes: int) -> float:
    """Unweighted average recall over the classes that occur (Schuller et al. 2009); NaN when empty."""
    scores = per_class(confusion_matrix(targets, predictions, classes))
    _warn_of_gaps("UAR", scores.support)
    return mean_where_defined(scores.recall)


def macro_f1(targets: Int[np.ndarray, " n"], predictions: Int[np.ndarray, " n"], classes: int) -> float:
    """Mean F1 over the classes that occur in targets or predictions (see the module); NaN when empty."""
    scores = per_class(confusion_matrix(targets, predictions, classes))
    _warn_of_gaps("macro F1", scores.support)
    return mean_where_defined(scores.f1)


def weighted_f1(targets: Int[np.ndarray, " n"], predictions: Int[np.ndarray, " n"], classes: int) -> float:
    """Mean F1 weighted by how often each class occurs in targets; NaN when empty."""
    scores = per_class(confusion_matrix(targets, predictions, classes))
    if not scores.support.sum():
        warn("weighted F1 of no samples is undefined: NaN")
        return float("nan")
    return float(np.dot(np.nan_to_num(scores.f1), scores.support) / scores.support.sum())


def auroc(positive: Int[np.ndarray, " n"], scores: Float[np.ndarray, " n"]) -> float:
    """The chance that a positive outranks a negative, ties counting half (Mann-Whitney U).

    `positive` is 0 or 1. NaN and a warning when only one of the two occurs.
    """
    from scipy.stats import rankdata

    positive, scores = np.asarray(positive).astype(bool), np.asarray(scores, dtype=np.float64)
    ups, downs = int(positive.sum()), int((~positive).sum())
    if not ups or not downs:
        warn(f"AUROC needs both positives and negatives; came {ups} and {downs}: NaN")
        return float("nan")
    return float((rankdata(scores)[positive].sum() - ups * (ups + 1) / 2) / (ups * downs))


def mean_where_defined(values: Float[np.ndarray, " k"]) -> float:
    """The mean of what is not NaN; NaN when nothing is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _ratio(top: np.ndarray, bottom: np.ndarray) -> Float[np.ndarray, " k"]:
    return np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)


def _warn_of_gaps(metric: str, support: Int[np.ndarray, " classes"]) -> None:
    empty = np.flatnonzero(support == 0)
    if not support.sum():
        warn(f"{metric} of no samples is undefined: NaN")
    elif len(empty):
        which = ", ".join(map(str, empty))
        warn(f"{metric}: class {which} has no samples and does not count as recalled or missed")
