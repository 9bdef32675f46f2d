"""Accepted formats: what can be handed in, and the check that every file passes."""

from __future__ import annotations

import os
from pathlib import Path

import av
import av.container
import av.error

from emofuse.errors import MediaError

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".flv", ".mpg", ".mpeg", ".ts", ".wmv")
AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aiff", ".aif", ".wma")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
TEXT_SUFFIXES = (".txt", ".srt", ".vtt")
MEDIA_SUFFIXES = VIDEO_SUFFIXES + AUDIO_SUFFIXES + IMAGE_SUFFIXES + TEXT_SUFFIXES

ACCEPTED = (
    "valid: the path of a video (mp4, mov, mkv, webm, avi, flv, mpg, ts, wmv), of sound (wav, flac, mp3, ogg, opus, "
    "m4a, aac, aiff, wma), of a picture (jpg, png, webp, bmp) or of a text (txt, srt, vtt); or by keyword "
    "text=a string, audio=(rate in Hz, array of int16, int32, uint8 or float in [-1, 1], 1 to 8 channels), image=an "
    "array of uint8 (RGB, RGBA or grey)"
)
"""Every accepted input; what a message says when something else came."""

_FORMATS = "mov,matroska,avi,flv,mpegts,mpeg,mpegvideo,asf,wav,w64,flac,mp3,ogg,aac,aiff"
"""Demuxers a file may be opened with: containers that hold their own media, no playlists that point elsewhere."""


def unreadable(path: object, why: str, mend: str) -> MediaError:
    """The error of a file that cannot be read: which, why, and what to do about it."""
    return MediaError(f"cannot read {str(path)[:300]}: {why}; {mend}")


def existing_file(source: object) -> Path:
    """The path of a file that is there, is a file and holds something; MediaError says what is not so."""
    if not isinstance(source, (str, os.PathLike)):
        raise MediaError(f"a source is a path, not {type(source).__name__}; {ACCEPTED}")
    if "://" in os.fspath(source):
        raise unreadable(source, "it is an address, not a file", "download it and give the path of the file")
    path = Path(os.fspath(source)).expanduser()
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        raise unreadable(path, "there is no such file", "check the spelling and the folder of the path") from None
    except (OSError, ValueError) as error:
        raise unreadable(repr(str(path)), str(error), "give the path of a file that this user may read") from None
    if path.is_dir():
        raise unreadable(path, "it is a folder", f"name a file in it; {ACCEPTED}")
    if size == 0 and path.is_file():
        raise unreadable(path, "the file is empty (0 bytes)", "record, copy or download it again")
    if not os.access(path, os.R_OK):
        raise unreadable(path, "permission denied", "make the file readable for this user")
    return path


def open_media(path: Path) -> av.container.InputContainer:
    """A container ready to demux, opened without network and without following playlists; errors as MediaError."""
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        return av.open(str(path), options=options, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        why = f"it is not media, or was cut off before its index was written, as a truncated mp4 is ({reason(error)})"
        raise unreadable(path, why, f"copy, record or convert it again; {ACCEPTED}") from None


def reason(error: BaseException) -> str:
    """What the decoder said, without the path it repeats."""
    return str(getattr(error, "strerror", None) or error).split(": '")[0].rstrip(".")
