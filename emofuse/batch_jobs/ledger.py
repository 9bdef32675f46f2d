"""The ledger of a shard: which clips were open when a process ended, so that one that kills is found and set aside."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from emofuse.errors import EmofuseError, OutputError


class Ledger:
    """Lines that are appended as things happen and outlive the process; read again by whoever takes the shard next.

    `begin` opens a process's turn, `open` and `close` a clip, `clear` says that a suspect was read alone and did no
    harm, `aside` that one was given up, `end` closes the turn. A turn without an end was killed: every clip that was
    open in it has lost one attempt.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.deaths = 0
        """Turns that ended without an end."""
        self.lost: Counter[int] = Counter()
        """Clip (its place in the shard) → attempts lost since it was last cleared."""
        self.tries: Counter[int] = Counter()
        """Clip → attempts lost in all."""
        self.aside: dict[int, tuple[str, int]] = {}
        """Clip given up → (why, after how many attempts)."""
        self._open: set[int] = set()
        self._ended = True
        for line in _lines(path):
            self._take(line)
        self._take({"begin": 0})

    def _take(self, line: dict[str, Any]) -> None:
        match line:
            case {"begin": _}:
                self._settle(not self._ended)
                self._ended = False
            case {"end": how}:
                self._settle(how != "released")
                self._ended = True
            case {"open": clip}:
                self._open.add(clip)
            case {"close": clip}:
                self._open.discard(clip)
            case {"clear": clip}:
                self._open.discard(clip)
                self.lost.pop(clip, None)
            case {"aside": clip, "error": error, "attempts": attempts}:
                self.aside[clip] = error, attempts

    def _settle(self, died: bool) -> None:
        if died:
            self.deaths += 1
            self.lost.update(self._open)
            self.tries.update(self._open)
        self._open.clear()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One process's, or one try's, work on the shard. Leaving by Ctrl-C or a full disk costs no clip an attempt.

        An error that Ctrl-C brought about, as one of a clean-up that it cut short, is raised as KeyboardInterrupt.
        """
        self._write({"begin": os.getpid()})
        try:
            yield
        except (KeyboardInterrupt, SystemExit, GeneratorExit, EmofuseError):
            self.write_end("released")
            raise
        except BaseException as error:
            if stopped := _interrupt_behind(error):
                self.write_end("released")
                raise stopped from error
            self.write_end(f"{type(error).__name__}: {error}")
            raise
        self.write_end("released")

    def open(self, clip: int) -> None:
        """Count an attempt, before the clip is touched."""
        self._write({"open": clip})

    def close(self, clip: int) -> None:
        """The clip is read and predicted."""
        self._write({"close": clip})

    def clear(self, clip: int) -> None:
        """A suspect was read alone and did no harm."""
        self._write({"clear": clip})
        self.lost.pop(clip, None)

    def give_up(self, clip: int, error: str, attempts: int) -> None:
        """Set a clip aside."""
        self._write({"aside": clip, "error": error, "attempts": attempts})
        self.aside[clip] = error, attempts

    def write_end(self, how: str) -> None:
        """Close the turn, whatever state it is in; a full disk cannot be told."""
        with suppress(OutputError):
            self._write({"end": how})

    def _write(self, line: dict[str, Any]) -> None:
        try:
            with self.path.open("ab") as file:
                if file.tell() and not _ends_a_line(self.path):
                    file.write(b"\n")
                file.write(json.dumps(line).encode() + b"\n")
        except OSError as error:
            raise OutputError(
                f"cannot write {str(self.path)!r}: {error.strerror or error}; the job can go on once it can"
            ) from error


def release(path: Path) -> None:
    """Say that whoever had a turn was ended on purpose: it costs no clip an attempt."""
    if path.is_file():
        with path.open("ab") as file:
            file.write(b'\n{"end": "released"}\n')


def _interrupt_behind(error: BaseException) -> KeyboardInterrupt | None:
    """The Ctrl-C that was being handled when the error arose."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, KeyboardInterrupt):
        seen = seen.__cause__ or seen.__context__
    return seen


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """What was written whole; a line that was cut off is none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    for line in content.splitlines():
        try:
            read = json.loads(line)
        except ValueError:
            continue
        if isinstance(read, dict):
            yield read


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
