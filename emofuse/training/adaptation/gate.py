"""The gate of an adaptation: what must not fall, what must rise, and whether it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.metrics import Comparison, compare_paired
from emofuse.metrics.task import LABELS, scores_of
from emofuse.metrics.undefined import counted_elsewhere
from emofuse.model.predict import Table
from emofuse.tasks import Task

NEW, OLD = "new", "old"
RESAMPLES = 1000
"""Of each interval."""


@dataclass(frozen=True)
class Check:
    """One figure before and after on the same rows, and the least change that lets the model pass."""

    rows: str
    """Which rows, in words."""
    side: str
    """`NEW`, of which the figure must rise, or `OLD`, of which it must not fall far."""
    task: str
    metric: str
    n: int
    comparison: Comparison
    least: float

    @property
    def passed(self) -> bool:
        """Whether the change is above (new rows) or not below (old rows) the least; an undefined one is not."""
        change = self.comparison.difference.estimate
        return bool(change > self.least if self.side == NEW else change >= self.least)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What adapting found, and where the model was written; None = it was refused, and nothing was."""

    checks: list[Check]
    notes: list[str]
    about: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def accepted(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        checks = [asdict(check) | {"passed": check.passed} for check in self.checks]
        return {"accepted": self.accepted, **self.about, "checks": checks, "notes": self.notes}


def check(
    task: Task, targets: np.ndarray, before: np.ndarray, after: np.ndarray, clusters: Sequence[str], **about: Any
) -> Check | None:
    """The task's leading metric on the rows that are labelled and answered; None where there is none, or it is
    undefined there."""
    rows = ~np.isnan(targets).any(1) & ~np.isnan(before).any(1) & ~np.isnan(after).any(1)
    if not rows.any():
        return None
    whose = np.array(clusters)[rows]
    with counted_elsewhere():
        found = compare_paired(
            scores_of(task)[task.leading_metric],
            *(task.flat(x[rows]) for x in (targets, before, after)),
            clusters=whose if len(set(whose)) > 1 else None,
            resamples=RESAMPLES,
        )
    if np.isnan(found.difference.estimate):
        return None
    return Check(task=task.name, metric=task.leading_metric, n=int(rows.sum()), comparison=found, **about)


def checks_of(
    tasks: Sequence[Task], targets: Table, before: Table, after: Table, clusters: Sequence[str], **about: Any
) -> list[Check]:
    """A check for each task that the rows say something of."""
    known = [t for t in tasks if t.name in targets and t.name in before]
    found = [check(t, targets[t.name], before[t.name], after[t.name], clusters, **about) for t in known]
    return [each for each in found if each is not None]


def table(checks: Sequence[Check]) -> str:
    """Markdown: a row a check."""
    lines = [
        "| rows | figure | n | before | after | change | 95 % interval | must be | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for each in checks:
        d = each.comparison.difference
        bound = f"{'above' if each.side == NEW else 'at least'} {each.least:+.3f}"
        numbers = (
            f"{each.comparison.a:.3f}",
            f"{each.comparison.b:.3f}",
            f"{d.estimate:+.3f}",
            f"{d.low:+.3f} to {d.high:+.3f}",
        )
        cells = (
            each.rows,
            f"{each.task} {LABELS[each.metric]}",
            str(each.n),
            *numbers,
            bound,
            "" if each.passed else "refused",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
