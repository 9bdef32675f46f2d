"""The gate of an evaluation: the largest gap between groups of people that is let through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from emofuse.errors import DataError, nearest
from emofuse.evaluation.audit import FEWEST, gap
from emofuse.evaluation.evaluate import Evaluation
from emofuse.metrics.task import LABELS, LOWER_IS_BETTER

MAX_GAP = "max_gap"


@dataclass(frozen=True)
class Verdict:
    """One rule held against an evaluation."""

    rule: str
    passed: bool
    why: str
    """Which groups, by how much; or that there are none to compare."""

    def __str__(self) -> str:
        return f"gate {self.rule}: {'passed' if self.passed else 'failed'}: {self.why}"


@dataclass(frozen=True)
class _Gap:
    task: str
    metric: str
    kind: str
    better: str
    worse: str
    values: tuple[float, float]
    """Of the better and of the worse group."""

    @property
    def size(self) -> float:
        return abs(self.values[0] - self.values[1])

    def __str__(self) -> str:
        better, worse = self.values
        return (
            f"{self.task} {LABELS[self.metric]} by {self.kind}: {self.worse} {worse:.3f}, {self.better} {better:.3f}, "
            f"a gap of {self.size:.3f}"
        )


def read_rules(given: Sequence[str]) -> dict[str, float]:
    """`max_gap=0.1` (all kinds of groups) or `max_gap.sex=0.1` → rule → bound. Raises DataError."""
    rules: dict[str, float] = {}
    for text in given:
        rule, equals, value = text.partition("=")
        if rule.partition(".")[0] != MAX_GAP or not equals or rule.endswith("."):
            raise DataError(f"--gate {text!r} is not max_gap=0.1 or max_gap.KIND=0.1 (sex, language, age, speaker, …)")
        try:
            rules[rule] = float(value)
        except ValueError:
            rules[rule] = -1.0
        if not 0 <= rules[rule] < float("inf"):
            raise DataError(f"--gate {text!r}: {value!r} is no distance; give a number of at least 0, such as 0.1")
    return rules


def judge(found: Evaluation, rules: Mapping[str, float]) -> list[Verdict]:
    """Each rule: the leading metric of every task must differ by no more than its bound between the groups of a kind.

    Groups of fewer than FEWEST samples do not count. A rule that no two groups can be held against has failed: nothing
    was shown. Raises DataError for a kind of group that the samples do not have.
    """
    gaps = list(_gaps(found))
    return [_verdict(rule, bound, gaps, found) for rule, bound in rules.items()]


def _verdict(rule: str, bound: float, gaps: Sequence[_Gap], found: Evaluation) -> Verdict:
    _, _, kind = rule.partition(".")
    known = sorted({k for sample in found.samples for k in sample.groups})
    if kind and kind not in known:
        raise DataError(f"--gate {rule}: the samples tell no {kind!r}; {nearest(kind, known) if known else 'nor any'}")
    own = [g for g in gaps if kind in ("", g.kind)]
    name = f"{rule}={bound:g}"
    if not own:
        return Verdict(name, False, f"there are no two groups of {FEWEST} samples to compare")
    largest = max(own, key=lambda g: g.size)
    return Verdict(name, largest.size <= bound, str(largest))


def _gaps(found: Evaluation) -> Iterator[_Gap]:
    for name, task in found.tasks.items():
        for kind, groups in task.groups.items():
            if (extremes := gap(groups)) is not None:
                high, low, _ = extremes
                better, worse = (low, high) if task.leading in LOWER_IS_BETTER else (high, low)
                values = (groups[better]["interval"].estimate, groups[worse]["interval"].estimate)
                yield _Gap(name, task.leading, kind, better, worse, values)
