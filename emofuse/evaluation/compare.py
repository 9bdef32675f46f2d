"""Paired comparison of two models on the same samples."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.corpora.registry import protocol_of
from emofuse.errors import DataError
from emofuse.evaluation.evaluate import Evaluation, plain
from emofuse.evaluation.predict import GIVEN, Predictions, load
from emofuse.metrics import Comparison, compare_paired, mcnemar
from emofuse.metrics.task import LABELS, LOWER_IS_BETTER, scores_of
from emofuse.metrics.undefined import counted_elsewhere
from emofuse.tasks import TASKS, Task, leading

COLUMN = 9
"""Letters of a name that fit above a column."""


@dataclass(frozen=True, eq=False)
class TaskComparison:
    """Two models on one task: every metric's difference b − a with its interval and p-values."""

    task: str
    leading: str
    """The metric that decides."""
    n: int
    clusters: int
    metrics: dict[str, Comparison]
    mcnemar: float | None
    """Exact p over samples taken as independent; None for a task without classes."""


def compare(
    a: Evaluation | Predictions | str | Path,
    b: Evaluation | Predictions | str | Path,
    *,
    resamples: int = 1000,
) -> dict[str, TaskComparison]:
    """Paired differences on the samples both were evaluated on, by task; a path is an evaluation's folder.

    Raises DataError when they share no labelled sample, or disagree on a target.
    """
    first, second = _predictions(a), _predictions(b)
    places_b = {name: i for i, name in enumerate(second.ids)}
    shared = [(i, places_b[name]) for i, name in enumerate(first.ids) if name in places_b]
    if not shared:
        raise DataError("the two evaluations share no sample: evaluate both models on the same corpus and split")
    rows_a, rows_b = (np.array(side) for side in zip(*shared, strict=True))
    known = TASKS | {t.name: t for given in (a, b) for t in _tasks(given)}
    corpus = next((name for name in map(_corpus_of, (a, b)) if name), "")
    found = {}
    for name in first.targets:
        if name in second.targets and name in known:
            compared = _task(known[name], first, second, rows_a, rows_b, resamples, corpus)
            if compared:
                found[name] = compared
    if not found:
        raise DataError("the two evaluations share no labelled task: evaluate both models on the same corpus and split")
    return found


def to_dict(found: dict[str, TaskComparison]) -> dict[str, Any]:
    """Ready for JSON."""
    return plain({name: asdict(each) for name, each in found.items()})


def to_text(found: dict[str, TaskComparison], names: tuple[str, str] = ("A", "B")) -> str:
    """A table a task: both scores, the difference with its interval, and the p-values."""
    lines, heads = [], names
    if max(map(len, names)) > COLUMN:
        lines, heads = [f"A: {names[0]}", f"B: {names[1]}"], ("A", "B")
    for each in found.values():
        lines.append(f"{each.task}: {each.n} samples in {each.clusters} clusters")
        lines.append(f"  {'':16}{heads[0]:>10}{heads[1]:>10}  difference [95 %]            p boot.  p perm.")
        for metric, c in each.metrics.items():
            d = c.difference
            better = " (lower is better)" if metric in LOWER_IS_BETTER else ""
            lines.append(
                f"  {LABELS[metric]:16}{c.a:10.3f}{c.b:10.3f}  {d.estimate:+.3f} [{d.low:+.3f}, {d.high:+.3f}]"
                f"  {c.p_bootstrap:9.3f}{c.p_permutation:9.3f}{better}"
            )
        lines.append(f"  {verdict(each, heads)}")
        if each.mcnemar is not None:
            lines.append(f"  McNemar's exact p (samples taken as independent): {each.mcnemar:.3f}")
    return "\n".join(lines)


