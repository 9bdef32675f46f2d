"""Tables in memory: a pandas DataFrame or a pyarrow Table of texts, with predictions as further columns."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from emofuse.errors import DataError
from emofuse.pipeline.formats import LIKENESS
from emofuse.pipeline.measures import MEASURES
from emofuse.pipeline.tables import Row

NUMBERS = frozenset(("probability", *MEASURES))
"""Columns of a prediction that hold numbers, beside those of labels by prototype; the others are texts."""


def opened(table: Any) -> tuple[list[str], Iterator[Row]]:
    """The names of the columns, and the rows with None where nothing stands. Raises `DataError` for what is neither."""
    kind = kind_of(table)
    names = list(table.columns) if kind == "pandas" else list(table.column_names)
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise DataError(f"the columns of the table are called {names}; predictions need texts, each once")
    return names, _rows_of_frame(table, names) if kind == "pandas" else _rows_of_arrow(table)


def widened(table: Any, names: Sequence[str], rows: Sequence[Row], prefix: str) -> Any:
    """A copy of the table with further columns `names`, filled from rows in its order."""
    columns = {name: [row[name] for row in rows] for name in names}
    numbers = {n for n in names if (own := n.removeprefix(prefix)) in NUMBERS or own.startswith(LIKENESS)}
    if kind_of(table) == "pandas":
        import pandas

        kinds = {n: "float64" if n in numbers else "object" for n in names}
        return table.assign(**{n: pandas.Series(v, table.index, dtype=kinds[n]) for n, v in columns.items()})
    import pyarrow

    for name, values in columns.items():
        kind = pyarrow.float64() if name in numbers else pyarrow.string()
        table = table.append_column(name, pyarrow.array(values, kind))
    return table


def kind_of(table: Any) -> str:
    """ "pandas" or "pyarrow". Raises `DataError` for anything else, with how to make one of it."""
    for package, name in (("pandas", "DataFrame"), ("pyarrow", "Table")):
        module = sys.modules.get(package)
        if module is not None and isinstance(table, getattr(module, name)):
            return package
    raise DataError(
        f"a table in memory is a pandas DataFrame or a pyarrow Table, not {type(table).__name__}; of polars take "
        "to_arrow(), of a list of rows pyarrow.Table.from_pylist(rows); a file: emofuse predict FILE --text-column NAME"
    )


def _rows_of_frame(frame: Any, names: Sequence[str]) -> Iterator[Row]:
    there = frame.notna()
    for values, known in zip(frame.itertuples(False, None), there.itertuples(False, None), strict=True):
        yield {name: v if k else None for name, v, k in zip(names, values, known, strict=True)}


def _rows_of_arrow(table: Any) -> Iterator[Row]:
    for batch in table.to_batches(256):
        yield from batch.to_pylist()
