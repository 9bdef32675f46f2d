"""Inputs in memory: bytes and open files as files, tensors and frames as arrays; a way out for all else."""

from __future__ import annotations

import inspect
import io
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.errors import MediaError
from emofuse.files import home_path

LARGEST = 2 << 30
"""Bytes of a file that is held in memory."""


@dataclass(frozen=True, eq=False)
class MemoryFile:
    """The bytes of a file, under the name it has where it came from; it opens as often as a file on disk does."""

    data: bytes = field(repr=False)
    name: str = ""

    def __str__(self) -> str:
        return self.name or "the bytes"

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return Path(self.name).suffix

    def open(self, _: str = "rb") -> io.BytesIO:
        """A reader of its own, which shares the bytes."""
        return _Named(self.data, self.name or "memory")


class _Named(io.BytesIO):
    """A reader that says what it reads, which helps to tell formats without a mark of their own."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


File = Path | MemoryFile


def as_file(source: Any) -> Any:
    """Bytes, an open binary file and a pipe as a `MemoryFile`, or the path of an open file; all else as it is.

    Of an open file, what is read begins where it stands. Raises MediaError for a file that was opened as text or has
    nothing left, and for more than 2 GB.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _held(bytes(source), "")
    if hasattr(source, "read") and not isinstance(source, (str, os.PathLike)):
        return _path_of(source) or _held(_read(source), _name_of(source))
    if isinstance(source, (str, os.PathLike)) and is_pipe(source):
        with Path(source).open("rb") as pipe:
            return _held(_read(pipe), str(source))
    return source


def stdin() -> MemoryFile:
    """What comes through stdin. Raises MediaError when nothing does, or more than 2 GB."""
    if sys.stdin is None or sys.stdin.isatty():
        raise MediaError("cannot read -: nothing is piped to stdin; pipe a file to it, or give a path")
    return _held(_read(sys.stdin.buffer), "stdin")


def _held(data: bytes, name: str) -> MemoryFile:
    if not data:
        raise MediaError(f"cannot read {name or 'the bytes'}: nothing is there (0 bytes); record or copy it again")
    return MemoryFile(data, name)


def _read(file: Any) -> bytes:
    if inspect.iscoroutinefunction(file.read):
        raise MediaError(f"a {type(file).__name__} is read with await; give the bytes: model(await file.read())")
    if getattr(file, "closed", False) is True:
        raise MediaError("the file is closed; hand it in while it is open, or give its path")
    data = file.read(LARGEST + 1)
    if isinstance(data, str):
        raise MediaError("the file was opened as text; open media with mode 'rb', or give words: text=file.read()")
    if len(data) > LARGEST:
        raise MediaError("more than 2 GB are not held in memory; write them to a file and give its path")
    if not data and hasattr(file, "tell") and file.seekable() and file.tell():
        raise MediaError("the open file was read to its end and nothing is left; call .seek(0) first")
    return data


def _name_of(file: Any) -> str:
    name = getattr(file, "name", None) or getattr(file, "filename", None)
    return Path(name).name if isinstance(name, str) else ""


def _path_of(file: Any) -> Path | None:
    """The path that a binary file at its start was opened by, while it leads to the same file."""
    name = getattr(file, "name", None)
    try:
        if not isinstance(name, str) or file.tell() or isinstance(file, io.TextIOBase):
            return None
        there, here = os.stat(name), os.fstat(file.fileno())  # noqa: PTH116
    except (OSError, ValueError, AttributeError):
        return None
    return Path(name) if stat.S_ISREG(here.st_mode) and os.path.samestat(there, here) else None


def is_pipe(source: str | os.PathLike[str]) -> bool:
    """Whether a path leads to a pipe; False where that cannot be seen."""
    try:
        return stat.S_ISFIFO(home_path(source).stat().st_mode)
    except (OSError, ValueError, RuntimeError):
        return False