def to_markdown(found: dict[str, TaskComparison], names: tuple[str, str] = ("A", "B")) -> str:
    """The same as Markdown tables, with a sentence a task that says what can be concluded."""
    a, b = names
    lines = [f"# {b} against {a}", ""]
    for each in found.values():
        lines += [f"## {each.task}", "", f"{each.n} samples in {each.clusters} clusters. {verdict(each, names)}", ""]
        lines.append(f"| metric | {a} | {b} | difference | 95 % interval | p (bootstrap) | p (permutation) |")
        lines.append("|---|---|---|---|---|---|---|")
        for metric, c in each.metrics.items():
            d = c.difference
            numbers = (f"{c.a:.3f}", f"{c.b:.3f}", f"{d.estimate:+.3f}", f"{d.low:+.3f} to {d.high:+.3f}")
            cells = (LABELS[metric], *numbers, f"{c.p_bootstrap:.3f}", f"{c.p_permutation:.3f}")
            lines.append("| " + " | ".join(cells) + " |")
        if each.mcnemar is not None:
            lines += ["", f"McNemar's exact p (samples taken as independent): {each.mcnemar:.3f}"]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def verdict(each: TaskComparison, names: tuple[str, str] = ("A", "B"), level: float = 0.05) -> str:
    """Which model is better by the task's leading metric, if the permutation test says that it is not chance."""
    c = each.metrics[each.leading]
    metric, d = LABELS[each.leading], c.difference.estimate
    if not c.p_permutation < level:
        text = f"By {metric}, no difference can be told from chance (p = {c.p_permutation:.3f})"
        least = 2.0 ** (1 - each.clusters)
        few = f"; {each.clusters} clusters allow no p below {least:.3g}, whatever the difference"
        return text + (few if each.clusters > 1 and least >= level else "") + "."
    better = names[1] if (d < 0) == (each.leading in LOWER_IS_BETTER) else names[0]
    return f"By {metric}, {better} is better by {abs(d):.3f} (p = {c.p_permutation:.3f})."


def _tasks(given: Any) -> list[Task]:
    """A model's own tasks too, from the evaluation or from the report beside the predictions."""
    if isinstance(given, Evaluation):
        return [each.task for each in given.tasks.values()]
    described = [each["task"] for each in _report(given).get("tasks", {}).values()]
    return [Task(**each | {"classes": tuple(each["classes"])}) for each in described]


def _corpus_of(given: Any) -> str:
    """What it was evaluated on; "" where nothing tells."""
    protocol = given.protocol if isinstance(given, Evaluation) else _report(given).get("protocol", {})
    return str(protocol.get("corpus", ""))


def _report(given: Any) -> dict[str, Any]:
    path = Path(given) / "report.json" if isinstance(given, (str, Path)) else None
    return json.loads(path.read_text("utf-8")) if path is not None and path.is_file() else {}


def _predictions(given: Evaluation | Predictions | str | Path) -> Predictions:
    if isinstance(given, Evaluation):
        return given.predictions
    if isinstance(given, Predictions):
        return given
    path = Path(given)
    return load(path / "predictions.npz" if path.is_dir() else path)


def _task(
    task: Task, a: Predictions, b: Predictions, rows_a: np.ndarray, rows_b: np.ndarray, resamples: int, corpus: str
) -> TaskComparison | None:
    targets, other = a.targets[task.name][rows_a], b.targets[task.name][rows_b]
    if targets.shape != other.shape or not np.allclose(targets, other, equal_nan=True, atol=1e-6):
        raise DataError(
            f"the two evaluations disagree on the targets of {task.name}: their labels were folded differently"
        )
    protocol = protocol_of(corpus)
    lead = protocol.leading_metric(task)
    kept = a.rows(GIVEN, task.name)[rows_a] & b.rows(GIVEN, task.name)[rows_b]
    if not kept.any():
        return None
    targets = task.flat(targets[kept])
    left, right = (task.flat(c.values[GIVEN][task.name][r][kept]) for c, r in ((a, rows_a), (b, rows_b)))
    clusters = np.array(a.clusters)[rows_a][kept]
    several = clusters if len(set(clusters)) > 1 else None
    with counted_elsewhere():
        compared = {
            metric: compare_paired(score, targets, left, right, clusters=several, resamples=resamples)
            for metric, score in scores_of(task, protocol.threshold).items()
        }
        p = None
        if task.exclusive:
            truth = leading(targets)
            p = mcnemar(*((side.argmax(axis=1) == truth)[truth >= 0] for side in (left, right)))
    return TaskComparison(task.name, lead, len(targets), len(set(clusters)), compared, p)
