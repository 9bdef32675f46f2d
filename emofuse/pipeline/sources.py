"""Clips of a folder."""

from __future__ import annotations

from pathlib import Path

from emofuse.errors import MediaError
from emofuse.media.formats import AUDIO_SUFFIXES, IMAGE_SUFFIXES, VIDEO_SUFFIXES

CLIP_SUFFIXES = VIDEO_SUFFIXES + AUDIO_SUFFIXES + IMAGE_SUFFIXES


def media_in(folder: Path) -> list[Path]:
    """Every video, recording and picture below a folder, by name; hidden files and folders are passed over.

    Texts are not clips: a transcript mostly lies beside the clip it belongs to. Raises `MediaError` when none is there.
    """
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in CLIP_SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not found:
        endings = ", ".join(ending[1:] for ending in CLIP_SUFFIXES)
        raise MediaError(f"the folder {str(folder)!r} holds no media; it should hold files that end in {endings}")
    return found
