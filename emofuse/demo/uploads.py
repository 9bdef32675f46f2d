"""Whose uploads lie where, so that each goes when nobody on the page needs it any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


class Uploads:
    """Files that the page received. Equal files of several people are one file: it goes with the last of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._holders: dict[Path, set[str]] = {}
        self._lock = threading.Lock()

    def hold(self, session: str, file: str | Path | None) -> None:
        """Note that a session has this upload in one of its boxes."""
        path = self._own(file)
        if path is not None:
            with self._lock:
                self._holders.setdefault(path, set()).add(session)

    def release(self, session: str, *files: str | Path | None) -> None:
        """Delete the files unless another session still holds them."""
        for path in filter(None, map(self._own, files)):
            with self._lock:
                holders = self._holders.get(path, set())
                holders.discard(session)
                if not holders:
                    self._holders.pop(path, None)
                    self._delete(path)

    def path_of(self, sent: Mapping[str, Any] | str | None) -> str | None:
        """The path of what the page says it uploaded; one elsewhere is as good as none: never read, never deleted."""
        named = sent.get("path") if isinstance(sent, Mapping) else sent
        path = self._own(named)
        return None if path is None else str(path)

    def sweep(self, age: float) -> None:
        """Delete what nobody holds and nobody has touched for so many seconds: leftovers of streams and uploads."""
        for path in list(self.folder.rglob("*")):
            try:
                if path not in self._holders and path.is_file() and time.time() - path.stat().st_mtime > age:
                    with self._lock:
                        self._delete(path)
            except FileNotFoundError:
                continue

    def release_all(self, session: str) -> None:
        """Delete what a session that ended has left."""
        with self._lock:
            held = [path for path, holders in self._holders.items() if session in holders]
        self.release(session, *held)

    def _own(self, file: str | Path | None) -> Path | None:
        """The path of an upload; None for what lies elsewhere, which is never touched."""
        if not file:
            return None
        path = Path(file).resolve()
        return path if path.is_relative_to(self.folder) and path != self.folder else None

    def _delete(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        if path.parent != self.folder:
            with suppress(OSError):  # it is gone already, or holds something else
                path.parent.rmdir()
