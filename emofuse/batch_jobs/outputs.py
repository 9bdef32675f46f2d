"""What a job writes beside its parts: failed.jsonl, tables of all rows, a file a clip."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emofuse.batch_jobs.job import Job
from emofuse.batch_jobs.manifest import COLUMNS
from emofuse.batch_jobs.plan import Item
from emofuse.files import replacing, write_file

if TYPE_CHECKING:
    from emofuse.pipeline.analysis import Analysis

EACH = ("json", "srt", "vtt")


def write_each(job: Job, item: Item, analysis: Analysis) -> None:
    """The files that are about one clip alone."""
    for ending in job.options.formats:
        if ending in EACH:
            folder = job.folder / ending
            folder.mkdir(exist_ok=True)
            write_file(folder / f"{file_name(item.id)}.{ending}", analysis.to_text(f".{ending}"))


def file_name(name: str) -> str:
    """An id as the name of a file: what may not stand in one is left out, and then a digest tells ids apart."""
    plain = re.sub(r"[^\w.-]+", "_", name.rpartition("/")[2])[-80:].lstrip(".")
    return plain if plain == name and plain else f"{plain or 'clip'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def add_failures(job: Job, items: Sequence[Item], clips: Sequence[Mapping[str, Any]]) -> None:
    """Append a shard's failures to failed.jsonl, for whoever looks while the job runs."""
    lines = [failure(item, row) for item, row in zip(items, clips, strict=True) if row["error"] is not None]
    if lines:
        with (job.folder / "failed.jsonl").open("a", encoding="utf-8") as file:
            file.write("".join(lines))


def failure(item: Item, row: Mapping[str, Any]) -> str:
    """A line of failed.jsonl: the item as a row of a manifest, its error, and how often it was tried.

    A cell that could not be read stands there as it came, so that the row fails again until it is mended.
    """
    inputs = {key: getattr(item, key) for key in COLUMNS} | json.loads(item.unread or "{}")
    inputs["transcript"] = None if item.sidecar else item.transcript
    told = {key: value for key, value in inputs.items() if value is not None} | dict(item.extras)
    return (
        json.dumps(told | {"error": row["error"], "attempts": row["attempts"]}, ensure_ascii=False, default=str) + "\n"
    )


def write_failures(job: Job) -> int:
    """failed.jsonl anew from the parts, in the order of the plan; how many failed. Without any there is no file."""
    lines: list[str] = []
    for shard in job.shards:
        rows = _rows(job.part("clips", shard), ["id", "error", "attempts"]) if job.done(shard) else []
        if any(row["error"] is not None for row in rows):
            pairs = zip(job.read(shard), rows, strict=True)
            lines += [failure(item, row) for item, row in pairs if row["error"] is not None]
    path = job.folder / "failed.jsonl"
    if lines:
        write_file(path, "".join(lines))
    else:
        path.unlink(missing_ok=True)
    return len(lines)


def write_tables(job: Job) -> list[Path]:
    """The tables of all rows that were asked for, once all shards are done."""
    written = []
    for ending in ("csv", "jsonl"):
        if ending in job.options.formats:
            for table in ("clips", "segments"):
                path = job.folder / f"{table}.{ending}"
                with replacing(path) as temporary:
                    _write_table(job, table, temporary, ending)
                written.append(path)
    return written


def _write_table(job: Job, table: str, path: Path, ending: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for shard in job.shards:
            rows = _rows(job.part(table, shard))
            if ending == "jsonl":
                file.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
                continue
            if shard == 0:
                writer.writerow(_columns(job.part(table, shard)))
            writer.writerows([_cell(value) for value in row.values()] for row in rows)


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, (list, dict)) else value


def _columns(part: Path) -> list[str]:
    import pyarrow.parquet as parquet

    return parquet.read_schema(part).names


def _rows(part: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]] | list[dict[str, Any]]:
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(part) as file:
        return file.read(columns).to_pylist()
