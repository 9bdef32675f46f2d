"""Manifests: tables of items (CSV, TSV, JSONL, Parquet), read by pyarrow into the columns of a plan."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emofuse.corpora.manifest.formulas import unguarded
from emofuse.errors import DataError, MediaError, first_line
from emofuse.files import home_path, well_formed
from emofuse.media.remote import is_address, opened
from emofuse.media.stretch import read_stretch

if TYPE_CHECKING:
    import pyarrow

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
STRINGS = ("id", "media", "text", "transcript", "speaker", "channel")
NUMBERS = ("start", "end")
COLUMNS = (*STRINGS, *NUMBERS, "context")
"""Columns that mean something; every other one is carried through."""
RESULTS = ("error", "attempts")
"""Columns of failed.jsonl that are no inputs, so that it can be run again."""


_LIST = re.compile(r"\s*\[\s*([\"'\[{\]]|$)")
"""How a list of turns begins; a turn may begin with `[laughs]`."""
_CODES = {False: r"^\+|^-?0\d", True: r"^\+|^-?0\d|^-?\d{16,}$"}
"""What cells of codes and telephone numbers look like in a column that reads as whole numbers, or as floats."""


def is_manifest(name: str) -> bool:
    """Whether a path or an address is that of a table, by its ending."""
    return name.lower().endswith(ENDINGS)


def read_manifest(name: str) -> Iterator[dict[str, Any]]:
    """A row an item: `COLUMNS` and, under "extras", the other columns; what is wrong with it under "problem", and the
    cells that could not be read, as JSON, under "unread".

    Paths are taken from the folder of the table. Raises DataError where there is no table, or none of items.
    """
    table = _read(name)
    extras = _check_columns(name, table.column_names)
    folder = name.rpartition("/")[0] if is_address(name) else str(home_path(name).absolute().parent)
    stem, number = Path(name).stem, 0
    spreadsheet = name.lower().endswith((".csv", ".tsv"))
    for batch in table.to_batches(max_chunksize=1024):
        for cells in batch.to_pylist():
            number += 1
            if spreadsheet:
                cells |= {key: unguarded(cells[key]) for key in STRINGS if cells.get(key)}
            yield _row(cells, extras, folder, f"{stem}:{number}")


def _row(cells: dict[str, Any], extras: list[str], folder: str, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"default_id": name, "extras": {key: cells[key] for key in extras}}
    row |= {"problem": None, "unread": None}
    for key in STRINGS:
        value = cells.get(key)
        row[key] = None if value is None or str(value) == "" else str(value)
    if row["channel"] is not None:  # a column of numbers with gaps is written as 0.0, 1.0
        row["channel"] = row["channel"].removesuffix(".0")
    try:
        row |= {key: _seconds(key, cells.get(key)) for key in NUMBERS}
        row["context"] = _context(cells.get("context"))
        _check_stretch(row)
    except DataError as error:
        row = {**dict.fromkeys(COLUMNS), **row, "problem": str(error)}
        lost = {
            key: cells[key] for key in (*NUMBERS, "context") if row[key] is None and cells.get(key) not in (None, "")
        }
        row["unread"] = json.dumps(lost, ensure_ascii=False, default=str) if lost else None
    row["media"] = _from_folder(row["media"], folder)
    if (
        (words := row["transcript"]) is not None
        and "\n" not in words
        and words.lower().endswith((".srt", ".vtt", ".txt"))
    ):
        row["transcript"] = _from_folder(words, folder)
    return row


def _check_stretch(row: dict[str, Any]) -> None:
    try:
        read_stretch(row["start"], row["end"])
    except MediaError as error:
        raise DataError(str(error)) from None
    if row["media"] is None and (row["start"] is not None or row["end"] is not None):
        raise DataError("start and end take a stretch out of sound or moving pictures, and the row has no media")


def _seconds(key: str, value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        raise DataError(f"{key} is {str(value)[:60]!r}, not a number of seconds") from None
    if not math.isfinite(seconds) or seconds < 0:
        raise DataError(f"{key} is {seconds}, not a number of seconds from 0 on")
    return seconds


def _context(value: Any) -> list[str] | None:
    """Earlier turns: a list, a JSON list in a cell, or a turn a line."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and _LIST.match(value):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            why = getattr(error, "msg", error)
            raise DataError(f"context is no JSON list ({why}); write one, or a turn a line") from None
    turns = value.splitlines() if isinstance(value, str) else value
    if not isinstance(turns, list):
        raise DataError(f"context is a list of turns or a text of them, not {type(value).__name__}")
    return [str(turn) for turn in turns if str(turn).strip()]


def _from_folder(path: str | None, folder: str) -> str | None:
    """A path of a table as it can be opened from anywhere."""
    if path is None or is_address(path) or Path(path).is_absolute():
        return path
    if is_address(folder):
        return f"{folder}/{path}"
    return str(Path(folder, home_path(path)))


