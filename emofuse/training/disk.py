"""A full disk, told from other errors of writing weights and states."""

from __future__ import annotations

import errno
from pathlib import Path

from safetensors import SafetensorError

from emofuse.errors import EmofuseError

DISK_ERRORS = (OSError, RuntimeError, SafetensorError)
"""What writing weights and states may raise."""


class TrainingError(EmofuseError, RuntimeError):
    """Training cannot go on: the loss is no number, or the disk is full. What was saved before stays."""


def disk_full(error: BaseException) -> bool:
    """Whether an error of writing means a full disk: safetensors and torch say so in words, without an errno."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return any(words in str(error) for words in ("No space left", "StorageFull", "PytorchStreamWriter failed"))


def disk_error(folder: Path) -> TrainingError:
    """A full disk as an error that says what to do."""
    return TrainingError(
        f"no space left on the disk of {folder}; the last complete state there stays: free some space and go on with "
        "--resume, or set output.folder to another disk"
    )
