"""Tables: rows of texts in, the same rows with predictions out, streamed."""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from emofuse.errors import DataError, nearest, require_package
from emofuse.files import well_formed
from emofuse.notes import Note
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.formats import LIKENESS
from emofuse.pipeline.measures import MEASURES, measures

if TYPE_CHECKING:
    from emofuse.pipeline.pipeline import Pipeline

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")
PREFIX = "predicted_"
_LONGEST_CELL = 2_000_000
ADDED = ("emotion", "probability", "possible", *MEASURES, "intensity_level", "others", "unfamiliar", "error")
"""Columns of a prediction. `possible` is the set of emotions where a coverage is asked for, `others` JSON."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Columns:
    """Which column is what; `dialogue` groups the rows, in order, whose earlier texts are a row's context."""

    text: str
    id: str | None = None
    speaker: str | None = None
    dialogue: str | None = None

    def check(self, there: Sequence[str], prefix: str) -> None:
        """Raise `DataError` for a column that is not there, or where one of a prediction is."""
        for name in (self.text, self.id, self.speaker, self.dialogue):
            if name is not None and name not in there:
                raise DataError(f"the table has no column {name!r}; {nearest(name, there)}")
        taken = next((f"{prefix}{name}" for name in ADDED if f"{prefix}{name}" in there), None)
        if taken is not None:
            raise DataError(f"the table has a column {taken!r} already, as predictions are called; give another prefix")


def is_table(path: Path) -> bool:
    """Whether a file is a table, by its ending."""
    return path.suffix.lower() in ENDINGS


def predict_table(
    pipeline: Pipeline,
    path: Path,
    columns: Columns,
    *,
    prefix: str = PREFIX,
    coverage: float | None = None,
    batch_size: int = 16,
) -> tuple[list[str], Iterator[Row]]:
    """The columns, and each row of a table with what is predicted of its text, as soon as it is known.

    As many rows are held as `predict_iter` takes at a time. A row that cannot be predicted has its reason in
    `{prefix}error`, and empty cells. Raises `DataError` for a file that is no table or lacks a column.
    """
    return predict_rows(pipeline, *read_table(path), columns, prefix, coverage, batch_size)


def predict_rows(
    pipeline: Pipeline,
    names: Sequence[str],
    rows: Iterator[Row],
    columns: Columns,
    prefix: str,
    coverage: float | None,
    batch_size: int = 16,
) -> tuple[list[str], Iterator[Row]]:
    """The same of rows with columns of these names."""
    columns.check(names, prefix)
    added = _added(pipeline)
    found = _predicted(pipeline, rows, columns, prefix, coverage, added, batch_size)
    return [*names, *(prefix + name for name in added)], found


def notes_of(pipeline: Pipeline) -> list[Note]:
    """What is true of every row: how labels are answered, and that a dialogue's later rows are not read."""
    said = [] if pipeline.prototypes is None else pipeline.prototypes.notes()
    later = pipeline.model.future_turns if pipeline.options.context != 0 else 0
    return said + ([Note("no_later_turns", turns=later)] if later else [])


def _added(pipeline: Pipeline) -> tuple[str, ...]:
    """The columns of a prediction, with those of the caller's rules and of labels by prototype where there are any."""
    likenesses = () if pipeline.prototypes is None else (LIKENESS + name for name in pipeline.prototypes.directions)
    return (*ADDED, *(("rules",) if pipeline.rules else ()), *likenesses)


def _predicted(
    pipeline: Pipeline,
    rows: Iterator[Row],
    columns: Columns,
    prefix: str,
    coverage: float | None,
    added: Sequence[str],
    batch_size: int,
) -> Iterator[Row]:
    waiting: deque[Row] = deque()
    items = _items(rows, columns, pipeline.model.context_turns, waiting)
    found = pipeline.predict_iter(items, batch_size, sidecars=False)
    for result in found:
        cells = _cells(result, coverage)
        yield waiting.popleft() | {f"{prefix}{name}": cells.get(name) for name in added}


