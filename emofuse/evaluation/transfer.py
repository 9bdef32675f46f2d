"""`Transfer`: a model that was trained on one corpus, measured on others over the labels that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from emofuse.data.examples import Example
from emofuse.errors import DataError
from emofuse.evaluation.evaluate import plain
from emofuse.evaluation.predict import GIVEN, predict_examples
from emofuse.metrics import Interval, bootstrap
from emofuse.metrics.task import headline, scores_of
from emofuse.metrics.undefined import counted_elsewhere
from emofuse.model.model import EmotionModel
from emofuse.tasks import POSITIVE, Task, leading


@dataclass(frozen=True, eq=False)
class Answered:
    """A split of a corpus as several runs of one recipe answer it."""

    corpus: str
    split: str
    protocol: Mapping[str, Any]
    targets: Mapping[str, Float[np.ndarray, "n width"]]
    values: Mapping[str, Float[np.ndarray, "n runs width"]]
    """By task; NaN where a run has not learnt it."""
    clusters: Sequence[str]


@dataclass(frozen=True, eq=False)
class Figures:
    """The metrics of one task on one corpus, over the labels that it shares with the corpus of training."""

    interval: Mapping[str, Interval]
    """Metric → the mean over runs, with its interval over speakers, dialogues or videos."""
    deviation: Mapping[str, float]
    """Metric → standard deviation over runs; {} of a single one."""
    n: int


@dataclass(frozen=True, eq=False)
class Crossing:
    """One task from the corpus of training to another: at home and abroad over the same labels."""

    task: str
    home: str
    abroad: str
    labels: tuple[str, ...]
    """What both have; () for a number."""
    left_out: tuple[str, ...]
    """Labels of the task that one of the two lacks, whose samples are not counted."""
    chance: float | None
    """The UAR of a guess."""
    at_home: Figures
    away: Figures


@dataclass(frozen=True, eq=False)
class Transfer:
    """What `transfer` found, and what it rests on."""

    name: str
    seeds: tuple[int, ...]
    crossings: tuple[Crossing, ...]
    protocols: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain and ready for JSON: what is undefined (NaN) is None."""
        return plain({k: getattr(self, k) for k in ("name", "seeds", "crossings", "protocols", "notes")})


def answered(
    models: Sequence[EmotionModel], examples: Sequence[Example], corpus: str, split: str, protocol: Mapping[str, Any]
) -> Answered:
    """The examples through every model. Raises DataError where there is none."""
    found = [predict_examples(model, examples, subsets=()) for model in models]
    first = found[0]
    values = {t.name: np.stack([p.values[GIVEN][t.name] for p in found], 1) for t in models[0].tasks}
    return Answered(corpus, split, protocol, first.targets, values, first.clusters)


def crossings(
    tasks: Sequence[Task],
    trained: Mapping[str, Float[np.ndarray, "n width"]],
    home: Answered,
    abroad: Answered,
    resamples: int = 1000,
) -> tuple[list[Crossing], list[str]]:
    """Every task that both corpora label, and why each of the others is left out.

    `trained`: targets of the training examples by task, which say what could be learnt.
    """
    found, notes = [], []
    for task in tasks:
        sides = [_labels(task, targets) for targets in (trained[task.name], abroad.targets[task.name])]
        labels = tuple(c for c in task.classes if all(c in side for side in sides))
        if not all(_labelled(table).any() for table in (trained[task.name], abroad.targets[task.name])):
            notes.append(f"{abroad.corpus}: no label of {task.name} that {home.corpus} has too")
            continue
        if task.classes and len(labels) < (2 if task.exclusive else 1):
            notes.append(f"{abroad.corpus}: shares {len(labels)} of the classes of {task.name} with {home.corpus}")
            continue
        own = _figures(task, labels, home, resamples)
        away = _figures(task, labels, abroad, resamples)
        gone = tuple(c for c in task.classes if c not in labels)
        chance = 1 / len(labels) if task.exclusive else None
        found.append(Crossing(task.name, home.corpus, abroad.corpus, labels, gone, chance, own, away))
    return found, notes


def _labels(task: Task, targets: Float[np.ndarray, "n width"]) -> set[str]:
    """Classes that lead a target, or labels that hold in one; of a number none."""
    if not task.classes:
        return set()
    known = targets[_labelled(targets)]
    if task.exclusive:
        return {task.classes[i] for i in np.unique(leading(known)) if i >= 0}
    return {c for c, column in zip(task.classes, np.any(known >= POSITIVE, axis=0), strict=True) if column}


def _labelled(targets: Float[np.ndarray, "n width"]) -> np.ndarray:
    return ~np.asarray(np.isnan(targets).any(axis=1))


def _figures(task: Task, labels: Sequence[str], given: Answered, resamples: int) -> Figures:
    """Over the rows whose truth is one of the labels; of exclusive classes, answers are shares among these alone."""
    targets, values = given.targets[task.name], given.values[task.name]
    rows = _labelled(targets) & ~np.isnan(values).any((1, 2))
    columns = [task.classes.index(c) for c in labels] or [0]
    if task.exclusive:
        rows &= np.isin(leading(np.nan_to_num(targets)), columns)
    small = replace(task, classes=tuple(labels))
    truth, said = small.flat(targets[rows][:, columns]), values[rows][:, :, columns]
    if task.exclusive:
        said = said / said.sum(-1, keepdims=True).clip(1e-12)
    if not rows.any():
        raise DataError(f"{given.corpus} {given.split} has no sample with a label of {task.name} that is shared")
    scores, runs = scores_of(small), range(values.shape[1])
    whose = np.array(given.clusters)[rows]
    interval, deviation = {}, {}
    with counted_elsewhere():
        for name in headline(task):
            each = [scores[name](truth, small.flat(said[:, r])) for r in runs]

            def mean(t: np.ndarray, v: np.ndarray, name: str = name) -> float:
                return float(np.mean([scores[name](t, small.flat(v[:, r])) for r in runs]))

            interval[name] = bootstrap(mean, truth, said, clusters=whose, resamples=resamples)
            if len(each) > 1:
                deviation[name] = float(np.std(each, ddof=1))
    return Figures(interval, deviation, int(rows.sum()))
