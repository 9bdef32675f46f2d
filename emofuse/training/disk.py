"""A full disk, told from other errors of writing weights and states."""

from __future__ import annotations

import errno
from pathlib import Path

from safetensors import SafetensorError

from emofuse.training.errors import DiskFullError

DISK_ERRORS = (OSError, RuntimeError, SafetensorError)
"""What writing weights and states may raise."""
FULL = (
    "No space left",
    "StorageFull",
    "File too large",
    "Disk quota",
    "PytorchStreamWriter failed",
    "basic_ios::clear",
)
"""Words by which safetensors, torch and the C++ library below it say that nothing more can be written."""


def disk_full(error: BaseException) -> bool:
    """Whether an error of writing means a full disk: safetensors and torch say so in words, without an errno."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    said = f"{error} {error.__context__ or ''}"
    return any(words in said for words in FULL) or ("inline_container" in said and "unexpected pos" in said)


def disk_error(folder: Path) -> DiskFullError:
    """A full disk as an error that says what to do."""
    return DiskFullError(
        f"no space left on the disk of {folder}; the last complete state there stays: free some space and go on with "
        "--resume, or set output.folder to another disk"
    )
