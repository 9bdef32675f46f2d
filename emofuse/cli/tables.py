"""Tables of `emofuse predict`: rows of texts through a model, to a file or stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from emofuse.cli import options as opt
from emofuse.cli.outputs import complain, written_to_stdout
from emofuse.errors import DataError, MediaError
from emofuse.files import check_outputs, replacing

if TYPE_CHECKING:
    from emofuse.pipeline.pipeline import Pipeline
    from emofuse.pipeline.tables import Columns

_ONLY = ("id_column", "speaker_column", "dialogue_column", "prefix")
"""Parameters of `predict` that are about tables."""
_TAKEN = ("clips", "csv", "model", "device", "coverage", "mask", "mask_names", "rules", "labels", "batch_size")
"""Those that are about clips and tables."""
_IDLE = {"asr": "none", "sidecars": False}
"""What asks for nothing, and so may stand beside a table."""


def check_options(context: typer.Context) -> None:
    """Refuse options of clips beside a table, and those of a table beside clips. Raises `DataError`."""
    given = opt.named(context)
    if "text_column" not in given:
        if wrong := [given[name] for name in _ONLY if name in given]:
            raise DataError(f"{', '.join(wrong)}: only of a table; name its column of texts with --text-column")
        return
    wrong = [
        flag
        for name, flag in given.items()
        if name not in ("text_column", *_ONLY, *_TAKEN) and context.params[name] != _IDLE.get(name, ...)
    ]
    if wrong:
        raise DataError(
            f"{', '.join(wrong)}: not of a table of texts, which is written as CSV; leave out what is of clips"
        )


@dataclass(frozen=True)
class TableJob:
    """A table, its columns, and where it goes with its predictions."""

    path: Path
    columns: Columns
    target: str
    """A path, or "-" for stdout."""
    prefix: str
    coverage: float | None
    hidden: Sequence[str] | None = None
    """Names that are masked in the column of texts, with addresses and long numbers; None = it stays as it is."""
    batch_size: int = 16

    def check(self, read: Sequence[Path] = ()) -> None:
        """Raise before the work what is wrong with the columns or the output; `read`: files that it may not replace."""
        from emofuse.pipeline.tables import read_table

        check_outputs([self.target], [self.path, *read])
        if self.target != "-" and Path(self.target).suffix.lower() != ".csv":
            raise MediaError(f"a table is written as CSV: name it .csv, not {self.target!r}")
        self.columns.check(read_table(self.path)[0], self.prefix)

    def run(self, pipeline: Pipeline) -> None:
        """Predict and write, row by row; a file appears whole or not at all."""
        from emofuse.pipeline.tables import notes_of, predict_table, write_table

        for note in notes_of(pipeline):
            complain(f"note: {note}")

        names, rows = predict_table(
            pipeline,
            self.path,
            self.columns,
            prefix=self.prefix,
            coverage=self.coverage,
            batch_size=self.batch_size,
        )
        rows = rows if self.hidden is None else self._masked(rows, self.hidden)
        if self.target == "-":
            with written_to_stdout():
                write_table(names, rows, sys.stdout)
            return
        with replacing(self.target) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            write_table(names, rows, file)

    def _masked(self, rows: Iterator[dict[str, Any]], names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The rows, already predicted, without personal data in their texts."""
        from emofuse.pipeline.pii import masked_text

        for row in rows:
            text = row.get(self.columns.text)
            yield row if text is None else row | {self.columns.text: masked_text(str(text), names)}
