"""Files that grow as clips are done: a kill leaves what was done beside the place where the whole will stand."""

from __future__ import annotations

import csv
import io
import shutil
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emofuse.cli.outputs import Outputs, complain, put
from emofuse.errors import EmofuseError, OutputError
from emofuse.files import check_writable, replacing, well_formed

if TYPE_CHECKING:
    from emofuse.pipeline.analysis import Analysis


@contextmanager
def written(outputs: Outputs) -> Iterator[Callable[[Path | None, Analysis | EmofuseError], None]]:
    """What takes each result as it comes and writes what was asked for; of several clips, one that failed stands in
    JSON and CSV with its error."""
    from emofuse.pipeline import formats

    with ExitStack() as stack:
        array = stack.enter_context(GrowingList(outputs.json)) if outputs.json and outputs.several else None
        table = stack.enter_context(GrowingTable(outputs.csv)) if outputs.csv and outputs.several else None

        def add(source: Path | None, result: Analysis | EmofuseError) -> None:
            failed = {"source": str(source), "error": str(result)} if isinstance(result, EmofuseError) else None
            if array is not None:
                array.add(failed or result.to_dict())  # type: ignore[union-attr]
            if table is not None:
                table.add([failed] if failed else result.rows())  # type: ignore[union-attr]
            if isinstance(result, EmofuseError):
                return
            if outputs.json and not outputs.several:
                put(outputs.json, formats.dump(result.to_dict()))
            if outputs.csv and not outputs.several:
                put(outputs.csv, formats.csv_text(result.rows()))
            outputs.write_each(source, result)

        yield add


def part_of(target: str) -> Path | None:
    """Where a file grows, PATH.part; None for stdout and for a device or a pipe, which are written to themselves."""
    path = Path(target)
    return None if target == "-" or (path.exists() and not path.is_file()) else path.with_name(f"{path.name}.part")


def check_parts(targets: Sequence[str | None]) -> None:
    """Refuse to write over what an earlier run left when it was killed. Raises OutputError."""
    for part in filter(None, (part_of(target) for target in targets if target is not None)):
        check_writable(part)
        if part.exists():
            raise OutputError(f"{str(part)!r} holds what an earlier run had done when it was killed; move or delete it")


class Growing:
    """What grows in PATH.part, written through at every clip, for as long as a block lasts.

    At its end the file stands under its name; on an error the part stays, and stderr says so.
    """

    def __init__(self, target: str) -> None:
        self.target, self.part = target, part_of(target)
        self.count = 0

    def __enter__(self) -> Growing:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            if self.part is not None and self.part.exists():
                complain(f"what was done until then is in {str(self.part)!r}")
            return
        self.end()
        if self.part is not None and self.part.exists():
            with replacing(self.target) as whole:
                shutil.copyfile(self.part, whole)
            self.part.unlink()

    def write(self, text: str) -> None:
        """Append, at once."""
        if self.part is None:
            put(self.target, text)
            return
        try:
            with self.part.open("a", encoding="utf-8", newline="") as file:
                file.write(well_formed(text))
        except OSError as error:
            raise OutputError(f"cannot write {str(self.part)!r}: {error.strerror or error}; make room there") from error

    def end(self) -> None:
        """What comes last."""


class GrowingList(Growing):
    """A JSON array, an element a clip."""

    def add(self, shape: Any) -> None:
        """The next element."""
        from emofuse.pipeline.formats import dump

        self.write(("[\n" if not self.count else ",\n") + textwrap.indent(dump(shape).rstrip("\n"), "  "))
        self.count += 1

    def end(self) -> None:
        self.write("\n]\n" if self.count else "[]\n")


class GrowingTable(Growing):
    """A CSV table. A column that comes later is added to all rows; where there is no going back (stdout), all rows wait
    for the last clip instead."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.columns: list[str] = []
        self._waiting: list[dict[str, Any]] = []

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """The rows of a clip."""
        from emofuse.pipeline.formats import columns

        if self.part is None:
            self._waiting += rows
            return
        wider = list(dict.fromkeys([*self.columns, *columns(rows)]))
        if wider != self.columns:
            self._widen(self.part, wider)
        self.write(_lines(rows, self.columns))

    def end(self) -> None:
        from emofuse.pipeline.formats import csv_text

        if self.part is None:
            put(self.target, csv_text(self._waiting))
        elif not self.columns:
            self.write(csv_text([]))

    def _widen(self, part: Path, columns: list[str]) -> None:
        earlier = []
        if part.exists():
            with part.open(encoding="utf-8", newline="") as file:
                earlier = list(csv.DictReader(file))
        with replacing(part) as temporary:
            temporary.write_text(_header(columns) + _lines(earlier, columns), encoding="utf-8", newline="")
        self.columns = columns


def _header(columns: Sequence[str]) -> str:
    return _lines([dict(zip(columns, columns, strict=True))], columns)


def _lines(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    text = io.StringIO(newline="")
    csv.DictWriter(text, columns, lineterminator="\n").writerows(rows)
    return well_formed(text.getvalue())
