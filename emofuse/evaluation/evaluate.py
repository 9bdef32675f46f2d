"""Evaluation of a model on a corpus split: every number of the report, with what it rests on."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.corpora.registry import protocol_of
from emofuse.data.examples import Example, read_examples, views_of
from emofuse.data.pairing import read_paired
from emofuse.errors import DataError
from emofuse.evaluation.audit import calibration_of, conformal_of, curves_of, groups_of
from emofuse.evaluation.predict import GIVEN, Predictions, predict_examples
from emofuse.evaluation.provenance import provenance
from emofuse.evaluation.worst import worst_of
from emofuse.metrics import Interval, MetricWarning, bootstrap, multilabel_f1, task_report, tune_thresholds
from emofuse.metrics.intervals import FEW
from emofuse.metrics.task import scores_of
from emofuse.metrics.undefined import counted_elsewhere
from emofuse.modalities import Modality
from emofuse.model.model import EmotionModel
from emofuse.tasks import Task
from emofuse.types import Split


@dataclass(frozen=True, eq=False)
class TaskEvaluation:
    """All that is measured of one task."""

    task: Task
    leading: str
    """The leading metric of the corpus's protocol."""
    report: dict[str, Any]
    """See `metrics.task_report`, of every sample with the modalities it has."""
    intervals: dict[str, Interval]
    subsets: dict[str, dict[str, Any]]
    """Subset of modalities → n, metrics, the leading metric's interval; no entry where no sample has the subset."""
    calibration: dict[str, dict[str, Any]]
    """`GIVEN` or a subset → NLL, Brier and ECE before and after the checkpoint's temperature, and the curves."""
    conformal: dict[str, dict[str, Any]]
    """Method → coverage asked, coverage and set size found on held-out halves."""
    groups: dict[str, dict[str, dict[str, Any]]]
    """Kind of group → group → n, leading metric, interval."""
    worst: list[dict[str, Any]]
    """The samples whose truth was held least likely, the worst first, with what the model was given."""
    thresholds: list[float] | None = None
    """Of a multilabel task, tuned on these very samples: for use on others."""
    decided: dict[str, dict[str, float]] | None = None
    """Of a multilabel task: how labels are decided → macro and micro F1."""
    curves: dict[str, Any] = field(default_factory=dict)
    """Of a task with classes: accuracy against the share answered, and ROC by class; see `audit.curves_of`."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found: the protocol, and each task that had a label."""

    protocol: dict[str, Any]
    tasks: dict[str, TaskEvaluation]
    notes: list[str]
    predictions: Predictions = field(repr=False)
    samples: Sequence[Example] = field(repr=False, default=())
    """What was evaluated: lends a report's worst errors their words, sounds and faces."""

    def to_dict(self) -> dict[str, Any]:
        """Plain and ready for JSON: what is undefined (NaN) is None."""
        tasks = {name: dataclasses.asdict(found) for name, found in self.tasks.items()}
        return plain({"protocol": self.protocol, "tasks": tasks, "notes": self.notes})

    def summary(self) -> dict[str, float]:
        """`task.metric` → value, the leading metric of each task: one line a task."""
        return {f"{n}.{t.leading}": t.intervals[t.leading].estimate for n, t in self.tasks.items()}


