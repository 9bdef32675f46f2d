"""The standard set of numbers for each kind of task, as plain dicts ready for JSON; NaN stays NaN.

Rows whose target is NaN are unlabelled and left out. `notes` says in words where a number is undefined and why; the
same sentences are issued once as a `MetricWarning`, unless `quiet` (a training loop meets the same gap every epoch).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from emofuse.metrics import classification, confidence, multilabel, regression
from emofuse.metrics.undefined import MetricWarning, counted_elsewhere
from emofuse.tasks import Task


def task_report(
    task: Task, predictions: np.ndarray, targets: np.ndarray, *, threshold: float = 0.5, quiet: bool = False
) -> dict[str, Any]:
    """The report of whichever kind `task` is; a scalar task that spans -3…3 gets the sentiment accuracies too.

    `predictions` and `targets` are n × width, or n for a scalar; `threshold` is for labels that stand beside each
    other.
    """
    if task.kind == "categorical":
        return classification_report(predictions, targets, task.classes, quiet=quiet)
    if task.kind == "multilabel":
        return multilabel_report(predictions, targets, task.classes, thresholds=threshold, quiet=quiet)
    sentiment = (task.low, task.high) == (-3.0, 3.0)
    flat = np.asarray(predictions).reshape(-1), np.asarray(targets).reshape(-1)
    report = regression_report(*flat, sentiment=sentiment, quiet=quiet)
    if task.name.startswith("sims_"):
        with counted_elsewhere():
            report |= regression.sims_scores(*(side[~np.isnan(flat[1])] for side in (flat[1], flat[0])))
    return report


def classification_report(
    probs: Float[np.ndarray, "n k"],
    targets: Float[np.ndarray, "n k"],
    classes: Sequence[str],
    *,
    quiet: bool = False,
) -> dict[str, Any]:
    """Accuracy, UAR, macro and weighted F1, per-class figures, confusion, AUROC (one against all), NLL, Brier and ECE.

    Targets are one-hot or soft; a soft one counts as its leading class (the first of a tie, `ties` says how many) for
    everything but NLL and Brier.
    """
    probs, targets, unlabelled = _labelled(probs, targets, len(classes))
    truth, guess = targets.argmax(axis=1), probs.argmax(axis=1)
    notes = _notes_on_classes(truth, guess, classes)
    with counted_elsewhere():
        confusion = classification.confusion_matrix(truth, guess, len(classes))
        each = classification.per_class(confusion)
        aurocs = [classification.auroc(truth == k, probs[:, k]) for k in range(len(classes))]
        report = {
            "kind": "categorical",
            "n": len(truth),
            "unlabelled": unlabelled,
            "ties": int(np.sum(np.sum(targets == targets.max(axis=1, keepdims=True), axis=1) > 1)) if len(truth) else 0,
            "accuracy": classification.accuracy(truth, guess),
            "uar": classification.uar(truth, guess, len(classes)),
            "macro_f1": classification.macro_f1(truth, guess, len(classes)),
            "weighted_f1": classification.weighted_f1(truth, guess, len(classes)),
            "auroc": classification.mean_where_defined(np.array(aurocs)),
            "nll": confidence.nll(targets, probs),
            "brier": confidence.brier(targets, probs),
            "ece": confidence.ece(targets, probs),
            "ece_mass": confidence.ece(targets, probs, binning="mass"),
            "classes": list(classes),
            "per_class": {
                name: {
                    "precision": float(each.precision[k]), "recall": float(each.recall[k]), "f1": float(each.f1[k]),
                    "auroc": aurocs[k], "support": int(each.support[k]),
                }
                for k, name in enumerate(classes)
            },
            "confusion": confusion.tolist(),
            "notes": notes,
        }  # fmt: skip
    _say(notes, quiet)
    return report


def multilabel_report(
    probs: Float[np.ndarray, "n k"],
    targets: Float[np.ndarray, "n k"],
    classes: Sequence[str],
    *,
    thresholds: float | Float[np.ndarray, " k"] = 0.5,
    quiet: bool = False,
) -> dict[str, Any]:
    """Macro and micro F1 at `thresholds` (from `tune_thresholds` on dev), AUROC, and F1 per class."""
    probs, targets, unlabelled = _labelled(probs, targets, len(classes))
    present = targets >= multilabel.POSITIVE
    notes = ["nothing to score: every metric is undefined"] if not len(targets) else []
    notes += [f"{name}: no sample has it" for k, name in enumerate(classes) if len(targets) and not present[:, k].any()]
    with counted_elsewhere():
        each = multilabel.multilabel_f1_per_class(targets, probs, thresholds)
        report = {
            "kind": "multilabel",
            "n": len(targets),
            "unlabelled": unlabelled,
            "macro_f1": multilabel.multilabel_f1(targets, probs, thresholds),
            "micro_f1": multilabel.multilabel_f1(targets, probs, thresholds, average="micro"),
            "auroc": multilabel.multilabel_auroc(targets, probs),
            "classes": list(classes),
            "per_class": {
                name: {"f1": float(each[k]), "support": int(present[:, k].sum())} for k, name in enumerate(classes)
            },
            "thresholds": np.broadcast_to(thresholds, len(classes)).astype(float).tolist(),
            "notes": notes,
        }
    _say(notes, quiet)
    return report


def regression_report(
    predictions: Float[np.ndarray, " n"],
    targets: Float[np.ndarray, " n"],
    *,
    sentiment: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """MAE, RMSE, Pearson and CCC; with `sentiment` (scale -3…3) also Acc-2/3/5/7 and F1 as CMU-MOSI reports them."""
    predictions, targets = np.asarray(predictions, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    labelled = ~np.isnan(targets)
    unlabelled = int((~labelled).sum())
    predictions, targets = predictions[labelled], targets[labelled]
    notes = ["nothing to score: every metric is undefined"] if not len(targets) else []
    if len(targets):
        sides = (("targets", targets), ("predictions", predictions))
        notes += [f"the {side} are all {v[0]:g}: correlation is undefined" for side, v in sides if np.ptp(v) == 0]
    with counted_elsewhere():
        report: dict[str, Any] = {
            "kind": "scalar",
            "n": len(targets),
            "unlabelled": unlabelled,
            "mae": regression.mae(targets, predictions),
            "rmse": regression.rmse(targets, predictions),
            "pearson": regression.pearson(targets, predictions),
            "ccc": regression.ccc(targets, predictions),
        }
        if sentiment:
            report |= regression.sentiment_scores(targets, predictions)
    report["notes"] = notes
    _say(notes, quiet)
    return report


def _labelled(probs: np.ndarray, targets: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray, int]:
    probs, targets = np.asarray(probs, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if probs.shape != targets.shape or probs.ndim != 2 or probs.shape[1] != classes:
        raise ValueError(f"probs {probs.shape} and targets {targets.shape} must both be samples × {classes} classes")
    kept = ~np.isnan(targets).any(axis=1)
    return probs[kept], targets[kept], int((~kept).sum())


def _notes_on_classes(truth: np.ndarray, guess: np.ndarray, classes: Sequence[str]) -> list[str]:
    if not len(truth):
        return ["nothing to score: every metric is undefined"]
    missing = [name for k, name in enumerate(classes) if not np.any(truth == k)]
    notes = (
        [f"no sample is {', '.join(missing)}: left out of UAR; its recall and AUROC are undefined"] if missing else []
    )
    if len(truth) > 1 and np.ptp(guess) == 0:
        notes.append(f"every prediction is {classes[guess[0]]}")
    return notes


def _say(notes: list[str], quiet: bool) -> None:
    if notes and not quiet:
        warnings.warn("; ".join(notes), MetricWarning, stacklevel=3)
