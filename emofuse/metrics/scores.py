"""Which metrics a task is reported in, as functions of (targets, values) that intervals and tests can resample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emofuse import metrics
from emofuse.tasks import Task

Score = Callable[[np.ndarray, np.ndarray], float]
LOWER_IS_BETTER = frozenset({"mae", "rmse", "nll", "brier", "ece", "ece_mass"})
LABELS = {
    "accuracy": "accuracy (WA)", "uar": "UAR", "macro_f1": "macro F1", "weighted_f1": "weighted F1",
    "micro_f1": "micro F1", "auroc": "AUROC", "mae": "MAE", "rmse": "RMSE", "pearson": "Pearson", "ccc": "CCC",
    "nll": "NLL", "brier": "Brier", "ece": "ECE", "ece_mass": "ECE (equal mass)", "acc2_has0": "Acc-2 (has 0)",
    "acc2_non0": "Acc-2 (non 0)", "f1_has0": "F1 (has 0)", "f1_non0": "F1 (non 0)", "acc3": "Acc-3", "acc5": "Acc-5",
    "acc7": "Acc-7", "acc2": "Acc-2", "f1": "F1 (2 classes)",
}  # fmt: skip


def is_sentiment(task: Task) -> bool:
    """Whether the sentiment accuracies apply: a number from -3 to 3."""
    return task.kind == "scalar" and (task.low, task.high) == (-3.0, 3.0)


def is_sims(task: Task) -> bool:
    """Whether it is one of CH-SIMS's own scales."""
    return task.kind == "scalar" and task.name.startswith("sims_")


def scores_of(task: Task, threshold: float = 0.5) -> dict[str, Score]:
    """The metrics of a task by name, the general ones first; values and targets are n × width, or n for a scalar.

    `threshold` is for labels that may stand beside each other.
    """
    if task.kind == "categorical":
        return {
            "accuracy": lambda t, v: metrics.accuracy(t.argmax(axis=1), v.argmax(axis=1)),
            "uar": lambda t, v: metrics.uar(t.argmax(axis=1), v.argmax(axis=1), task.width),
            "macro_f1": lambda t, v: metrics.macro_f1(t.argmax(axis=1), v.argmax(axis=1), task.width),
            "weighted_f1": lambda t, v: metrics.weighted_f1(t.argmax(axis=1), v.argmax(axis=1), task.width),
        }
    if task.kind == "multilabel":
        return {
            "macro_f1": lambda t, v: metrics.multilabel_f1(t, v, threshold),
            "micro_f1": lambda t, v: metrics.multilabel_f1(t, v, threshold, average="micro"),
            "auroc": metrics.multilabel_auroc,
        }
    found: dict[str, Score] = {"mae": metrics.mae, "pearson": metrics.pearson, "ccc": metrics.ccc}
    if is_sentiment(task):
        names = ("acc2_has0", "acc2_non0", "f1_has0", "f1_non0", "acc3", "acc5", "acc7")
        found |= {name: _one_of(metrics.sentiment_scores, name) for name in names}
    if is_sims(task):
        found |= {name: _one_of(metrics.sims_scores, name) for name in ("acc2", "f1", "acc3", "acc5")}
    return found


def _one_of(scores: Callable[[np.ndarray, np.ndarray], dict[str, float]], name: str) -> Score:
    return lambda t, v: scores(t, v)[name]
