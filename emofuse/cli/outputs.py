"""The files that `emofuse predict` was asked for."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emofuse.errors import EmofuseError, MediaError

if TYPE_CHECKING:
    from emofuse.pipeline.analysis import Analysis


def complain(message: str) -> int:
    """One line on stderr, whatever lines the message came in; the exit code that goes with it."""
    sys.stderr.write(f"emofuse: {' '.join(message.split())}\n")
    return 2


def check_writable(*targets: str | Path | None) -> None:
    """Find out before the work what could not be written after it; "-" is stdout. Raises `MediaError`."""
    for path in (Path(target) for target in targets if target is not None and str(target) != "-"):
        if path.is_dir() or not path.absolute().parent.is_dir():
            problem = "it is a folder" if path.is_dir() else f"there is no folder {str(path.parent)!r}"
            raise MediaError(f"cannot write {str(path)!r}: {problem}; name a file in a folder that is there")


@dataclass(frozen=True)
class Outputs:
    """Where to write what: JSON and CSV hold all clips in one, captions and timelines are a file a clip."""

    json: str | None
    csv: str | None
    """A path, or "-" for stdout."""
    each: Mapping[str, Path | None]
    """Ending of the file (".srt", ".vtt", ".png") → a path, or the folder to write to for several clips."""
    several: bool

    def check(self, sources: Sequence[Path]) -> None:
        """Find out before the work what could not be written after it. Raises `MediaError`."""
        names = Counter(source.stem for source in sources)
        if self.several and any(self.each.values()) and len(names) < len(sources):
            twice = next(name for name, count in names.items() if count > 1)
            raise MediaError(f"several clips are called {twice!r} and would overwrite each other: analyse them apart")
        if self.json == self.csv == "-":
            raise MediaError("--json - and --csv - both want stdout: write one of them to a file")
        check_writable(self.json, self.csv, *([] if self.several else self.each.values()))
        for folder in filter(None, self.each.values()) if self.several else ():
            if not folder.is_dir():
                raise MediaError(f"several clips need a folder to write to, and {str(folder)!r} is none: make it first")

    @property
    def stdout_taken(self) -> bool:
        """Whether stdout carries data, so that nothing else may be printed there."""
        return "-" in (self.json, self.csv)

    def write(self, results: Mapping[Path | None, Analysis | EmofuseError]) -> None:
        """Write what was asked for; of several clips, one that failed stands in the JSON array with its error."""
        from emofuse.pipeline import formats
        from emofuse.pipeline.analysis import Analysis

        good = {source: result for source, result in results.items() if isinstance(result, Analysis)}
        if self.json and (good or self.several):
            shapes = [
                result.to_dict() if isinstance(result, Analysis) else {"source": str(source), "error": str(result)}
                for source, result in results.items()
            ]
            put(self.json, formats.dump(shapes if self.several else shapes[0]))
        if self.csv and (good or self.several):
            put(self.csv, formats.csv_text(*good.values()))
        wanted = [(ending, target) for ending, target in self.each.items() if target is not None]
        for ending, target in wanted:
            for source, result in good.items():
                path = target / f"{source.stem if source else 'text'}{ending}" if self.several else target
                result.plot(path) if ending == ".png" else result.save(path)


def put(target: str, text: str) -> None:
    """Text to stdout, or to a file as a whole."""
    from emofuse.pipeline.formats import write_whole

    if target == "-":
        sys.stdout.write(text)
    else:
        write_whole(Path(target), text.encode())
