"""Clip checks without decoding: existence, container, length, last packet."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emofuse.corpora.corpus import Kind, Log

_IMAGE = re.compile(rb"\x89PNG|\xff\xd8|BM|II\*\0|MM\0\*|RIFF....WEBP", re.DOTALL)
_SOUND = re.compile(rb"RIFF....WAVE|fLaC", re.DOTALL)
"""How files begin that are checked without a container; the ending says nothing here."""

TEXT_ALONE = "its utterance is read as text alone"
"""How a clip that is not whole is made up for where there are words."""


@dataclass(frozen=True)
class Clip:
    """What a look at a file told: its length in seconds (None when not measured or an image), and what is wrong."""

    path: Path
    seconds: float | None = None
    kind: Kind | None = None
    what: str = ""

    @property
    def usable(self) -> bool:
        """Nothing found wrong."""
        return self.kind is None


def inspect_clip(path: Path, verify: bool = True) -> Clip:
    """A clip's length and what is wrong with it; with `verify` off only whether there is a file that is not empty."""
    if not path.is_file():
        return Clip(path, kind="missing", what="no such file")
    if path.stat().st_size == 0:
        return Clip(path, kind="truncated", what="the file has 0 bytes")
    if not verify:
        return Clip(path)
    if _is_pointer(path):
        return Clip(path, kind="missing", what="a Git LFS pointer stands in for the file (git lfs pull fetches it)")
    with path.open("rb") as file:
        head = file.read(12)
    if _IMAGE.match(head):
        return _inspect_image(path)
    return _inspect_sound(path) if _SOUND.match(head) else _inspect_container(path)


def usable(path: Path, log: Log, verify: bool = True, mend: str = "fetch the file again") -> Clip | None:
    """The clip when it is whole; else its problem goes to the log and None comes back."""
    clip = log.inspected.get(path)
    if clip is None:
        clip = log.inspected[path] = inspect_clip(path, verify)
    if clip.kind is None:
        return clip
    log.problem(path, clip.kind, clip.what, mend)
    return None


def _is_pointer(path: Path) -> bool:
    if path.stat().st_size > 1024:
        return False
    with path.open("rb") as file:
        return file.read(40).startswith(b"version https://git-lfs")


def _inspect_image(path: Path) -> Clip:
    data = path.read_bytes()
    if data.startswith(b"\x89PNG") and not data.rstrip(b"\0").endswith(b"IEND\xaeB`\x82"):
        return Clip(path, kind="truncated", what="the PNG has no end")
    if data.startswith(b"\xff\xd8") and b"\xff\xd9" not in data[-64:]:
        return Clip(path, kind="truncated", what="the JPEG has no end")
    return Clip(path)


def _inspect_sound(path: Path) -> Clip:
    import soundfile

    try:
        with soundfile.SoundFile(path) as sound:
            frames, seconds = sound.frames, sound.frames / sound.samplerate
            if frames == 0:
                return Clip(path, kind="truncated", what="the file holds no sound")
            missing = _riff_shortfall(path)
            if missing:
                return Clip(path, seconds, "truncated", f"{missing} bytes of the sound are missing")
            sound.seek(frames - 1)
            if len(sound.read(1)) != 1:
                return Clip(path, seconds, "truncated", "the last sample cannot be read")
    except soundfile.LibsndfileError as error:
        return Clip(path, kind="unreadable", what=f"no sound can be read ({error.error_string.strip()})")
    except RuntimeError as error:
        return Clip(path, kind="truncated", what=f"the end of the sound cannot be read ({error})")
    return Clip(path, seconds)


def _riff_shortfall(path: Path) -> int:
    with path.open("rb") as file:
        head = file.read(8)
    if head[:4] != b"RIFF" or len(head) < 8:
        return 0
    size = struct.unpack("<I", head[4:])[0]
    return 0 if size in (0, 0xFFFFFFFF) else max(0, size + 8 - path.stat().st_size)


def _inspect_container(path: Path) -> Clip:
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path)) as container:
            if container.format.name == "image2":  # told from its ending
                return Clip(path, kind="unreadable", what="it does not begin as a picture does")
            if not container.streams.audio and not container.streams.video:
                return Clip(path, kind="unreadable", what="the file has neither sound nor picture")
            seconds = container.duration / av.time_base if container.duration else None
            if seconds:
                reached = _last_packet(container, seconds)
                if reached < seconds - max(1.0, 0.1 * seconds):
                    return Clip(path, seconds, "truncated", f"the media ends at {reached:.1f} of {seconds:.1f} s")
    except (FFmpegError, ValueError) as error:
        return Clip(path, kind="unreadable", what=f"no media can be read ({error})")
    return Clip(path, seconds)


def _last_packet(container: Any, seconds: float) -> float:
    import av

    container.seek(int(max(0.0, seconds - 1.0) * av.time_base))
    zero = (container.start_time or 0) / av.time_base
    reached = 0.0
    for packet in container.demux():
        if packet.pts is not None and packet.time_base is not None and packet.size:
            reached = max(reached, float((packet.pts + (packet.duration or 0)) * packet.time_base) - zero)
    return reached
