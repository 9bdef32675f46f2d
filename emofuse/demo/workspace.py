"""The demo's private folder, and in it one folder for every demo that runs: what a killed one left is cleared."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

from filelock import FileLock, Timeout

from emofuse.errors import EmofuseError


@dataclass(frozen=True)
class Workspace:
    """A folder for one run; its lock is the run's own for as long as its process lives, however that ends."""

    folder: Path
    lock: FileLock

    def close(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.lock.release()
        Path(self.lock.lock_file).unlink(missing_ok=True)


def open_workspace(home: Path | None = None) -> Workspace:
    """A new folder for a run, after clearing those of runs that were killed.

    `home` is the folder of all runs of this user, by default in the system's folder for temporary files. Raises
    `EmofuseError` where that is not a folder of this user alone.
    """
    home = _private(home or Path(tempfile.gettempdir()) / f"emofuse-demo-{_user()}")
    _clear(home)
    while True:
        folder = home / secrets.token_hex(8)
        lock = FileLock(folder.with_suffix(".lock"), thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue  # another start that clears has looked at it
        folder.mkdir(mode=0o700)
        return Workspace(folder, lock)


def _clear(home: Path) -> None:
    """Delete the folders of runs that have ended; a run that lives holds its lock."""
    for mark in home.glob("*.lock"):
        lock = FileLock(mark, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        Workspace(mark.with_suffix(""), lock).close()


def _private(home: Path) -> Path:
    home.mkdir(mode=0o700, exist_ok=True)
    found = home.lstat()
    own = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o077)
    if not stat.S_ISDIR(found.st_mode) or not own:
        raise EmofuseError(
            f"{home} is not a folder of yours alone, and uploads are kept in it; delete it, or set TMPDIR to another"
        )
    return home


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else getuser()
