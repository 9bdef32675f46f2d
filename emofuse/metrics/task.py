"""The metrics of a task, decided by its kind: as functions to resample, as numbers, and as a report ready for JSON.

Rows whose target is NaN are unlabelled and left out of a report; NaN stays NaN. `notes` says in words where a number is
undefined and why; the same sentences are issued once as a `MetricWarning`, unless `quiet` (a training loop meets the
same gap every epoch).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from emofuse.metrics import classification, confidence, multilabel, regression
from emofuse.metrics.undefined import MetricWarning, counted_elsewhere
from emofuse.tasks import POSITIVE, Task, leading

Score = Callable[[np.ndarray, np.ndarray], float]
"""(targets, values) → a number."""
Accuracies = Callable[[np.ndarray, np.ndarray], dict[str, float]]
"""(targets, values) of a scalar → the accuracies of its published protocol, by name."""
LOWER_IS_BETTER = frozenset({"mae", "rmse", "nll", "brier", "ece", "ece_mass"})
LABELS = {
    "accuracy": "accuracy (WA)", "uar": "UAR", "macro_f1": "macro F1", "weighted_f1": "weighted F1",
    "micro_f1": "micro F1", "auroc": "AUROC", "mae": "MAE", "rmse": "RMSE", "pearson": "Pearson", "ccc": "CCC",
    "nll": "NLL", "brier": "Brier", "ece": "ECE", "ece_mass": "ECE (equal mass)", "acc2_has0": "Acc-2 (has 0)",
    "acc2_non0": "Acc-2 (non 0)", "f1_has0": "F1 (has 0)", "f1_non0": "F1 (non 0)", "acc3": "Acc-3", "acc5": "Acc-5",
    "acc7": "Acc-7", "acc2": "Acc-2", "f1": "F1 (2 classes)",
}  # fmt: skip

_HEADLINE = {
    "categorical": ("accuracy", "uar", "macro_f1", "weighted_f1"),
    "multilabel": ("macro_f1", "micro_f1", "auroc"),
    "scalar": ("mae", "pearson", "ccc"),
}
_BY_SUBSET = {
    "categorical": ("uar", "accuracy", "macro_f1", "ece"),
    "multilabel": ("macro_f1", "micro_f1"),
    "scalar": ("mae", "ccc"),
}

ACCURACIES: dict[Accuracies, tuple[str, ...]] = {
    regression.sentiment_scores: ("acc2_has0", "acc2_non0", "f1_has0", "f1_non0", "acc3", "acc5", "acc7"),
    regression.sims_scores: ("acc2", "f1", "acc3", "acc5"),
}


def headline(task: Task) -> tuple[str, ...]:
    """Its metrics in cards and tables of results."""
    return _HEADLINE[task.kind]


def by_subset(task: Task) -> tuple[str, ...]:
    """Its metrics in a table with a row a subset of modalities."""
    return _BY_SUBSET[task.kind]


def scores_of(task: Task, threshold: float = 0.5) -> dict[str, Score]:
    """The metrics of a task by name, the general ones first; values and targets are n × width, or n for a scalar.

    `threshold` is for labels that may stand beside each other.
    """
    if task.exclusive:
        return _class_scores(task.width)
    return _label_scores(threshold) if task.classes else _scalar_scores(accuracies_of(task))


def accuracies_of(task: Task) -> Accuracies | None:
    """The accuracies that papers report of a scalar beside its error: of -3…3 as CMU-MOSI's, of CH-SIMS as its own."""
    if task.on_sentiment_scale:
        return regression.sentiment_scores
    return regression.sims_scores if not task.classes and task.name.startswith("sims_") else None


def metric_names(task: Task) -> tuple[str, ...]:
    """Names of what `task_metrics` gives."""
    return (*scores_of(task), *(("nll",) if task.exclusive else ()))


def task_metrics(task: Task, values: np.ndarray, targets: np.ndarray, *, threshold: float = 0.5) -> dict[str, float]:
    """Every metric of the labelled rows, by name, with their number `n`: what a training run follows.

    `values` are probabilities, or numbers within the scalar's range, NaN where there is no answer; both are n × width.
    A soft target counts as its leading class, but for NLL; `threshold` is for labels that stand beside each other.
    """
    kept = ~np.isnan(targets).any(axis=1) & ~np.isnan(values).any(axis=1)
    values, targets = values[kept], targets[kept]
    if not len(values):
        return {"n": 0}
    shaped = task.flat(targets), task.flat(values)
    with counted_elsewhere():
        found = {"n": len(values), **{name: score(*shaped) for name, score in scores_of(task, threshold).items()}}
        return found | ({"nll": confidence.nll(targets, values)} if task.exclusive else {})


