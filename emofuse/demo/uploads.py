"""Uploads: files that visitors gave, each remembered with who gave it and deleted once its answer is made."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from emofuse.demo.visitors import Visit


@dataclass(eq=False)
class Upload:
    """A file, and whose it is."""

    path: Path
    browser: str
    since: float
    in_use: int = 0
    """How many answers are being made, or waited for, that need it."""


class Uploads:
    """The files of everybody; each lies in a folder of its own whose name nobody can guess.

    A request may name a file, and gets it only where that very file was given by the same browser: what it names is
    looked up here, and never opened.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._known: dict[str, Upload] = {}
        self._coming: set[Path] = set()
        self._lock = threading.Lock()

    def place(self) -> Path:
        """A new folder for a file on its way; `add` or `drop` ends it."""
        place = self.folder / secrets.token_hex(16)
        with self._lock:
            self._coming.add(place)
        place.mkdir(parents=True)
        return place

    def add(self, browser: str, path: Path) -> None:
        """Remember a file that is there in whole."""
        with self._lock:
            self._known[str(path)] = Upload(path, browser, time.monotonic())
            self._coming.discard(path.parent)

    def drop(self, place: Path) -> None:
        """Delete a file that did not come in whole."""
        with self._lock:
            self._coming.discard(place)
        shutil.rmtree(place, ignore_errors=True)

    def find(self, visit: Visit, sent: object) -> Path | None:
        """The file that a page names, as a string or Gradio's mapping; None unless the same browser gave it."""
        with self._lock:
            upload = self._upload(visit, sent)
        return upload.path if upload is not None and _is_regular(upload.path) else None

    def belongs(self, browser: str, path: str) -> bool:
        """Whether a browser may see a file again."""
        return self.find(Visit(browser, ""), path) is not None

    def release(self, visit: Visit, sent: object) -> None:
        """Delete a file that the same browser gave."""
        with self._lock:
            upload = self._upload(visit, sent)
            if upload is not None:
                self._delete(upload)

    @contextmanager
    def using(self, visit: Visit, sent: object) -> Iterator[None]:
        """Keep a file for as long as the block lasts, however long that is."""
        with self._lock:
            upload = self._upload(visit, sent)
            if upload is not None:
                upload.in_use += 1
        try:
            yield
        finally:
            if upload is not None:
                upload.in_use -= 1

    def sweep(self, age: float) -> None:
        """Delete what is so many seconds old, but for what an answer is being made of."""
        with self._lock:
            for upload in [one for one in self._known.values() if not one.in_use]:
                if time.monotonic() - upload.since > age:
                    self._delete(upload)
            known = {upload.path.parent for upload in self._known.values()} | self._coming
        for place in self.folder.iterdir():
            if place not in known and _seconds_old(place) > age:
                shutil.rmtree(place, ignore_errors=True) if place.is_dir() else place.unlink(missing_ok=True)

    def _upload(self, visit: Visit, sent: object) -> Upload | None:
        named = sent.get("path") if isinstance(sent, Mapping) else sent
        upload = self._known.get(named) if isinstance(named, str) else None
        return upload if upload is not None and upload.browser == visit.browser else None

    def _delete(self, upload: Upload) -> None:
        del self._known[str(upload.path)]
        shutil.rmtree(upload.path.parent, ignore_errors=True)


def open_regular(path: Path) -> BinaryIO:
    """A regular file, opened without following a link or waiting for a pipe. Raises OSError for anything else."""
    opened = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(f"{path.name} is not a regular file")
    return os.fdopen(opened, "rb")


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _seconds_old(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0.0
