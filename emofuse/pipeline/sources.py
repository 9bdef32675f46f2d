"""Clips of a folder."""

from __future__ import annotations

from pathlib import Path

from emofuse.errors import MediaError
from emofuse.media.formats import AUDIO_SUFFIXES, IMAGE_SUFFIXES, MEDIA_SUFFIXES, VIDEO_SUFFIXES, sidecar_endings

CLIP_SUFFIXES = VIDEO_SUFFIXES + AUDIO_SUFFIXES + IMAGE_SUFFIXES


def media_in(folder: Path) -> list[Path]:
    """Every video, recording, picture and text below a folder, by name; hidden files and folders are passed over.

    A text beside a clip of the same name is that clip's transcript, and no clip. Raises `MediaError` when nothing is
    there.
    """
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in MEDIA_SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    beside = {path.with_suffix(ending) for path in found for ending in sidecar_endings(path)}
    found = [path for path in found if path not in beside]
    if not found:
        endings = ", ".join(ending[1:] for ending in MEDIA_SUFFIXES)
        raise MediaError(f"the folder {str(folder)!r} holds no media; it should hold files that end in {endings}")
    return found
