"""Collected rows: predictions of a table, or of the parts that a batch job has committed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from emofuse.errors import DataError
from emofuse.pipeline.tables import Row, read_table

Unit = Literal["segments", "clips"]
"""What a row of a job is about: a segment and person, with its clip's further columns, or a clip as a whole."""


def read_rows(path: Path, unit: Unit = "clips") -> Iterator[Row]:
    """The rows of a table, of a job's folder, or of a folder of Parquet parts (there `unit` makes no difference).

    Needs the extra `data` for Parquet. Raises `DataError` where there are none.
    """
    if not path.is_dir():
        return read_table(path)[1]
    parts = committed(path)
    if not parts:
        raise DataError(
            f"{str(path)!r} holds no rows; give a table, the folder that emofuse batch wrote (with clips/ and "
            "segments/), or one with Parquet parts"
        )
    return (row for part in parts for row in part_rows(part, unit))


def is_job(folder: Path) -> bool:
    """Whether a folder is one that `emofuse batch` writes."""
    return (folder / "clips").is_dir() and (folder / "segments").is_dir()


def committed(folder: Path) -> list[Path]:
    """The parts that are whole, in order: of a job those of its clips, whose presence is the commit."""
    return sorted((folder / "clips" if is_job(folder) else folder).glob("[!.]*.parquet"))


def part_rows(part: Path, unit: Unit) -> Iterator[Row]:
    """The rows of one part of `committed`."""
    job = part.parent.parent
    if unit == "clips" or not is_job(job):
        return read_table(part)[1]
    names, segments = read_table(job / "segments" / part.name)
    clips = {row["id"]: _further(row, names) for row in read_table(part)[1]}
    return (clips.get(row["id"], {}) | row for row in segments)


def _further(clip: Row, names: Sequence[str]) -> Row:
    """What a clip's row has that its segments' rows have not; where its stretch begins is `clip.start`."""
    return {name: value for name, value in clip.items() if name not in names} | {"clip.start": clip.get("start")}