def _items(rows: Iterator[Row], columns: Columns, turns: int, waiting: deque[Row]) -> Iterator[Mapping[str, Any]]:
    """The row as an item; those that are not answered yet wait."""
    said: dict[str, deque[str]] = {}
    for row in rows:
        waiting.append(row)
        text, speaker = str(row.get(columns.text) or ""), _cell(row, columns.speaker)
        dialogue = _cell(row, columns.dialogue)
        history = said.setdefault(dialogue, deque(maxlen=turns)) if dialogue is not None and turns else None
        yield {"text": text, "id": _cell(row, columns.id), "speaker": speaker, "context": list(history or ())}
        if history is not None and text.strip():
            history.append(f"{speaker}: {text}" if speaker else text)


def _cell(row: Row, column: str | None) -> str | None:
    """What stands in a column, None where nothing does."""
    value = None if column is None else row.get(column)
    return None if value is None or not str(value).strip() else str(value)


def _cells(result: Analysis | Exception, coverage: float | None) -> Row:
    """What a prediction adds to a row, by `ADDED`."""
    if isinstance(result, Exception):
        return {"error": " ".join(str(result).split())}
    found = result if coverage is None else result.at_coverage(coverage)
    p = found.overall
    if p is None:
        return {"error": next(iter(map(str, found.notes)), "")}
    cells: Row = {"emotion": p.top[0] if p.top else None, "probability": p.top[1] if p.top else None}
    cells |= {"possible": "+".join(p.sets.get("emotion", ())), "intensity_level": p.intensity_level}
    cells |= {"others": json.dumps(p.others, ensure_ascii=False) if p.others else None}
    cells |= {"unfamiliar": "; ".join(f"{m}: {why}" for m, why in p.unfamiliar.items())}
    cells |= {"rules": "+".join(p.rules)} | {LIKENESS + name: value for name, value in p.by_prototype.items()}
    return cells | measures(p)


def read_table(path: Path) -> tuple[list[str], Iterator[Row]]:
    """The columns, and the rows as they are read. Raises `DataError` for what is no table."""
    ending = path.suffix.lower()
    if not path.is_file():
        raise DataError(f"there is no file {str(path)!r}; check the spelling and the folder of the path")
    if ending == ".parquet":
        return _parquet(path)
    if ending == ".jsonl":
        names = list(dict.fromkeys(name for row in _json_rows(path) for name in row))
        return names, _json_rows(path)
    if ending not in ENDINGS:
        raise DataError(f"{path} is no table: {nearest(ending, ENDINGS)}")
    csv.field_size_limit(_LONGEST_CELL)
    delimiter = "\t" if ending == ".tsv" else ","
    rows = _delimited(path, delimiter)
    names = next(rows, None)
    if not names or len(set(names)) < len(names):
        raise DataError(f"{path}, line 1: a table begins with the names of its columns, each once, not {names or []}")
    return names, (_as_row(path, number, names, cells) for number, cells in enumerate(rows, 2) if cells)


def _delimited(path: Path, delimiter: str) -> Iterator[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.reader(file, delimiter=delimiter)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: it is not a table in UTF-8 ({error}); save it again as CSV in UTF-8") from None


def _as_row(path: Path, number: int, names: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) > len(names):
        raise DataError(f"{path}, row {number}: {len(cells)} cells, and {len(names)} columns")
    return dict(zip(names, [*cells, *[""] * (len(names) - len(cells))], strict=True))


def _json_rows(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            yield json_row(line, f"{path}, line {number}")


def json_row(line: str | bytes, where: str) -> Row:
    """The object that a line of JSON Lines holds. Raises `DataError` that says `where` for one that holds none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: no JSON ({error}); a line holds one object") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: a line holds one object, not {type(row).__name__}")
    return row


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from file
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: it is not in UTF-8 ({error}); save it again as JSON Lines in UTF-8") from None


def _parquet(path: Path) -> tuple[list[str], Iterator[Row]]:
    require_package("pyarrow", extra="data")
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: it is not Parquet ({error})") from None
    return list(table.schema_arrow.names), (row for batch in table.iter_batches(256) for row in batch.to_pylist())


def write_table(names: Sequence[str], rows: Iterator[Row], file: TextIO) -> None:
    """Rows as CSV, each as it comes; nested values are JSON."""
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _flat(value) for name, value in row.items()})
        file.flush()


def _flat(value: Any) -> Any:
    text = json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, (dict, list)) else value
    return well_formed(text) if isinstance(text, str) else text
