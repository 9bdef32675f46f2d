"""Tables of `emofuse predict`: rows of texts through a model, to a file or stdout."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emofuse.cli.outputs import complain, written_to_stdout
from emofuse.errors import MediaError
from emofuse.files import check_outputs, replacing

if TYPE_CHECKING:
    from emofuse.pipeline.pipeline import Pipeline
    from emofuse.pipeline.tables import Columns


@dataclass(frozen=True)
class TableJob:
    """A table, its columns, and where it goes with its predictions."""

    path: Path
    columns: Columns
    target: str
    """A path, or "-" for stdout."""
    prefix: str
    coverage: float | None

    def check(self) -> None:
        """Raise before the work what is wrong with the columns or the output."""
        from emofuse.pipeline.tables import read_table

        check_outputs([self.target], [self.path])
        if self.target != "-" and Path(self.target).suffix.lower() != ".csv":
            raise MediaError(f"a table is written as CSV: name it .csv, not {self.target!r}")
        self.columns.check(read_table(self.path)[0], self.prefix)

    def run(self, pipeline: Pipeline) -> None:
        """Predict and write, row by row; a file appears whole or not at all."""
        from emofuse.pipeline.tables import notes_of, predict_table, write_table

        for note in notes_of(pipeline):
            complain(f"note: {note}")

        names, rows = predict_table(pipeline, self.path, self.columns, prefix=self.prefix, coverage=self.coverage)
        if self.target == "-":
            with written_to_stdout():
                write_table(names, rows, sys.stdout)
            return
        with replacing(self.target) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            write_table(names, rows, file)
