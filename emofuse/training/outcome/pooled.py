"""Cross-validation as one result: figures of each fold, their mean and deviation, and all folds pooled."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.corpora.registry import protocol_of
from emofuse.errors import DataError
from emofuse.evaluation.evaluate import Evaluation, plain
from emofuse.evaluation.predict import GIVEN
from emofuse.files import write_file
from emofuse.metrics.intervals import bootstrap
from emofuse.metrics.task import LABELS, headline, scores_of
from emofuse.metrics.undefined import counted_elsewhere
from emofuse.tasks import Task
from emofuse.training.outcome.ensemble import spread


def pool(runs: Mapping[str, Evaluation], corpus: str, split: str, *, resamples: int = 1000) -> dict[str, Any]:
    """Every run of a cross-validation, by its folder name (`fold-1-of-5/seed-0`), as plain values.

    A pooled figure is over the samples of all folds at once, each answered by the fold that held it out, its mean over
    seeds; its interval resamples speakers, dialogues or videos of all folds. Raises DataError when two folds hold one
    sample, or seeds of a fold were measured on different ones.
    """
    seeds: dict[str, dict[str, Evaluation]] = {}
    for label, found in runs.items():
        fold, _, seed = label.partition("/seed-")
        seeds.setdefault(seed, {})[fold.removeprefix("fold-").replace("-of-", "/")] = found
    first = next(iter(seeds.values()))
    _check(seeds)
    tasks = {name: found.task for each in first.values() for name, found in each.tasks.items()}
    return plain({
        "corpus": corpus,
        "split": split,
        "folds": list(first),
        "seeds": [s for s in seeds if s] or None,
        "split_hash": {fold: e.protocol.get("split_hash") for fold, e in first.items()},
        "labels_hash": {fold: e.protocol.get("labels_hash") for fold, e in first.items()},
        "tasks": {name: _task(task, list(seeds.values()), corpus, resamples) for name, task in tasks.items()},
    })  # fmt: skip


def _check(seeds: Mapping[str, Mapping[str, Evaluation]]) -> None:
    """Raise DataError where samples cannot be pooled."""
    ids = [{fold: e.predictions.ids for fold, e in each.items()} for each in seeds.values()]
    if any(each != ids[0] for each in ids):
        raise DataError("the seeds of a fold were not measured on the same samples; evaluate them again")
    everything = [i for each in ids[0].values() for i in each]
    if len(set(everything)) < len(everything):
        raise DataError("two folds hold the same sample in this split; only folds that share none can be pooled")


def _task(task: Task, seeds: Sequence[Mapping[str, Evaluation]], corpus: str, resamples: int) -> dict[str, Any]:
    sides = [[e for e in each.values() if task.name in e.tasks] for each in seeds]
    columns = [_column(task, each) for each in sides]
    targets, clusters = columns[0][0], columns[0][2]
    values = np.stack([column[1] for column in columns], axis=1)
    names = [m for m in headline(task) if m in sides[0][0].tasks[task.name].intervals]
    folds = {
        fold: {m: float(np.mean([each[fold].tasks[task.name].intervals[m].estimate for each in seeds])) for m in names}
        for fold, e in seeds[0].items()
        if task.name in e.tasks
    }
    scores = scores_of(task, protocol_of(corpus).threshold)
    pooled = {}
    with counted_elsewhere():
        for metric in names:

            def mean(t: np.ndarray, v: np.ndarray, metric: str = metric) -> float:
                return float(np.mean([scores[metric](task.flat(t), task.flat(v[:, s])) for s in range(v.shape[1])]))

            pooled[metric] = bootstrap(mean, targets, values, clusters=clusters, resamples=resamples)
    tables = [e.tasks[task.name].report["confusion"] for each in sides for e in each if task.exclusive]
    return {
        "n": len(targets),
        "clusters": len(set(clusters.tolist())),
        "by_fold": folds,
        "over_folds": {m: spread([figures[m] for figures in folds.values()]) for m in names},
        "pooled": pooled,
        "classes": list(task.classes),
        "confusion": np.sum(tables, axis=0).astype(int) if tables else None,
    }


def _column(task: Task, folds: Sequence[Evaluation]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, values and clusters of the labelled samples of every fold, one after the other."""
    found = []
    for each in folds:
        p, rows = each.predictions, each.predictions.rows(GIVEN, task.name)
        found.append((p.targets[task.name][rows], p.values[GIVEN][task.name][rows], np.array(p.clusters)[rows]))
    targets, values, clusters = zip(*found, strict=True)
    return np.concatenate(targets), np.concatenate(values), np.concatenate(clusters)


def write(found: Mapping[str, Any], folder: Path) -> Path:
    """folds-SPLIT.json and folds-SPLIT.md in `folder`; returns the latter."""
    name = f"folds-{found['split']}"
    write_file(folder / f"{name}.json", json.dumps(found, indent=2, allow_nan=False) + "\n")
    write_file(folder / f"{name}.md", markdown(found))
    return folder / f"{name}.md"


def markdown(found: Mapping[str, Any]) -> str:
    """A table a task: folds, mean ± deviation over them, all pooled; of classes, the pooled confusion."""
    seeds = ", ".join(found["seeds"] or []) or "one"
    hashes = ", ".join(f"{fold} {str(h)[:12]}" for fold, h in found["split_hash"].items())
    lines = [
        f"# {found['corpus']}, {found['split']} part of {len(found['folds'])} folds\n",
        f"Seeds: {seeds}. Split hash of each fold: {hashes}.\n",
    ]
    for name, task in found["tasks"].items():
        lines += [f"## {name}, {task['n']} samples of {task['clusters']} speakers, dialogues or videos\n"]
        lines += [_row("fold", [LABELS[m] for m in task["pooled"]]), "|---" * (1 + len(task["pooled"])) + "|"]
        lines += [_row(fold, [_number(v) for v in figures.values()]) for fold, figures in task["by_fold"].items()]
        over = [f"{_number(v['mean'])} ± {_number(v['std'])}" for v in task["over_folds"].values()]
        bands = [
            f"{_number(b['estimate'])} ({_number(b['low'])} to {_number(b['high'])})" for b in task["pooled"].values()
        ]
        lines += [_row("mean ± deviation over folds", over), _row("pooled (95 % interval)", bands), ""]
        if task["confusion"]:
            lines += ["Pooled confusion, truth down, answer across:\n", _row("", task["classes"])]
            lines += ["|---" * (1 + len(task["classes"])) + "|"]
            rows = zip(task["classes"], task["confusion"], strict=True)
            lines += [*(_row(label, [str(n) for n in row]) for label, row in rows), ""]
    return "\n".join(lines)


def _row(head: str, cells: Sequence[str]) -> str:
    return "| " + " | ".join([head, *cells]) + " |"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
