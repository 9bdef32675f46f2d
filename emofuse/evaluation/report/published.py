"""Results in the form of the table that papers on a corpus print, as its protocol declares it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

import numpy as np

from emofuse.corpora.registry import protocol_of
from emofuse.evaluation.evaluate import Evaluation, TaskEvaluation


def columns_of(task: str, corpus: str) -> Mapping[str, str]:
    """Column of the papers' table → metric; empty where the corpus declares none of the task."""
    return protocol_of(corpus).columns.get(task, {})


def row(task: TaskEvaluation, corpus: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]] | None:
    """The columns, and one line of numbers times 100, as MMSA prints them, errors too; None where there are none."""
    columns = columns_of(task.task.name, corpus)
    if not columns:
        return None
    return tuple(columns), [tuple(f"{100 * task.intervals[metric].estimate:.2f}" for metric in columns.values())]


def tables(found: Mapping[str, Sequence[Evaluation]], corpus: str) -> dict[str, tuple[str, str]]:
    """Task → the table of several models as Markdown and as CSV; `found`: model → its runs.

    A cell is the mean over runs times 100 and the deviation, as MMSA computes it (of n, not n - 1): in Markdown
    "78.12 ± 0.40", in CSV "(78.12, 0.4)".
    """
    first = next(iter(found.values()))[0]
    return {task: _table(found, task, columns) for task in first.tasks if (columns := columns_of(task, corpus))}


def _table(found: Mapping[str, Sequence[Evaluation]], task: str, columns: Mapping[str, str]) -> tuple[str, str]:
    header = ["Model", *columns]
    lines, file = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"], io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    for model, runs in found.items():
        each = [[100 * run.tasks[task].intervals[m].estimate for run in runs] for m in columns.values()]
        spread = [(float(np.mean(values)), float(np.std(values))) for values in each]
        lines.append(f"| {model} | " + " | ".join(f"{mean:.2f} ± {std:.2f}" for mean, std in spread) + " |")
        writer.writerow([model, *((round(mean, 2), round(std, 2)) for mean, std in spread)])
    return "\n".join(lines) + "\n", file.getvalue()
