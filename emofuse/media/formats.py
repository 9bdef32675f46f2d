"""Accepted formats: what can be handed in, and the check that every file passes."""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, Literal

import av
import av.container
import av.error
from PIL import Image

from emofuse.errors import MediaError
from emofuse.files import home_path
from emofuse.media.memory import File, MemoryFile, called, way_out

VIDEO_SUFFIXES = (
    *(".mp4", ".mov", ".m4v", ".3gp", ".mkv", ".webm", ".avi", ".flv", ".mpg", ".mpeg", ".vob", ".ts", ".m2ts", ".mts"),
    *(".wmv", ".ogv", ".mxf", ".gif", ".h264", ".hevc", ".mjpeg", ".y4m"),
)
AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".mp3", ".mp2", ".ogg", ".oga", ".opus", ".m4a", ".mka", ".aac", ".ac3", ".aiff", ".aif"),
    *(".wma", ".caf", ".au", ".wv", ".tta", ".amr", ".w64", ".sph", ".gsm", ".voc"),
)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".ppm")
TEXT_SUFFIXES = (".txt", ".srt", ".vtt")
SIDECARS = (".srt", ".SRT", ".vtt", ".VTT", ".txt", ".TXT")
"""Endings of a transcript beside its clip: the first that is there is taken."""
_OWN_CAPTION = re.compile(rb"(?m)^\[(?:person \d+: )?(?:[\w -]+ \d{1,3}%|no emotion|unclear|\w+(?: or \w+)+)\]")
"""How a caption begins that predictions were written as."""
MEDIA_SUFFIXES = VIDEO_SUFFIXES + AUDIO_SUFFIXES + IMAGE_SUFFIXES + TEXT_SUFFIXES

_PICTURE = "a picture (jpg, png, webp, bmp, tif, avif)"
_IMAGE = "a PIL image or an array of uint8 or of float in [0, 1] (RGB, RGBA or grey)"
_SOUND = "(rate in Hz, array of int16, int32, uint8 or float in [-1, 1], 1 to 8 channels)"
ACCEPTED = (
    "valid: the path of a video (mp4, mov, mkv, webm, avi, flv, mpg, ts, wmv, gif), of sound (wav, flac, mp3, ogg, "
    f"opus, m4a, aac, ac3, aiff, wma, caf, au, wv), of {_PICTURE} or of a text (txt, srt, vtt), its bytes or the open "
    f"file; or by keyword text=a string, audio={_SOUND}, image=a path, {_IMAGE}, frames=(rate in Hz, pictures)"
)
"""Every accepted input; what a message says when something else came."""
A_PICTURE = f"valid: the path of {_PICTURE}, its bytes or the open file, {_IMAGE}"
"""… where nothing but a picture is taken, and so on."""
SOUND = f"valid: {_SOUND}"
A_TEXT = "valid: the path of a text in UTF-8"
A_TRANSCRIPT = "valid: the path of a transcript (srt, vtt, txt)"

