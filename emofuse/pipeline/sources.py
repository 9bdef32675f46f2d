"""Clips of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from emofuse.errors import MediaError
from emofuse.media.formats import AUDIO_SUFFIXES, IMAGE_SUFFIXES, MEDIA_SUFFIXES, VIDEO_SUFFIXES, sidecar_endings

CLIP_SUFFIXES = VIDEO_SUFFIXES + AUDIO_SUFFIXES + IMAGE_SUFFIXES


def media_in(folder: Path) -> list[Path]:
    """Every video, recording, picture and text below a folder, by name; hidden files and folders are passed over.

    A text beside a clip of the same name is that clip's transcript, and no clip. Raises `MediaError` when nothing is
    there, and for a folder that this user may not look into.
    """
    found = sorted(path for path in _below(folder) if path.suffix.lower() in MEDIA_SUFFIXES and path.is_file())
    beside = {path.with_suffix(ending) for path in found for ending in sidecar_endings(path)}
    found = [path for path in found if path not in beside]
    if not found:
        endings = ", ".join(ending[1:] for ending in MEDIA_SUFFIXES)
        raise MediaError(f"the folder {str(folder)!r} holds no media; it should hold files that end in {endings}")
    return found


def _below(folder: Path) -> Iterator[Path]:
    """Everything that is in a folder and those below it, but what is hidden."""
    for home, folders, names in os.walk(folder, onerror=_closed):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(home, name) for name in names if not name.startswith("."))


def _closed(error: OSError) -> NoReturn:
    raise MediaError(f"cannot look into the folder {error.filename!r}: {error.strerror}; let this user read it")
