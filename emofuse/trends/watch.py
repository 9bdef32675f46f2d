"""Watch: the rows that a growing table, a stream or a batch job has gained since the last look."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from emofuse.errors import DataError
from emofuse.pipeline.collected import committed, is_job, part_rows
from emofuse.pipeline.tables import json_row
from emofuse.trends.alerts import alerts
from emofuse.trends.report import Trend
from emofuse.trends.series import Gathered

Row = dict[str, Any]
CHUNK, CHUNKS = 1 << 16, 1024
"""Bytes taken from a pipe at a time, and how many times before they are looked at: who writes faster then waits."""


class Growing(Protocol):
    """What is looked at again and again."""

    done: bool
    """Whether nothing more will come."""

    def new(self) -> list[Row]:
        """The rows that have come since the last look."""
        ...


class GrowingFolder:
    """A folder that `emofuse batch` writes: the segments of every part since it is committed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.done = folder, False
        self._seen: set[Path] = set()

    def new(self) -> list[Row]:
        """Raises `DataError` for a part that cannot be read."""
        fresh = [part for part in committed(self.folder) if part not in self._seen]
        rows = [row for part in fresh for row in part_rows(part, "segments")]
        self._seen.update(fresh)
        self.done = len(self._seen) >= self._shards()
        return rows

    def _shards(self) -> float:
        """How many parts the job will have; for ever more of a folder that is no job."""
        job = self.folder / "job.json"
        if not job.is_file() or not is_job(self.folder):
            return float("inf")
        return json.loads(job.read_text("utf-8"))["shards"]


class Lines:
    """Lines of JSON as rows, counted for whoever has to mend one."""

    def __init__(self, name: str) -> None:
        self.name, self.count = name, 0

    def rows(self, whole: bytes) -> list[Row]:
        """Raises `DataError` for a line that is no JSON object; an empty one is passed over."""
        return [row for line in whole.splitlines() if (row := self._row(line)) is not None]

    def _row(self, line: bytes) -> Row | None:
        self.count += 1
        return json_row(line, f"{self.name}, line {self.count}") if line.strip() else None


class GrowingLines:
    """A JSONL file that others append to: each line once it has its end. One that was begun anew is read anew."""

    def __init__(self, path: Path) -> None:
        self.path, self.done = path, False
        self._read, self._lines = 0, Lines(str(path))

    def new(self) -> list[Row]:
        """Raises `DataError` for a line that is no JSON object; one without its end waits."""
        if self.path.stat().st_size < self._read:
            self._read = self._lines.count = 0
        with self.path.open("rb") as file:
            file.seek(self._read)
            whole, end, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(end)
        return self._lines.rows(whole + end)


class GrowingStream:
    """JSONL that comes through a pipe: each line once it has its end, until the pipe is closed."""

    def __init__(self, descriptor: int = 0, name: str = "stdin") -> None:
        self.done = False
        self._lines, self._rest = Lines(name), b""
        self._chunks: queue.Queue[bytes] = queue.Queue(CHUNKS)
        threading.Thread(target=self._read, args=(descriptor,), name="emofuse-stdin", daemon=True).start()

    def new(self) -> list[Row]:
        """Raises `DataError` for a line that is no JSON object; at the end of the pipe the last needs no end."""
        came = b"".join(self._waiting())
        whole, end, self._rest = (self._rest + came).rpartition(b"\n")
        if self.done:
            whole, end, self._rest = whole + end + self._rest, b"", b""
        return self._lines.rows(whole + end)

    def _waiting(self) -> Iterator[bytes]:
        """What has come and was not taken yet; an empty chunk is the end."""
        while not self._chunks.empty():
            if not (chunk := self._chunks.get()):
                self.done = True
                return
            yield chunk

    def _read(self, descriptor: int) -> None:
        """Past Python's own buffer, whose lock a thread that waits would hold while the program ends."""
        with suppress(OSError):  # closed
            while chunk := os.read(descriptor, CHUNK):
                self._chunks.put(chunk)
        self._chunks.put(b"")


def growing(path: Path) -> Growing:
    """What grows at a path; "-" is stdin. Raises `DataError` for what is neither a stream, a folder nor JSONL."""
    if str(path) == "-":
        return GrowingStream()
    if path.is_dir():
        return GrowingFolder(path)
    if path.suffix.lower() != ".jsonl" or not path.is_file():
        raise DataError(f"{str(path)!r} cannot be watched; a folder of emofuse batch, a .jsonl file or - (stdin) can")
    return GrowingLines(path)


def to_the_end(source: Growing, seconds: float = 0.05) -> Iterator[Row]:
    """Every row that comes, until there will be no more."""
    while True:
        yield from source.new()
        if source.done:
            return
        time.sleep(seconds)


def following(
    source: Growing,
    gathered: Gathered,
    limit: float,
    baseline: int,
    seconds: float,
    wait: Callable[[float], object] = time.sleep,
) -> Iterator[tuple[Trend | None, list[dict[str, Any]]]]:
    """The trend and its new alerts at every look that finds rows, some seconds apart, until there will be no more.

    Of the alerts that the first look finds, those of the last periods count as new; later each that was not there yet.
    Groups with too few periods are left out until they have enough; None = all have too few.
    """
    told: set[tuple[str, ...]] | None = None
    while True:
        for row in (rows := source.new()):
            gathered.add(row)
        if rows:
            long = [one for one in gathered.series() if len(one.bins) > baseline]
            found = Trend(gathered.of, [(one, alerts(one, limit, baseline)) for one in long], limit) if long else None
            new = [] if found is None else found.latest() if told is None else found.alerts()
            yield found, [alert for alert in new if told is None or _identity(alert) not in told]
            told = (told or set()) | {_identity(alert) for alert in (found.alerts() if found else ())}
        if source.done:
            return
        wait(seconds)


def _identity(alert: Mapping[str, Any]) -> tuple[str, ...]:
    return alert["group"], alert["at"], alert["direction"]