UNTIMED = ("h264", "hevc", "mjpeg", "mpegvideo", "m4v", "obu")
"""Demuxers of pictures without a container: nothing in them says when, so that every one must be counted."""
ESTIMATED = (*UNTIMED, "aac", "mp3", "ac3", "eac3", "dts", "amr", "truehd", "loas")
"""Demuxers that tell the length of a file from its size: what they announce proves nothing."""
_FORMATS = ",".join(
    (
        *("mov", "matroska", "avi", "flv", "mpegts", "asf", "wav", "w64", "flac", "ogg", "aiff", "caf", "au", "wv"),
        *("tta", "nistsphere", "mxf", "nut", "ivf", "yuv4mpegpipe", "gif", "apng", "mpeg", "gsm", "voc", "ape", "dv"),
        *ESTIMATED,
    )
)
"""Demuxers a file may be opened with: containers that hold their own media, no playlists that point elsewhere."""
_PICTURES = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM")
"""Pillow's readers of pictures that may be handed in."""
_PICTURE_MARKS = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|BM|II\*\0|MM\0\*|GIF8[79]a|RIFF....WEBP|....ftypavi[fs]|"
    rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51|P[1-6]\s",
    re.DOTALL,
)
_ADDRESS = re.compile(r"^([a-z][a-z\d+.-]+):/+")
"""How a URL begins, with one slash too, as it has once it was taken for a path."""
_BASE64 = re.compile(r"data:[\w.+/-]*;base64,|[A-Za-z0-9+/]{500,}={0,2}\s*$")
"""How base64 begins, as a web page has it, or is, where it is longer than a name of a file."""
_STREAMED = (".mjpeg", ".mjpg")
"""Endings of rows of pictures, which begin as one does."""
_OTHERS = (
    (rb"....ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)", "a HEIC picture", "export it as jpg"),
    (rb"%PDF", "a PDF", "export its pictures or its text"),
    (rb"PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ", "an archive (or an Office document)", "unpack it"),
    (rb"\s*(#EXTM3U|ffconcat|\[playlist\])", "a playlist, which only points at media", "give the files it names"),
    (rb"(?i)\s*(<!doctype html|<html)", "a web page", "download the media themselves"),
    (rb"(?i)\s*(<\?xml|<svg)", "XML or a drawing", "export it as png"),
    (rb"MThd", "MIDI: notes, no sound", "play and record it, for example as wav"),
    (rb"8BPS", "a Photoshop document", "export it as png"),
    (rb"\x93NUMPY", "a NumPy array", "load it and hand the array in by keyword"),
    (rb"\.RMF|\.ra\xfd", "RealMedia", "convert it to mp4 or wav"),
)
"""How kinds that are not read begin, what they are called, and what to do."""


def unreadable(path: object, why: str, mend: str) -> MediaError:
    """The error of a file that cannot be read: which, why, and what to do about it."""
    return MediaError(f"cannot read {str(path)[:300]}: {why}; {mend}")


def readable(source: object, valid: str = ACCEPTED) -> File:
    """A file in memory as it is, else the path of a file that is there: see `existing_file`."""
    return source if isinstance(source, MemoryFile) else existing_file(source, valid)


def existing_file(source: object, valid: str = ACCEPTED) -> Path:
    """The path of a file that is there, is a file and holds something; MediaError says what is not so, and what is
    `valid` here."""
    if not isinstance(source, (str, os.PathLike)):
        raise MediaError(f"a source is a path, not {called(source)}: {way_out(source, 'source')}; {valid}")
    path = home_path(source)
    if "://" in os.fspath(source) or (_ADDRESS.match(str(path)) and not path.exists()):
        address = _ADDRESS.sub(r"\1://", os.fspath(source))
        raise unreadable(address, "it is an address, not a file", "download it and give the path of the file")
    if str(path) == "-":
        raise unreadable("-", "stdin is not read, and media are read more than once", "write it to a file")
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise _missing(path, error) from None
    if path.is_dir():
        raise unreadable(path, "it is a folder", f"name a file in it; {valid}")
    if not path.is_file():
        raise unreadable(path, *_no_file(path))
    if size == 0:
        raise unreadable(path, "the file is empty (0 bytes)", "record, copy or download it again")
    if not os.access(path, os.R_OK):
        raise unreadable(path, "permission denied", "make the file readable for this user")
    return path


def _missing(path: Path, error: OSError | ValueError) -> MediaError:
    """The error of a path that leads to no file: what it is instead, where that can be told."""
    if _BASE64.match(str(path)):
        return unreadable(f"{str(path)[:40]}…", "it is base64, not a path", "give the bytes: base64.b64decode(text)")
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return unreadable(path, "there is no such file", "check the spelling and the folder of the path")
    return unreadable(repr(str(path)[:200]), str(error)[:200], "give the path of a file that this user may read")


def sidecar_endings(path: PurePath) -> tuple[str, ...]:
    """Endings that the transcript beside a clip may have, the first that is there is taken; a text has none.

    Captions with times are none of a picture: they are those of the video that it is a thumbnail of.
    """
    if path.suffix.lower() in TEXT_SUFFIXES:
        return ()
    return (".txt", ".TXT") if kind_of(path) == "picture" else SIDECARS