def as_array(thing: object) -> np.ndarray | None:
    """An array, or a tensor of another library, as an array; None for what is neither."""
    if isinstance(thing, np.ndarray):
        return thing
    if is_tensor(thing):
        tensor: Any = thing
        tensor = tensor.detach().cpu()
        return (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).numpy()
    if hasattr(thing, "__array__") and not isinstance(thing, np.generic):
        return np.asarray(thing)
    return None


def is_tensor(thing: object) -> bool:
    """Whether it is a tensor of PyTorch, whose pictures have their channels first."""
    return type(thing).__module__.partition(".")[0] == "torch" and hasattr(thing, "detach")


def as_sound(audio: Any) -> tuple[Any, np.ndarray]:
    """(rate, array) from a pair in either order, or a mapping of `array` and `sampling_rate`; MediaError for others.

    Which of a pair is the rate their types say: librosa, soundfile and torchaudio give (array, rate), Gradio and SciPy
    (rate, array).
    """
    if isinstance(audio, Mapping):
        array, rate = audio.get("array", audio.get("raw")), audio.get("sampling_rate")
        if array is None or rate is None:
            held = ", ".join(map(repr, audio)) or "nothing"
            raise MediaError(
                f"a mapping is sound where it holds 'array' and 'sampling_rate', this one holds {held}; the bytes of a "
                "file are a source: model(audio['bytes'])"
            )
        audio = (rate, array)
    if not isinstance(audio, (tuple, list)) or len(audio) != 2:
        raise MediaError(f"audio is a pair (rate in Hz, array), not {called(audio)}; {way_out(audio, 'audio')}")
    first, second = audio
    rate, sound = (second, first) if _is_number(second) and not _is_number(first) else (first, second)
    array = as_array(sound)
    if array is None:
        raise MediaError(f"sound in memory is a NumPy array, not {called(sound)}; {way_out(sound, 'sound')}")
    return rate, array


def _is_number(thing: object) -> bool:
    return isinstance(thing, (int, float, np.integer, np.floating))


def called(thing: object) -> str:
    """What to call a thing that cannot be taken."""
    return "a list" if type(thing) is list else type(thing).__name__


def way_out(thing: object, wanted: str) -> str:
    """What to do with a thing that was handed in as a `source`, a `text`, `audio`, `sound` or an `image`."""
    kind = type(thing).__name__
    if wanted == "text" and isinstance(thing, (bytes, bytearray)):
        return "decode it: text=data.decode()"
    if wanted == "source" and (kind == "Image" or _is_picture(thing)):
        return "a picture is given by keyword: model(image=picture)"
    if wanted == "source" and as_array(thing) is not None and kind not in ("Series", "DataFrame", "Index"):
        return "arrays are given by keyword: audio=(rate, array), image=array or frames=(fps, array)"
    if wanted == "source" and isinstance(thing, Mapping):
        return "inputs by name are keywords: model(**inputs)"
    if wanted in ("source", "text") and hasattr(thing, "__iter__"):
        several = "paths" if wanted == "source" else "{'text': text} for text in texts"
        return f"several clips are given to model.predict_many({several if wanted == 'source' else f'[{several}]'})"
    if wanted == "audio" and as_array(thing) is not None:
        return "say the rate it was recorded at: audio=(16_000, array)"
    if kind == "AudioDecoder":
        return "decode it: audio=(decoder.metadata.sample_rate, decoder.get_all_samples().data)"
    if kind == "AudioSegment":
        return "convert it: model(sound.export(format='wav'))"
    if wanted in ("audio", "image", "sound") and isinstance(thing, (list, tuple)):
        return "convert it: numpy.asarray(values, dtype='float32')"
    if wanted == "audio" and isinstance(thing, (str, os.PathLike, bytes, bytearray, io.IOBase)):
        return "a sound file is a source: model(file)"
    return "the documentation of ClipInputs lists what is taken: help(emofuse.ClipInputs)"


def _is_picture(thing: object) -> bool:
    return type(thing).__module__.partition(".")[0] == "PIL"
