"""Series: rows of predictions with a time, as a mean for each period and group, with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np

from emofuse.errors import DataError, nearest
from emofuse.pipeline.measures import check_measure, value_in

Period = Literal["hour", "day", "week", "turn"]
SECONDS: Mapping[str, float] = {"hour": 3600.0, "day": 86400.0, "week": 7 * 86400.0, "turn": 1.0}
"""Of a period; a turn is a number, counted as a second."""
_EXAMPLES = 5
"""Rows of a period that are kept at either end."""


@dataclass
class Bin:
    """One period of one group."""

    start: float
    """Seconds since 1970 in UTC; of turns, the number."""
    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    highest: list[tuple[float, str]] = field(default_factory=list)
    lowest: list[tuple[float, str]] = field(default_factory=list)
    """(value, name of the row) of the largest and of the smallest values."""

    @property
    def mean(self) -> float:
        """Of the rows."""
        return self.total / self.count

    @property
    def variance(self) -> float:
        """Between rows; 0 of one."""
        return max(0.0, (self.squares - self.total**2 / self.count) / (self.count - 1)) if self.count > 1 else 0.0

    def interval(self, pooled: float) -> tuple[float, float]:
        """95 % of the mean, by the larger of its own spread and that of all rows together."""
        half = 1.96 * math.sqrt(max(self.variance, pooled) / self.count)
        return self.mean - half, self.mean + half

    def add(self, value: float, name: str) -> None:
        """One more row."""
        self.count, self.total, self.squares = self.count + 1, self.total + value, self.squares + value**2
        self.highest = sorted([*self.highest, (value, name)], key=lambda pair: -pair[0])[:_EXAMPLES]
        self.lowest = sorted([*self.lowest, (value, name)], key=lambda pair: pair[0])[:_EXAMPLES]


@dataclass(frozen=True)
class Series:
    """The periods of one group, in order of time; periods without rows are left out."""

    group: tuple[str, ...]
    by: Period
    bins: list[Bin]

    @property
    def pooled(self) -> float:
        """Variance between rows of a period, over all periods."""
        more = [b for b in self.bins if b.count > 1]
        weights = sum(b.count - 1 for b in more)
        return sum(b.variance * (b.count - 1) for b in more) / weights if weights else 0.0


@dataclass(frozen=True)
class Columns:
    """Which column holds the time, and which the group and the row's name."""

    time: str
    group: tuple[str, ...] = ()
    id: str | None = None


class Gathered:
    """Rows as they come, by period and group.

    A row without a value (nothing was predicted) is left out. Where the value stands: see `measures.value_in`.
    """

    def __init__(self, of: str, by: Period, columns: Columns, prefix: str = "predicted_") -> None:
        """Raises `DataError` for an unknown measure."""
        self.of, self.columns, self.prefix = check_measure(of), columns, prefix
        self.by: Period = by
        self._bins: dict[tuple[str, ...], dict[float, Bin]] = {}
        self._rows = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """One more row. Raises `DataError` for a column or a time that is not there, and for what cannot be a value."""
        self._rows += 1
        value = value_in(row, self.of, self._rows, self.prefix)
        if value is None:
            return
        number, columns = self._rows, self.columns
        start = start_of(time_in(row, columns.time, number, self.by), self.by)
        key = tuple(str(_at(row, name, number)) for name in columns.group)
        name = str(row[columns.id]) if columns.id is not None and columns.id in row else f"row {number}"
        self._bins.setdefault(key, {}).setdefault(start, Bin(start)).add(value, name)

    def series(self) -> list[Series]:
        """One a group, in the order of their names; none where no row had a value."""
        ordered = ((key, sorted(bins.values(), key=lambda b: b.start)) for key, bins in sorted(self._bins.items()))
        return [Series(key, self.by, bins) for key, bins in ordered]

    def needed(self) -> list[Series]:
        """The same. Raises `DataError` where there is none."""
        if not (found := self.series()):
            raise DataError(
                f"no row has a value of {self.of}; predict first, with emofuse predict TABLE --text-column …"
            )
        return found


def series(
    rows: Iterable[Mapping[str, Any]], of: str, by: Period, columns: Columns, *, prefix: str = "predicted_"
) -> list[Series]:
    """The mean of a measure by period and group. Raises `DataError` for a column or a time that is not there."""
    gathered = Gathered(of, by, columns, prefix)
    for row in rows:
        gathered.add(row)
    return gathered.needed()


def _at(row: Mapping[str, Any], name: str, number: int) -> Any:
    if name not in row:
        raise DataError(f"row {number} has no column {name!r}; {nearest(name, map(str, row))}")
    return row[name]


def time_in(row: Mapping[str, Any], column: str, number: int, by: Period) -> float:
    cell = _at(row, column, number)
    if by != "turn" and (moment := _moment(cell)) is not None:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    try:
        seconds = float(cell)
    except (TypeError, ValueError):
        seconds = math.nan
    if math.isfinite(seconds) and (by == "turn" or _FIRST <= seconds < _LAST):
        return seconds
    wanted = "the number of the turn" if by == "turn" else "2026-03-01T12:00:00, or seconds since 1970"
    hint = " (are these milliseconds? divide them by 1000)" if by != "turn" and _LAST <= seconds < math.inf else ""
    raise DataError(f"row {number}: the time {cell!r} cannot be read; write {wanted}{hint}")


def _moment(cell: Any) -> datetime | None:
    """A cell as ISO 8601 has it; of what is nothing but digits, eight are a day."""
    if isinstance(cell, datetime):
        return cell
    text = str(cell).strip()
    try:
        return None if text.isdecimal() and len(text) != 8 else datetime.fromisoformat(text)
    except ValueError:
        return None


_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (2, 9999))
"""Seconds between which a period has a date."""


def start_of(seconds: float, by: Period) -> float:
    """The start of the period; a week begins on Monday."""
    if by == "turn":
        return float(math.floor(seconds))
    shift = 4 * SECONDS["day"] if by == "week" else 0.0  # 1970 began on a Thursday
    return math.floor((seconds - shift) / SECONDS[by]) * SECONDS[by] + shift


def label(start: float, by: Period) -> str:
    """A period as people write it, in UTC."""
    if by == "turn":
        return f"{start:.0f}"
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=start)
    return moment.strftime("%Y-%m-%dT%H:00Z" if by == "hour" else "%Y-%m-%d")


def against_before(bins: Sequence[Bin], at: int, by: Period, weeks: int = 4) -> float | None:
    """The mean of a period less that of the same hour or day of the weeks before; None where there is none."""
    if by not in ("hour", "day"):
        return None
    starts = {b.start: b for b in bins}
    before = [starts.get(bins[at].start - week * SECONDS["week"]) for week in range(1, weeks + 1)]
    known = [b.mean for b in before if b is not None]
    return bins[at].mean - float(np.mean(known)) if known else None