def thumbnail_endings(path: PurePath) -> tuple[str, ...]:
    """Endings of the videos and recordings that a picture is the thumbnail of where one is there; () for others."""
    timed = VIDEO_SUFFIXES + AUDIO_SUFFIXES if kind_of(path) == "picture" else ()
    return (*timed, *(ending.upper() for ending in timed))


def sidecar_of(path: Path, timed: bool = False) -> Path | None:
    """The transcript that lies beside a clip under its name, as NAME.srt, NAME.vtt or NAME.txt; None for a text.

    With `timed`, as for a stretch of a clip, a .txt is none. Captions that emofuse itself wrote are no transcript, and
    words beside a picture are those of the video or recording of its name, where one is there.
    """
    if not path.name:
        return None
    beside = (path.with_suffix(ending) for ending in sidecar_endings(path) if not timed or ending.lower() != ".txt")
    try:
        found = next(
            (words for words in beside if words.is_file() and not _OWN_CAPTION.search(head(words, 4096))), None
        )
        thumbnail = found and any(path.with_suffix(ending).is_file() for ending in thumbnail_endings(path))
        return None if thumbnail else found
    except (OSError, ValueError):
        return None


@contextmanager
def reading_sidecar(words: object) -> Iterator[None]:
    """A MediaError about the transcript that was found beside a clip says so, and how to go without; None: none was."""
    try:
        yield
    except MediaError as error:
        if words is None or PurePath(str(words)).name not in str(error):
            raise
        raise MediaError(
            f"{error}; it lies beside the clip under its name, and was taken for its transcript: mend, rename or "
            "remove it, give the words with the clip, or leave such files alone (--no-sidecars, in Python "
            "sidecars=False)"
        ) from error


def open_media(path: File) -> av.container.InputContainer:
    """A container ready to demux, opened without network and without following playlists; errors as MediaError."""
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        file: Any = path.open() if isinstance(path, MemoryFile) else f"file:{path}"
        container: Any = av.open(file, options=options, metadata_errors="replace")
        return container
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise unreadable(path, *_no_media(path, error)) from None


def kind_of(path: PurePath) -> Literal["picture", "sound", "video"]:
    """What a file's ending says it holds, unread; one that is no picture's and no sound's is taken for a video's."""
    ending = path.suffix.lower()
    return "picture" if ending in IMAGE_SUFFIXES else "sound" if ending in AUDIO_SUFFIXES else "video"


def is_picture(path: File) -> bool:
    """Whether a file begins as a still picture does, whatever its name says; what moves as a gif does is a video."""
    if path.suffix.lower() in _STREAMED or not _PICTURE_MARKS.match(head(path)):
        return False
    if not head(path).startswith((b"GIF", b"\x89PNG")):
        return True
    try:
        with open_picture(path) as image:
            return not getattr(image, "is_animated", False)
    except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError):
        return True  # reading it says what is wrong with it


def open_picture(path: File) -> Image.Image:
    """A picture of a kind that is read, not decoded yet. Raises what Pillow raises, its warning of a bomb too."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(path.open("rb") if isinstance(path, MemoryFile) else path, formats=_PICTURES)


def head(path: File, size: int = 64) -> bytes:
    """How a file begins."""
    with path.open("rb") as file:
        return file.read(size)


def _no_file(path: Path) -> tuple[str, str]:
    """What something that is neither a file nor a folder is, and what to do."""
    mode = path.stat().st_mode
    kind = "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
    return f"it is {kind}, not a file, and media are read more than once", "write it to a file and give its path"


def _no_media(path: File, error: BaseException) -> tuple[str, str]:
    """What a file that cannot be opened is instead, and what to do."""
    begin = head(path) if isinstance(path, MemoryFile) or path.is_file() else b""
    for mark, kind, mend in _OTHERS:
        if re.match(mark, begin, re.DOTALL):
            return f"it is {kind}, which is not read", f"{mend}; {ACCEPTED}"
    why = f"it is not media, or was cut off before its index was written, as a truncated mp4 is ({reason(error)})"
    return why, f"copy, record or convert it again; {ACCEPTED}"


def reason(error: BaseException) -> str:
    """What the decoder said, without the path it repeats."""
    return str(getattr(error, "strerror", None) or error).split(": '")[0].rstrip(".")
