"""Manifest rows: records of CSV, JSONL or Parquet with checked cells."""

from __future__ import annotations

import csv
import difflib
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emofuse.corpora.corpus import ATTRIBUTES, Log
from emofuse.corpora.manifest.formulas import unguarded
from emofuse.errors import DataError, require_package
from emofuse.files import home_path
from emofuse.tasks import Task
from emofuse.types import Split

COLUMNS = ("id", "media", "start", "end", "text", "speaker", "dialogue", "split", "language")
ALIASES = {
    "media": "path file filename file_name filepath file_path media_path clip video audio wav image picture recording",
    "text": "sentence utterance transcript transcription words caption content",
    "speaker": "speaker_id subject actor person participant spk",
    "dialogue": "dialog dialogue_id conversation session scene",
    "split": "set subset partition fold",
    "start": "begin onset start_time",
    "end": "stop offset end_time",
    "language": "lang locale",
    "emotion": "label labels class category target emo feeling",
}
"""Column or task → names by which other tables go for it."""
OF_SPEAKERS = ("sex", "gender", *ATTRIBUTES)
"""Columns that are no labels and are read all the same, for an audit by group."""
SPLIT_NAMES: dict[str, Split] = {
    "train": "train", "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev", "test": "test",
}  # fmt: skip
ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")
_WRONG = "\0"
"""Key under which a row carries why it could not be read at all."""


@dataclass(frozen=True)
class Record:
    """A row whose cells were read; `number` is a spreadsheet's (the header is row 1), or the line of a JSONL."""

    file: Path
    number: int
    id: str | None
    media: Path | None
    raw_media: str | None
    start: float | None
    end: float | None
    text: str | None
    speaker: str | None
    dialogue: str | None
    split: Split | None
    language: str | None
    labels: dict[str, Any]

    @property
    def where(self) -> str:
        """The row, for messages."""
        return f"row {self.number}"


def read_records(path: Path) -> tuple[list[str], list[tuple[int, dict[str, Any]]]]:
    """The columns and the numbered rows of a table. Raises DataError when there is no table to read."""
    if path.is_dir():
        raise DataError(f"manifest {path} is a folder; expected is the table itself, say {path / 'my.csv'}")
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise DataError(f"manifest {path} has the ending {ending!r}; {', '.join(ENDINGS)} are read")
    if not path.is_file():
        raise DataError(f"no manifest {path}; give the path of a {', '.join(ENDINGS)} file")
    if ending == ".parquet":
        return _parquet(path)
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"manifest {path} is not UTF-8 (byte {error.start}); save it as CSV UTF-8") from error
    return _jsonl(path, text) if ending == ".jsonl" else _csv(path, text)


def _csv(path: Path, text: str) -> tuple[list[str], list[tuple[int, dict[str, Any]]]]:
    header = text.split("\n", 1)[0]
    delimiter = max((",", ";", "\t"), key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        table = list(reader)
    except csv.Error as error:
        raise DataError(f"manifest {path}, line {reader.line_num}: {error}; check the quotes of that line") from error
    columns = [name.strip() for name in table[0]] if table else []
    twice = sorted({c for c in columns if c and columns.count(c) > 1})
    if twice:
        raise DataError(f"manifest {path} has the column {', '.join(twice)} more than once; keep one of each")
    rows: list[tuple[int, dict[str, Any]]] = []
    for number, cells in enumerate(table[1:], start=2):
        if not cells:
            continue
        row: dict[str, Any] = dict(zip(columns, map(unguarded, cells), strict=False))
        if len(cells) > len(columns) and any(cells):
            row[_WRONG] = f"{len(cells)} cells under {len(columns)} columns"
        rows.append((number, row))
    return columns, rows


def _jsonl(path: Path, text: str) -> tuple[list[str], list[tuple[int, dict[str, Any]]]]:
    rows: list[tuple[int, dict[str, Any]]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            row = {_WRONG: f"not JSON ({error.msg} at column {error.colno})"}
        rows.append((number, row if isinstance(row, dict) else {_WRONG: f"a JSON {type(row).__name__}, not an object"}))
    return [c for c in dict.fromkeys(key for _, row in rows for key in row) if c != _WRONG], rows


def _parquet(path: Path) -> tuple[list[str], list[tuple[int, dict[str, Any]]]]:
    require_package("pyarrow", "data")
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path) as file:
            table = file.read()
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"manifest {path} cannot be read as Parquet: {error}") from error
    return table.column_names, list(enumerate(table.to_pylist(), start=1))