def evaluate(
    model: EmotionModel,
    samples: Sequence[Example],
    *,
    protocol: Mapping[str, Any] | None = None,
    corpus: str = "",
    coverage: float = 0.9,
    resamples: int = 1000,
    batch_size: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Metrics with intervals, subsets, calibration, prediction sets, groups and worst errors of every labelled task.

    Undefined numbers are NaN, each explained in `notes`. Raises DataError when no sample is labelled.
    """
    views = {t: head for t, head in views_of(model.tasks, corpus).items() if all(t.name in s.targets for s in samples)}
    predictions = predict_examples(model, samples, batch_size=batch_size, views=views, progress=progress)
    by_id = {s.id: s for s in samples}
    if len(by_id) != len(samples):
        raise DataError("two samples share an id; give each its own, so that errors and comparisons can name them")
    notes: list[str] = []
    tasks: dict[str, TaskEvaluation] = {}
    for task in (*model.tasks, *views):
        if not predictions.rows(GIVEN, task.name).any():
            continue
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", MetricWarning)
            tasks[task.name] = _task(predictions, samples, task, corpus, coverage, resamples)
        notes += _noted(task, tasks[task.name].report["notes"], caught)
    if not tasks:
        raise DataError("no sample carries a label of any of the model's tasks; choose a corpus that does")
    about = {"corpus": corpus, "n": len(samples), "clusters": len(set(predictions.clusters))} | dict(protocol or {})
    about["views"] = {view.name: head for view, head in views.items()}
    return Evaluation(about, tasks, list(dict.fromkeys(notes)), predictions, samples)


def evaluate_checkpoint(
    model: EmotionModel,
    corpus: str,
    root: str | Path,
    split: Split = "dev",
    *,
    limit: int | None = None,
    options: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Mapping[str, str | None]] | None = None,
    pairs: Mapping[Modality, tuple[str, str | Path]] | None = None,
    name: str = "",
    folder: str | Path | None = None,
    coverage: float = 0.9,
    resamples: int = 1000,
    batch_size: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """`evaluate` on a split of a corpus.

    `limit` takes that many utterances, every class in its share. `options` go to the corpus reader, `overrides` to the
    folding of labels; `pairs` puts samples together with those of other corpora (see `read_paired`). `folder` is the
    checkpoint's, whose report says its seeds and what development data chose (see `provenance`). Raises DataError when
    the folder is not the corpus's, or the split is empty.
    """
    samples, protocol = read_evaluation(
        model, corpus, root, split, pairs=pairs, limit=limit, options=options, overrides=overrides, name=name
    )
    protocol |= {"resamples": resamples} | (provenance(folder) if folder is not None else {})
    return evaluate(
        model, samples, protocol=protocol, corpus=corpus, coverage=coverage, resamples=resamples, batch_size=batch_size,
        progress=progress,
    )  # fmt: skip


def read_evaluation(
    model: EmotionModel,
    corpus: str,
    root: str | Path,
    split: Split,
    *,
    pairs: Mapping[Modality, tuple[str, str | Path]] | None = None,
    limit: int | None = None,
    name: str = "",
    **how: Any,
) -> tuple[list[Example], dict[str, Any]]:
    """The examples that a model is evaluated on, labelled for its tasks and those of the corpus's protocol.

    With them, the protocol that says which they were. `how` as in `read_examples`.
    """
    tasks = (*model.tasks, *views_of(model.tasks, corpus))
    if pairs:
        examples, about = read_paired(corpus, root, split, tasks, pairs, limit=limit, **how)
    else:
        found = read_examples(corpus, root, split, tasks, limit=limit, **how)
        examples, about = found.examples, found.protocol()
    return examples, {"model": name, "emofuse": model.config.emofuse_version, "reads": model.reads} | about


def plain(value: Any) -> Any:
    """Dicts, lists, strings, numbers and None: numbers that are not finite become None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (np.floating, float)):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _task(
    predictions: Predictions, samples: Sequence[Example], task: Task, corpus: str, coverage: float, resamples: int
) -> TaskEvaluation:
    name, protocol = task.name, protocol_of(corpus)
    lead, threshold = protocol.leading_metric(task), protocol.threshold
    rows = predictions.rows(GIVEN, name)
    targets, values = predictions.targets[name][rows], predictions.values[GIVEN][name][rows]
    clusters = np.array(predictions.clusters)[rows]
    with counted_elsewhere():
        intervals = {
            metric: bootstrap(score, task.flat(targets), task.flat(values), clusters=clusters, resamples=resamples)
            for metric, score in scores_of(task, threshold).items()
        }
    _warn_of_few(clusters)
    thresholds = decided = None
    if task.classes and not task.exclusive:
        thresholds, decided = _tuned(targets, values, threshold)
    return TaskEvaluation(
        task=task,
        leading=lead,
        report=task_report(task, values, targets, threshold=threshold, quiet=True),
        intervals=intervals,
        subsets=_subsets(predictions, task, lead, threshold, min(resamples, 300)),
        calibration=calibration_of(predictions, task) if task.exclusive else {},
        conformal=conformal_of(values, targets, task, coverage) if task.exclusive else {},
        groups=groups_of(predictions, samples, task, lead, threshold, min(resamples, 300)),
        worst=worst_of(predictions, samples, task, threshold=threshold),
        thresholds=thresholds,
        decided=decided,
        curves=curves_of(targets, values, task),
    )


def _warn_of_few(clusters: np.ndarray) -> None:
    several = len(set(clusters))
    if several == 1:
        text = f"a single speaker, dialogue or video ({clusters[0]}): intervals speak of no other"
    elif several < FEW:
        text = f"only {several} speakers, dialogues or videos: intervals say little of others"
    else:
        return
    warnings.warn(text, MetricWarning, stacklevel=3)


def _subsets(
    predictions: Predictions, task: Task, lead: str, threshold: float, resamples: int
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for condition in predictions.values:
        if condition == GIVEN:
            continue
        rows = predictions.rows(condition, task.name)
        if not rows.any():
            continue
        targets, values = predictions.targets[task.name][rows], predictions.values[condition][task.name][rows]
        report = task_report(task, values, targets, threshold=threshold, quiet=True)
        kept = {k: v for k, v in report.items() if isinstance(v, float)}
        with counted_elsewhere():
            score = scores_of(task, threshold)[lead]
            clusters = np.array(predictions.clusters)[rows]
            interval = bootstrap(score, task.flat(targets), task.flat(values), clusters=clusters, resamples=resamples)
        found[condition] = {"n": int(rows.sum()), **kept, "interval": interval}
    return found


def _tuned(
    targets: np.ndarray, values: np.ndarray, threshold: float
) -> tuple[list[float], dict[str, dict[str, float]]]:
    """Thresholds from all samples; F1 at one threshold for all classes, and where each half of the samples is scored
    with the thresholds of the other."""
    with counted_elsewhere():
        half = np.random.default_rng(0).permutation(len(targets)) % 2 == 0
        cuts = np.empty_like(values)
        for part in (half, ~half):
            cuts[part] = tune_thresholds(targets[~part], values[~part])
        ways = {f"threshold {cut:g}": values >= cut for cut in sorted({0.5, threshold})}
        ways["thresholds tuned on the other half"] = values >= cuts
        scored = {
            way: {f"{a}_f1": multilabel_f1(targets, given.astype(float), average=a) for a in ("macro", "micro")}
            for way, given in ways.items()
        }
        return tune_thresholds(targets, values).tolist(), scored


def _noted(task: Task, notes: Sequence[str], caught: Sequence[warnings.WarningMessage]) -> list[str]:
    said = [str(w.message) for w in caught if issubclass(w.category, MetricWarning)]
    return [f"{task.name}: {text}" for text in dict.fromkeys([*notes, *said])]
