"""Many calls: how one kind of speaker fares in them, by group, with intervals over calls; nobody is ranked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np

from emofuse.errors import DataError, nearest
from emofuse.metrics.intervals import resampled_sums
from emofuse.pipeline.call_report import report_of
from emofuse.pipeline.measures import POLES, SCALARS, check_measure, value_in
from emofuse.tasks import EMOTIONS
from emofuse.types import Prediction

FEWEST = 20
"""Calls of a group that is shown; smaller ones are told together as OTHERS."""
OTHERS = "(smaller groups)"
PEOPLE = frozenset(
    (
        *("adviser", "advisor", "agent", "agents", "clerk", "colleague", "consultant", "email", "employee", "handler"),
        *("name", "operator", "person", "rep", "representative", "speaker", "staff", "teacher", "user", "worker"),
    )
)
"""Words in the name of a column that say it tells who is at work: calls are not grouped by it."""
_HAVE = "the segments of `emofuse batch` have it"
NUMBERS = ("start", "worst", "end", "recovered", "talk", "satisfaction", "silence", "overlap")


@dataclass(frozen=True)
class Call:
    """One call, of which one speaker is told."""

    id: str
    group: str
    numbers: Mapping[str, float | None]


@dataclass(frozen=True)
class Mean:
    """Of the calls that have the number, with its 95 % interval over calls drawn anew."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Group:
    """Calls alike in a column."""

    name: str
    calls: int
    means: Mapping[str, Mean]

    def to_dict(self) -> dict[str, Any]:
        """JSON's types, flat."""
        row: dict[str, Any] = {"group": self.name, "calls": self.calls}
        for name, mean in self.means.items():
            row |= {name: mean.value, f"{name}.low": mean.low, f"{name}.high": mean.high}
        return row


def calls(rows: Iterable[Mapping[str, Any]], speaker: str, by: str | None, of: str = "negative") -> list[Call]:
    """The calls of a batch job's segments (`collected.read_rows`), by a measure of which more is worse.

    A call in which this speaker is not known is left out. Raises `DataError` where none is left, and for a group that
    names people: a column called so, or one that holds the names of those who speak. Calls describe what customers
    express, and are no measure of how somebody does their work.
    """
    check_measure(of)
    if by is not None and PEOPLE & set(re.split(r"[\W_]+", by.casefold())):
        raise DataError(f"calls are not compared by {by!r}: nobody is ranked by emotion; group by a queue, a product …")
    found, speakers, groups, clocked = [], set(), set(), False
    for name, of_one in groupby(enumerate(rows, 1), key=lambda numbered: numbered[1].get("id")):
        numbered = list(of_one)
        segments = [row for _, row in numbered]
        group = _group(segments[0], by)
        speakers |= {str(row["speaker"]).casefold() for row in segments if row.get("speaker")}
        groups.add(group.casefold())
        clocked = clocked or bool(_number(segments[0], "duration", numbered[0][0]))
        course = _course(numbered, speaker, of)
        if course is not None:
            found.append(Call(str(name), group, course))
    named = sorted(groups & speakers)
    if by is not None and named:
        raise DataError(
            f"the column {by!r} names who speaks ({named[0]}): nobody is ranked by emotion; group otherwise"
        )
    if groups and not clocked:
        raise DataError(f"no call has a duration, of which its talk and its silence are shares; {_HAVE}")
    if not found:
        known = nearest(speaker, speakers) if speakers else "nobody is: run the batch with --channels or --speakers"
        raise DataError(f"in no call {of} of the speaker {speaker!r} is known; {known}")
    return found


def _group(row: Mapping[str, Any], by: str | None) -> str:
    if by is None:
        return "all"
    if by not in row:
        raise DataError(f"the calls have no column {by!r}; {nearest(by, map(str, row))}")
    return str(row[by])


def _course(rows: Sequence[tuple[int, Mapping[str, Any]]], speaker: str, of: str) -> dict[str, float | None] | None:
    segments = [prediction_of(row, of, number) for number, row in rows]
    (number, first), *_ = rows
    length, begins = _number(first, "duration", number), _number(first, "clip.start", number) or 0.0
    if not length:
        return None
    try:
        report = report_of(None, length, segments, of, begins=begins)
    except DataError:
        return None
    course = next((c for c in report.courses if c.speaker.casefold() == speaker.casefold()), None)
    if course is None:
        return None
    several = len({p.speaker for p in segments}) > 1  # of a job with --only, others' talk is not silence
    shares = {"silence": report.silence, "overlap": report.overlap} if several else {}
    own = {name: value for name, value in (asdict(course) | shares).items() if name in NUMBERS}
    return {name: None if value is None else float(value) for name, value in own.items()}


def prediction_of(row: Mapping[str, Any], of: str, number: int) -> Prediction:
    """What a call's report needs of a flat row, the `number`-th. Raises `DataError` for what cannot be a value."""
    value, satisfied = value_in(row, of, number), _number(row, "others.satisfaction", number)
    tables = {"emotions": {of: value} if of in EMOTIONS else None, "polarity": {of: value} if of in POLES else None}
    scalars = {of: value} if of in SCALARS else {}
    present = frozenset(str(row.get("present") or "").split("+")) - {""}
    others = {} if satisfied is None else {"satisfaction": satisfied}
    start, end = (_number(row, name, number) for name in ("start", "end"))
    if start is None or end is None:
        raise DataError(f"row {number} has no {'start' if start is None else 'end'}: seconds are needed; {_HAVE}")
    return Prediction(start, end, None, present, speaker=row.get("speaker"), others=others, **tables, **scalars)  # type: ignore[arg-type]


def _number(row: Mapping[str, Any], name: str, number: int) -> float | None:
    """A cell as a number; None for an empty one, or where there is no such column."""
    cell = row.get(name)
    if cell is None or cell == "":
        return None
    try:
        return float(cell)
    except (TypeError, ValueError):
        raise DataError(f"row {number}: {name} is {cell!r:.60}, which is no number; {_HAVE}") from None


def by_group(found: Sequence[Call], *, fewest: int = FEWEST, resamples: int = 1000) -> list[Group]:
    """The groups in the order of their names, never of their numbers; those of fewer than `fewest` calls as one."""
    names = sorted({call.group for call in found})
    parts = {name: [call for call in found if call.group == name] for name in names}
    small = [call for part in parts.values() if len(part) < fewest for call in part]
    shown = [(name, part) for name, part in parts.items() if len(part) >= fewest]
    return [_of_calls(name, part, resamples) for name, part in [*shown, *([(OTHERS, small)] if small else [])]]


def _of_calls(name: str, found: Sequence[Call], resamples: int) -> Group:
    means = {}
    for number in NUMBERS:
        values = [value for call in found if (value := call.numbers.get(number)) is not None]
        if len(values) > 1:
            drawn = resampled_sums(np.array(values)[:, None], resamples=resamples)[:, 0] / len(values)
            low, high = np.quantile(drawn, (0.025, 0.975))
            means[number] = Mean(float(np.mean(values)), float(low), float(high))
    return Group(name, len(found), means)