def check_header(
    path: Path, columns: list[str], tasks: dict[str, Task], problems: Log, log: Log
) -> tuple[list[str], list[str]]:
    """The label columns, and those that stand for a column of the manifest under another name.

    A column near to a known name, or a usual name for one, is a problem, any other unknown one a note. Raises DataError
    when there is neither a column media nor text.
    """
    labels = [c for c in columns if c and c not in COLUMNS]
    meant = {name: known for name in labels if name not in tasks and (known := _meant(name, columns, tasks))}
    if not {"media", "text"} & set(columns):
        came = ", ".join(c for c in columns if c) or "none"
        hints = [f"did you mean {known!r} by {name!r}? " for name, known in meant.items() if known in ("media", "text")]
        raise DataError(
            f"manifest {path} has no column media or text; {''.join(hints[:1])}its columns: {came}; valid: "
            f"{', '.join(COLUMNS)}, and tasks ({', '.join(tasks)})"
        )
    for name in labels:
        if name in meant:
            what = f"column {name!r} is neither a column of a manifest nor a task"
            problems.problem("header", "row", what, f"did you mean {meant[name]!r}?")
        elif name not in tasks and name not in OF_SPEAKERS:
            log.note(f"column {name!r} is no known task: kept as a label of its own")
    return labels, [name for name, known in meant.items() if known in COLUMNS]


def ignored(columns: list[str], tasks: dict[str, Task]) -> list[str]:
    """Columns that nothing is learnt from, and that are not meant for another one."""
    known = {*COLUMNS, *OF_SPEAKERS, *tasks, ""}
    return [name for name in columns if name not in known and _meant(name, columns, tasks) is None]


def _meant(name: str, columns: list[str], tasks: dict[str, Task]) -> str | None:
    """The column or task that an unknown name was meant for, unless that is there itself."""
    if name in OF_SPEAKERS:
        return None
    known = {name.lower(): name for name in (*COLUMNS, *tasks)}
    lower = name.lower().replace(" ", "_")
    alias = next((column for column, names in ALIASES.items() if lower in names.split()), None)
    near = difflib.get_close_matches(lower, known, n=1, cutoff=0.8)
    found = alias or (known[near[0]] if near else None)
    return None if found in columns else found


def to_record(path: Path, number: int, cells: dict[str, Any], labels: list[str], problems: Log) -> Record | None:
    """A row's cells as a record; None when it holds nothing to read. What is wrong goes to the problems."""
    where = f"row {number}"
    if _WRONG in cells:
        problems.problem(where, "row", cells[_WRONG], "quote a text that holds the separator; one JSON object a line")
        return None
    filled = {k: v.strip() if isinstance(v, str) else v for k, v in cells.items() if not _empty(v)}
    if not filled:
        problems.problem(where, "row", "the row is empty", "delete it")
        return None
    if "media" not in filled and "text" not in filled:
        problems.problem(where, "row", "neither media nor text", "give one of them, or delete the row")
        return None
    start, end = (_seconds(where, name, filled.get(name), problems) for name in ("start", "end"))
    if start is not None and end is not None and start >= end:
        problems.problem(where, "misaligned", f"start {start:g} is not before end {end:g}", "correct one of them")
    split = SPLIT_NAMES.get(str(filled["split"]).lower()) if "split" in filled else None
    if split is None and "split" in cells:
        came = f"split is {filled['split']!r}" if "split" in filled else "split is empty"
        problems.problem(where, "row", came, "one of train, dev, test belongs there")
    media = str(filled["media"]) if "media" in filled else None
    return Record(
        path, number, _text(filled, "id"), path.parent / home_path(media) if media else None, media, start, end,
        _text(filled, "text"), _text(filled, "speaker"), _text(filled, "dialogue"), split, _text(filled, "language"),
        {name: _label(filled[name]) for name in labels if name in filled},
    )  # fmt: skip


def _empty(value: Any) -> bool:
    return (
        value is None
        or (isinstance(value, str) and not value.strip())
        or (isinstance(value, float) and math.isnan(value))
    )


def _text(filled: dict[str, Any], name: str) -> str | None:
    return str(filled[name]) if name in filled else None


def _seconds(where: str, name: str, value: Any, problems: Log) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if math.isfinite(seconds) and seconds >= 0:
        return seconds
    problems.problem(
        where, "row", f"{name} is {value!r}", "a number of seconds of at least 0 belongs there, or nothing"
    )
    return None


def _label(value: Any) -> Any:
    """A cell as a label: votes from a JSON object, a number where it reads as one, else the word."""
    if isinstance(value, str):
        if value.startswith("{"):
            try:
                return json.loads(value)
            except json.JSONDecodeError:
                return value
        try:
            return float(value)
        except ValueError:
            return value
    if isinstance(value, dict):
        return {k: v for k, v in value.items() if v is not None}
    return "|".join(map(str, value)) if isinstance(value, list) else value