def row_errors(task: Task, values: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row, how far it is off and whether it is wrong; both n × width, NaN stays NaN.

    Of exclusive classes the divergence from the target, wrong where another class leads it; else the mean difference.
    """
    if not task.exclusive:
        off = np.abs(targets - values).mean(axis=1)
        return off, off > 0
    off = np.sum(targets * (np.log(np.maximum(targets, 1e-12)) - np.log(np.maximum(values, 1e-12))), axis=1)
    guessed = np.take_along_axis(targets, values.argmax(axis=1)[:, None], axis=1)[:, 0]
    return off, guessed < targets.max(axis=1)


def task_report(
    task: Task, predictions: np.ndarray, targets: np.ndarray, *, threshold: float = 0.5, quiet: bool = False
) -> dict[str, Any]:
    """The report of whichever kind `task` is.

    `predictions` and `targets` are n × width, or n for a scalar; `threshold` is for labels that stand beside each
    other.
    """
    if task.exclusive:
        return classification_report(predictions, targets, task.classes, quiet=quiet)
    if task.classes:
        return multilabel_report(predictions, targets, task.classes, thresholds=threshold, quiet=quiet)
    flat = np.asarray(predictions).reshape(-1), np.asarray(targets).reshape(-1)
    return regression_report(*flat, accuracies=accuracies_of(task), quiet=quiet)


def classification_report(
    probs: Float[np.ndarray, "n k"],
    targets: Float[np.ndarray, "n k"],
    classes: Sequence[str],
    *,
    quiet: bool = False,
) -> dict[str, Any]:
    """Accuracy, UAR, macro and weighted F1, per-class figures, confusion, AUROC (one against all), NLL, Brier and ECE.

    Targets are one-hot or soft; a soft one counts as its leading class for everything but NLL and Brier. Where several
    lead alike (`ties` says how often) nobody knows the class: such a row counts for NLL and Brier alone.
    """
    probs, targets, unlabelled = _labelled(probs, targets, len(classes))
    truth, guess, sure = _decided(targets, probs)
    notes = _notes_on_classes(truth, guess, classes)
    with counted_elsewhere():
        confusion = classification.confusion_matrix(truth, guess, len(classes))
        each = classification.per_class(confusion)
        aurocs = [classification.auroc(truth == k, sure[:, k]) for k in range(len(classes))]
        report = {
            "kind": "categorical",
            "n": len(targets),
            "unlabelled": unlabelled,
            "ties": len(targets) - len(truth),
            **{name: score(targets, probs) for name, score in _class_scores(len(classes)).items()},
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
    present = targets >= POSITIVE
    notes = ["nothing to score: every metric is undefined"] if not len(targets) else []
    notes += [f"{name}: no sample has it" for k, name in enumerate(classes) if len(targets) and not present[:, k].any()]
    with counted_elsewhere():
        each = multilabel.multilabel_f1_per_class(targets, probs, thresholds)
        report = {
            "kind": "multilabel",
            "n": len(targets),
            "unlabelled": unlabelled,
            **{name: score(targets, probs) for name, score in _label_scores(thresholds).items()},
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
    accuracies: Accuracies | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """MAE, RMSE, Pearson and CCC, and the `accuracies` of the scale's published protocol (see `accuracies_of`)."""
    predictions, targets = np.asarray(predictions, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    labelled = ~np.isnan(targets)
    unlabelled = int((~labelled).sum())
    predictions, targets = predictions[labelled], targets[labelled]
    notes = ["nothing to score: every metric is undefined"] if not len(targets) else []
    if len(targets):
        sides = (("targets", targets), ("predictions", predictions))
        notes += [f"the {side} are all {v[0]:g}: correlation is undefined" for side, v in sides if np.ptp(v) == 0]
    with counted_elsewhere():
        general = {name: score(targets, predictions) for name, score in _scalar_scores(None).items()}
        report: dict[str, Any] = {
            "kind": "scalar",
            "n": len(targets),
            "unlabelled": unlabelled,
            "mae": general["mae"],
            "rmse": regression.rmse(targets, predictions),
            **general,
            **(accuracies(targets, predictions) if accuracies else {}),
        }
    report["notes"] = notes
    _say(notes, quiet)
    return report


def _class_scores(classes: int) -> dict[str, Score]:
    return {
        "accuracy": lambda t, v: classification.accuracy(*_decided(t, v)[:2]),
        "uar": lambda t, v: classification.uar(*_decided(t, v)[:2], classes),
        "macro_f1": lambda t, v: classification.macro_f1(*_decided(t, v)[:2], classes),
        "weighted_f1": lambda t, v: classification.weighted_f1(*_decided(t, v)[:2], classes),
    }


def _decided(targets: np.ndarray, probs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Leading class, predicted class and probabilities of the rows that one class leads."""
    truth = leading(targets)
    kept = truth >= 0
    return truth[kept], probs[kept].argmax(axis=1), probs[kept]


def _label_scores(thresholds: float | Float[np.ndarray, " k"]) -> dict[str, Score]:
    return {
        "macro_f1": lambda t, v: multilabel.multilabel_f1(t, v, thresholds),
        "micro_f1": lambda t, v: multilabel.multilabel_f1(t, v, thresholds, average="micro"),
        "auroc": multilabel.multilabel_auroc,
    }


def _scalar_scores(accuracies: Accuracies | None) -> dict[str, Score]:
    found: dict[str, Score] = {"mae": regression.mae, "pearson": regression.pearson, "ccc": regression.ccc}
    if accuracies:
        found |= {name: partial(_one_of, accuracies, name) for name in ACCURACIES[accuracies]}
    return found


def _one_of(accuracies: Accuracies, name: str, targets: np.ndarray, values: np.ndarray) -> float:
    return accuracies(targets, values)[name]


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
