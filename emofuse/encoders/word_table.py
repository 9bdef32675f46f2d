"""A word table: words and phrases of one's own with an emotion, its strength and a valence, read from CSV or rows."""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

from emofuse.errors import DataError, nearest
from emofuse.tasks import EMOTIONS

COLUMNS = ("word", "emotion", "strength", "valence")
STRONGEST = 5.0
"""The largest strength: as a change of log-odds, e⁵ is 150 to 1."""
MOST = 50_000
"""Rows of a table."""


@dataclass(frozen=True)
class Entry:
    """A word or phrase."""

    word: str
    emotion: str | None
    strength: float
    """Of the emotion, -5 to 5."""
    valence: float | None
    """-1 to 1; None = the table does not say."""

    def spoken(self, said: str) -> bool:
        """Whether it is said, whole, capitals aside."""
        return self._whole.search(said) is not None

    @cached_property
    def _whole(self) -> re.Pattern[str]:
        return whole(self.word)

    def to_dict(self) -> dict[str, Any]:
        """A row, in JSON's types."""
        return {name: value for name in COLUMNS if (value := getattr(self, name)) is not None}


def whole(word: str) -> re.Pattern[str]:
    """Finds a word or phrase that stands for itself in a text, capitals aside; a script without spaces has no such
    borders."""
    before, after = ("" if is_wide(word[i]) else edge for i, edge in ((0, r"(?<!\w)"), (-1, r"(?!\w)")))
    return re.compile(before + re.escape(word) + after, re.IGNORECASE)


def is_wide(character: str) -> bool:
    """Whether it is of a script that is written without spaces between words."""
    return unicodedata.east_asian_width(character) in "WF"


def read_csv(text: str, where: str) -> tuple[Entry, ...]:
    """The rows of a CSV text with the columns word, and emotion, strength (1 where empty), valence. Raises DataError
    that names the row."""
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff"), newline=""), strict=True)
    columns = [name.strip() for name in _header(reader, where)]
    if "word" not in columns or not {"emotion", "valence"} & set(columns) or set(columns) - set(COLUMNS):
        raise DataError(f"{where}: its columns are {', '.join(columns) or 'none'}; valid: {', '.join(COLUMNS)}")
    reader.fieldnames = columns
    return _entries(_rows(reader, where), where, 2)


def read_rows(rows: Iterable[Mapping[str, Any]], where: str) -> tuple[Entry, ...]:
    """Rows as tables of the same names. Raises DataError that names the row."""
    return _entries(rows, where, 1)


def bounded(given: Any, most: float, where: str) -> float:
    """A number, or its text, from -`most` to `most`. Raises DataError."""
    try:
        value = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        value = math.nan
    if not abs(value) <= most:
        raise DataError(f"{where}: {given!r} is not a number from {-most:g} to {most:g}")
    return value


def _rows(reader: csv.DictReader[str], where: str) -> Iterator[Mapping[str, Any]]:
    for number in count(2):
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{where}, row {number}: this is not CSV ({error}); fix its quotes") from None


def _header(reader: csv.DictReader[str], where: str) -> Iterable[str]:
    try:
        return reader.fieldnames or ()
    except csv.Error as error:
        raise DataError(f"{where}, row 1: this is not CSV ({error}); fix its quotes") from None


def _entries(rows: Iterable[Mapping[str, Any]], where: str, first: int) -> tuple[Entry, ...]:
    found = []
    for number, row in enumerate(rows, first):
        found.append(_entry(row, f"{where}, row {number}"))
        if len(found) > MOST:
            raise DataError(f"{where}: it has more than {MOST:,} rows; keep the words that matter")
    return tuple(found)


def _entry(row: Mapping[str, Any], where: str) -> Entry:
    if None in row:  # what csv calls the cells that no column is over
        raise DataError(f"{where}: it has more cells than there are columns; put quotes around a word with a comma")
    cells = {name: "" if row.get(name) is None else str(row[name]).strip() for name in COLUMNS}
    if not cells["word"] or not (cells["emotion"] or cells["valence"]):
        raise DataError(f"{where}: give a word, and an emotion or a valence")
    emotion = cells["emotion"] or None
    if emotion is not None and emotion not in EMOTIONS:
        raise DataError(f"{where}: there is no emotion {emotion!r}; {nearest(emotion, EMOTIONS)}")
    strength = bounded(cells["strength"] or "1", STRONGEST, f"{where}, strength")
    valence = bounded(cells["valence"], 1.0, f"{where}, valence") if cells["valence"] else None
    return Entry(cells["word"], emotion, strength, valence)
