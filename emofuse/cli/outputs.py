"""Output files of `emofuse predict`."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emofuse.errors import DataError, MediaError, OutputError, require_package
from emofuse.files import check_outputs, well_formed, write_file

if TYPE_CHECKING:
    from emofuse.pipeline.analysis import Analysis

_PACKAGE = Path(__file__).resolve().parents[1]


def complain(message: str) -> int:
    """One line on stderr, whatever lines the message came in; the exit code that goes with it."""
    if sys.stderr is not None:
        sys.stderr.write(f"emofuse: {' '.join(message.split())}\n")
    return 2


@contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """What this package warns of is a note on stderr, without the line of code it comes from; others as they are."""
    plain = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], filename: str, *rest: Any) -> None:
        if Path(filename).is_relative_to(_PACKAGE):
            complain(f"note: {message}")
        else:
            plain(message, category, filename, *rest)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = plain


def lenient_terminal() -> None:
    """Let what a terminal's encoding lacks be printed as its nearest ASCII or a question mark; a closed stdout is
    nowhere."""
    codecs.register_error("emofuse", _nearest_ascii)
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="emofuse")


def _nearest_ascii(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    wrong = error.object[error.start : error.end]
    return "".join(_ASCII.get(character, "?") for character in wrong), error.end


_ASCII = {"–": "-", "—": "-", "…": "...", "±": "+-", "’": "'", "“": '"', "”": '"', "·": "-", "→": "->"}


@contextmanager
def written_to_stdout() -> Iterator[None]:
    """Whatever is printed in the block has arrived when it ends. Raises `OutputError`, as for a disk that is full.

    A reader that has seen enough, as `head` has, is no error.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go_of_stdout()
    except OSError as error:
        _let_go_of_stdout()
        raise OutputError(f"cannot write to stdout: {error.strerror or error}; write to a file instead") from error


def _let_go_of_stdout() -> None:
    """Let what is still buffered go nowhere, since Python would fail on it once more at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@dataclass(frozen=True)
class Outputs:
    """Where to write what: JSON and CSV hold all clips in one, captions and timelines are a file a clip."""

    json: str | None
    csv: str | None
    """A path, or "-" for stdout."""
    each: Mapping[str, Path | None]
    """Ending of the file (".srt", ".vtt", ".png") → a path, or the folder to write to for several clips."""
    several: bool
    seconds: str | None = None
    """Where to write a row a second: a path, or "-" for stdout."""
    step: float = 1.0
    """Seconds between those rows."""
    blur: bool = False
    """Whether faces are blurred in a video that is rendered."""
    not_made: list[Path] = field(default_factory=list)
    """Files that a clip had nothing for."""

    def check(self, sources: Sequence[Path], read: Sequence[Path | None] = ()) -> None:
        """Find out before the work what could not or must not be written after it. Raises `MediaError`, `DataError`.

        `read`: what is read beside the clips, as transcripts, rules, acts and labels are.
        """
        if self.blur and self.each.get(".mp4") is None:
            raise DataError("--blur is of the faces in what --render writes; give --render too, or leave it out")
        names = Counter(source.stem for source in sources)
        if self.several and any(self.each.values()) and len(names) < len(sources):
            twice = next(name for name, count in names.items() if count > 1)
            raise MediaError(f"several clips are called {twice!r} and would overwrite each other: analyse them apart")
        if [self.json, self.csv, self.seconds].count("-") > 1:
            raise MediaError("two of --json, --csv and --seconds both want stdout: write one of them to a file")
        if self.seconds is not None:
            from emofuse.pipeline.annotations import check_step

            check_step(self.step)
        if (video := self.each.get(".mp4")) is not None and not self.several:
            from emofuse.pipeline.render import check_target

            check_target(video)
        if self.each.get(".TextGrid") or self.each.get(".eaf"):
            require_package("pympi", extra="annotate")
        for folder in filter(None, self.each.values()) if self.several else ():
            if not folder.is_dir():
                raise MediaError(f"several clips need a folder to write to, and {str(folder)!r} is none: make it first")
        of_each = [path for source in sources or [None] for _, path in self._files_of(source)]
        check_outputs([self.json, self.csv, self.seconds, *of_each], [*sources, *read])
        if (plot := self.each.get(".png")) is not None:
            from emofuse.pipeline.timeline import check_ending

            require_package("matplotlib", extra="plot")
            if not self.several:
                check_ending(plot)

    def _files_of(self, source: Path | None) -> Iterator[tuple[str, Path]]:
        """(ending, where it goes) for each file that is about one clip alone."""
        for ending, target in self.each.items():
            if target is not None:
                stem = source.stem if source else "text"
                yield ending, target / f"{stem}{ending}" if self.several else target

    @property
    def stdout_taken(self) -> bool:
        """Whether stdout carries data, so that nothing else may be printed there."""
        return "-" in (self.json, self.csv, self.seconds)

    def write_each(self, source: Path | None, result: Analysis) -> None:
        """Write the files that are about one clip alone; of one that the clip has nothing for a line is told.

        Raises OutputError, as for a disk that is full.
        """
        for ending, path in self._files_of(source):
            try:
                self._write(ending, path, result)
            except OutputError:
                raise
            except (MediaError, DataError) as error:
                complain(f"{path} was not written: {error}")
                self.not_made.append(path)

    def _write(self, ending: str, path: Path, result: Analysis) -> None:
        if ending == ".png":
            result.plot(path)
        elif ending == ".mp4":
            from emofuse.pipeline.render import render

            render(result, path, blur=self.blur)
        elif ending == ".html":
            from emofuse.pipeline.call_report import call_report

            write_file(path, call_report(result).to_html())
        else:
            write_file(path, result.to_text(ending))


def put(target: str, text: str) -> None:
    """Text to stdout, there as UTF-8 whatever the terminal's encoding is, or to a file as a whole."""
    if target != "-":
        write_file(target, text)
        return
    with written_to_stdout():
        binary = getattr(sys.stdout, "buffer", None)
        if binary is None:
            sys.stdout.write(text)
        else:
            sys.stdout.flush()
            binary.write(well_formed(text).encode())
            binary.flush()


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV, in the columns of the first."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