def _check_columns(name: str, columns: list[str]) -> list[str]:
    """The columns to carry through. Raises DataError where no column says what to analyse."""
    twice = sorted({c for c in columns if columns.count(c) > 1})
    if twice:
        raise DataError(f"manifest {name} has the column {', '.join(twice)} more than once; keep one of each")
    if not {"media", "text", "transcript"} & set(columns):
        near = {c: m for c in columns for m in difflib.get_close_matches(c.lower(), ("media", "text"), 1, 0.75)}
        hint = "".join(f"; did you mean {meant!r} by {came!r}?" for came, meant in near.items())
        raise DataError(
            f"manifest {name} has no column media or text; its columns: {', '.join(columns) or 'none'}; valid: "
            f"{', '.join(COLUMNS)}, and others, which are carried through{hint}"
        )
    absent = [c for c in COLUMNS if c not in columns]
    for column in columns:
        near_names = difflib.get_close_matches(column.lower(), absent, 1, 0.86) if column not in COLUMNS else []
        if near_names:
            raise DataError(f"manifest {name} has a column {column!r}: did you mean {near_names[0]!r}? rename it")
    return [c for c in columns if c not in COLUMNS and c not in RESULTS]


def _read(name: str) -> pyarrow.Table:
    import pyarrow
    import pyarrow.parquet as parquet

    ending = Path(name).suffix.lower()
    try:
        with opened(name) as file:
            if ending == ".parquet":
                return parquet.read_table(pyarrow.PythonFile(file))
            text = _utf8(name, file.read())
    except pyarrow.ArrowException as error:
        raise DataError(f"manifest {name} cannot be read: {first_line(error)}") from error
    return _jsonl(name, text) if ending in (".jsonl", ".ndjson") else _csv(name, text, ending)


def _utf8(name: str, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"manifest {name} is not UTF-8 (byte {error.start}); save it as CSV UTF-8") from error
    if not text.strip():
        raise DataError(f"manifest {name} is blank; its first line names the columns: {', '.join(COLUMNS)}, and others")
    return text


def _csv(name: str, text: str, ending: str) -> pyarrow.Table:
    """A table with a header; cells of the known columns are strings, however they look; only an empty one is none.

    So are those of other columns that hold codes, as numbers would lose some of their digits.
    """
    import pyarrow
    from pyarrow import compute

    header = text.partition("\n")[0]
    delimiter = "\t" if ending == ".tsv" else max((",", ";", "\t"), key=header.count)
    try:
        table = _cells(text, delimiter, (*COLUMNS, *RESULTS))
        kinds = {field.name: field.type for field in table.schema}
        numbers = [c for c, kind in kinds.items() if pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind)]
        if not numbers or len(set(table.column_names)) < table.num_columns:
            return table
        plain = _cells(text, delimiter, table.column_names)
    except pyarrow.ArrowException as error:
        raise DataError(
            f"manifest {name} cannot be read: {first_line(error)[:300]}; each line has a cell for each column of the "
            "first, and a cell that holds quotes, line breaks or the delimiter stands in quotes"
        ) from error
    for column in numbers:
        code = _CODES[pyarrow.types.is_floating(kinds[column])]
        if compute.any(compute.match_substring_regex(plain[column], code)).as_py():
            table = table.set_column(table.column_names.index(column), column, plain[column])
    return table


def _cells(text: str, delimiter: str, strings: Iterable[str]) -> pyarrow.Table:
    """The cells, those of the columns `strings` as they stand, of others by what the whole column looks like.

    All is one block, so that no cell is too long for it, nor a column of numbers in one and of words in the next.
    """
    import pyarrow
    from pyarrow import csv

    data = text.encode()
    return csv.read_csv(
        pyarrow.BufferReader(data),
        read_options=csv.ReadOptions(use_threads=False, block_size=min(len(data) + 1, 2**31 - 1)),
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(strings, pyarrow.string()), strings_can_be_null=True, null_values=[""]
        ),
    )


def _jsonl(name: str, text: str) -> pyarrow.Table:
    """A JSON object a line; values of one column may be of different types, which then are carried as JSON."""
    import pyarrow

    rows: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            why = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
            raise DataError(f"manifest {name}, line {number}: not JSON ({why})") from error
        if not isinstance(row, dict):
            raise DataError(f"manifest {name}, line {number}: a JSON {type(row).__name__}, not an object")
        if "\\ud" in line.lower():  # halves of characters, which a table cannot hold
            row = json.loads(well_formed(json.dumps(row, ensure_ascii=False)))
        rows.append(row)
    columns = dict.fromkeys(key for row in rows for key in row)
    return pyarrow.table({c: _array(c, [row.get(c) for row in rows]) for c in columns})


def _array(column: str, values: list[Any]) -> pyarrow.Array:
    import pyarrow

    if column in (*STRINGS, *NUMBERS):
        values = [None if v is None else v if isinstance(v, str) else json.dumps(v) for v in values]
        return pyarrow.array(values, pyarrow.string())
    if column != "context":
        try:
            return pyarrow.array(values)
        except (pyarrow.ArrowException, OverflowError):
            pass
    as_it_is = column == "context"  # whose text is read as turns
    values = [
        v if v is None or (as_it_is and isinstance(v, str)) else json.dumps(v, ensure_ascii=False) for v in values
    ]
    return pyarrow.array(values, pyarrow.string())
