"""Errors of training: a loss that is no number, a disk that takes nothing more, a state that cannot be gone on from."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError

from emofuse.errors import EmofuseError

_UNREADABLE = (
    pickle.UnpicklingError, SafetensorError, RuntimeError, OSError, EOFError, ValueError, TypeError, LookupError,
    AttributeError,
)  # fmt: skip


class TrainingError(EmofuseError, RuntimeError):
    """Training cannot go on. What was saved before stays."""


class DiskFullError(TrainingError):
    """Weights or states cannot be written: the disk is full."""


class StateError(TrainingError):
    """A state to go on from is damaged, or holds what no training of ours writes."""


@contextmanager
def reading_state(folder: str | Path | None) -> Iterator[None]:
    """Raise StateError for whatever goes wrong while a state is read; nothing in it is ever run."""
    try:
        yield
    except (EmofuseError, torch.OutOfMemoryError):
        raise
    except _UNREADABLE as error:
        foreign = isinstance(error, pickle.UnpicklingError)
        why = "it holds more than numbers" if foreign else (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StateError(
            f"the state {folder} cannot be read ({why}): it is damaged, or another program wrote it; delete this "
            "folder to go on from the state before it with --resume, or start anew in another output.folder"
        ) from error
