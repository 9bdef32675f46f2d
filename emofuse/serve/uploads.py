"""Whose uploads lie where, so that each goes when nobody on the page needs it any more."""

from __future__ import annotations

import threading
from pathlib import Path


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
        if path.parent != self.folder and path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()
