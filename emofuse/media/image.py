"""Images from a file, an array or a video frame: upright, RGB bytes, converted only when asked for."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cached_property
from os import PathLike
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from emofuse.errors import MediaError
from emofuse.media.formats import A_PICTURE, open_picture, readable, unreadable
from emofuse.media.memory import File, MemoryFile, as_array, as_file, is_tensor, way_out
from emofuse.notes import Note

_LARGEST = 80_000_000
"""Pixels a picture may have; more is an error rather than a machine without memory."""

_SAME_AGAIN = ("MPO", "JPEG")
"""Formats whose further pictures are previews, or the other eye's view, of the first."""

Orientation = tuple[bool, bool, bool]
"""Transpose, then flip left-right, then flip up-down: the eight ways a picture can lie."""
UPRIGHT: Orientation = (False, False, False)


class VideoFrame:
    """One picture of a clip; its pixels are converted when first asked for, since most frames only need a glance.

    `time` is seconds from the clip's start; `width` and `height` are those of the upright picture with square pixels.
    """

    def __init__(
        self,
        time: float,
        frame: av.VideoFrame | None = None,
        *,
        rgb: UInt8[np.ndarray, "h w 3"] | None = None,
        orientation: Orientation = UPRIGHT,
        aspect: float = 1.0,
        reformatter: VideoReformatter | None = None,
    ) -> None:
        self.time = time
        self._frame = frame
        self._orientation = orientation
        self._reformatter = reformatter or VideoReformatter()
        if rgb is not None:
            self.rgb = rgb
            self._stored = (rgb.shape[1], rgb.shape[0])
        else:
            assert frame is not None
            self._stored = (max(1, round(frame.width * aspect)), frame.height)
        self.width, self.height = self._stored[::-1] if orientation[0] else self._stored

    @cached_property
    def rgb(self) -> UInt8[np.ndarray, "h w 3"]:
        """The upright picture in full size."""
        return self._converted("rgb24", *self._stored)

    def shrunk(self, longest: int, colour: bool = False) -> UInt8[np.ndarray, "h w *c"]:
        """The upright picture, grey or RGB, made smaller (never larger) until its longer side is `longest` pixels."""
        scale = min(1.0, longest / max(self._stored))
        width, height = (max(1, round(side * scale)) for side in self._stored)
        if self._frame is not None:
            return self._converted("rgb24" if colour else "gray", width, height)
        picture = self.rgb if colour else cv2.cvtColor(self.rgb, cv2.COLOR_RGB2GRAY)
        return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)

    def _converted(self, format: str, width: int, height: int) -> np.ndarray:
        assert self._frame is not None
        # In this thread: handing a picture to others costs more than converting it, most of all beside busy encoders.
        how: dict[str, Any] = {"interpolation": "AREA", "threads": 1}
        converted = self._reformatter.reformat(self._frame, width, height, format, **how)
        return turned(converted.to_ndarray(), self._orientation)


def turned(picture: np.ndarray, orientation: Orientation) -> np.ndarray:
    """The picture laid upright."""
    transpose, mirror, flip = orientation
    if transpose:
        picture = picture.swapaxes(0, 1)
    if mirror:
        picture = picture[:, ::-1]
    if flip:
        picture = picture[::-1]
    return np.ascontiguousarray(picture)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """How a decoded frame must be turned, from its display matrix (ISO 14496-12, 8.3.2), flips included."""
    side_data: Any = frame.side_data
    for data in side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
            if abs(b) + abs(c) > abs(a) + abs(d):
                return True, c < 0, b < 0
            return False, a < 0, d < 0
    return UPRIGHT


Picture = str | PathLike[str] | MemoryFile | np.ndarray | Image.Image | Any
"""A file, its bytes, an open file, a PIL image, or an array or tensor."""


def read_image(source: Picture, notes: list[Note] | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """A picture as upright RGB: EXIF orientation applied, transparency laid on white, greys and palettes spread to RGB.

    `source` is a path, the bytes of a file, an open file or a PIL image; or an array (h, w), (h, w, 1), (h, w, 3) RGB
    or (h, w, 4) RGBA of uint8, or of float in [0, 1]; or a tensor of such a shape or with channels first. `notes` says
    of a file of several pictures that the first was taken. Raises MediaError.
    """
    if isinstance(source, Image.Image):
        return _opened(source, lambda: _upright(source, notes))
    if (array := as_array(source)) is not None:
        return _from_array(_channels_last(array) if is_tensor(source) else array)
    source = as_file(source)
    if not isinstance(source, (str, PathLike, MemoryFile)):
        raise MediaError(f"a picture is not {type(source).__name__}; {way_out(source, 'image')}; {A_PICTURE}")
    return read_picture(readable(source, A_PICTURE), notes)


def check_image(source: Picture) -> None:
    """Raise the MediaError of `read_image` for what can be no picture, as far as that is told without reading it: a
    thing of another kind, a file that is not there, an array of another shape."""
    if isinstance(source, (str, PathLike)):
        readable(source, A_PICTURE)
    elif is_tensor(source):  # it may lie on a GPU
        _check_shape(_channels_last(np.broadcast_to(np.uint8(0), tuple(source.shape))))
    elif (array := as_array(source)) is not None and not isinstance(source, Image.Image):
        _check_shape(array)
    elif not isinstance(source, (Image.Image, MemoryFile, bytes, bytearray, memoryview)) and not hasattr(
        source, "read"
    ):
        read_image(source)


def read_picture(path: File, notes: list[Note] | None = None) -> UInt8[np.ndarray, "height width 3"]:
    """`read_image` of a file that was checked."""

    def read() -> np.ndarray:
        with open_picture(path) as image:
            return _upright(image, notes)

    return _opened(path, read)


def _upright(image: Image.Image, notes: list[Note] | None) -> np.ndarray:
    if image.width * image.height > _LARGEST:
        raise Image.DecompressionBombError
    count = getattr(image, "n_frames", 1)
    if count > 1 and image.format not in _SAME_AGAIN and notes is not None:
        notes.append(Note("first_of_many", count=count))
    return _as_rgb(ImageOps.exif_transpose(image))


def _opened(path: object, read: Callable[[], np.ndarray]) -> np.ndarray:
    """What `read` returns; whatever Pillow says instead as a MediaError about `path`."""
    too_large = unreadable(path, f"it has more than {_LARGEST:,} pixels", "shrink it")
    try:
        return read()
    except MediaError:
        raise
    except UnidentifiedImageError:
        raise unreadable(path, "it is not a picture", f"save it as jpg or png; {A_PICTURE}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise too_large from None
    except (OSError, SyntaxError, EOFError, ValueError, IndexError, struct.error) as error:
        raise unreadable(path, f"the picture is damaged ({error})", "copy or export it again") from None


def _channels_last(array: np.ndarray) -> np.ndarray:
    """A tensor's picture as an array has it; one whose last axis is as short as channels is left as it is."""
    first = array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4)
    return array.transpose(1, 2, 0) if first else array


def _as_bytes(array: np.ndarray) -> np.ndarray:
    """uint8 as it is, floats in [0, 1] as uint8; MediaError, with the conversion, for all else."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "f" and array.size and array.min() >= 0 and array.max() <= 1:  # NaN is neither
        return np.rint(array.astype(np.float32) * 255).astype(np.uint8)
    way = "convert it: array.astype('uint8')"
    if array.dtype.kind == "f" and array.size:
        raise MediaError(
            f"a picture is an array of uint8 in 0-255 or of floats in [0, 1], not from {array.min():g} to "
            f"{array.max():g}; undo what normalised it, or give array.astype('uint8') where 255 is white"
        )
    if array.dtype == np.uint16:
        way = "scale it: (array // 257).astype('uint8')"
    raise MediaError(f"a picture is an array of uint8 in 0-255 or of floats in [0, 1], not {array.dtype}; {way}")


def _as_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float64)
        scale = 65535.0 if values.max(initial=0) > 255 else 255.0
        image = Image.fromarray(np.clip(values / scale * 255, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))


def _from_array(array: np.ndarray) -> np.ndarray:
    if isinstance(array, np.ma.MaskedArray):
        raise MediaError("a masked array is not a picture: say what the masked pixels are, as with array.filled(0)")
    array = _as_bytes(array)
    _check_shape(array)
    if array.ndim == 2:
        array = array[..., None]
    if array.shape[2] == 4:
        return _as_rgb(Image.fromarray(array))
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


def _check_shape(array: np.ndarray) -> None:
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,), (4,)) or array.size == 0:
        first = "; the channels come last: array.transpose(1, 2, 0)" if array.shape[:1] in ((1,), (3,), (4,)) else ""
        mend = "; of a batch give one: array[0]" if array.ndim == 4 else first
        raise MediaError(f"an array of shape {array.shape} is not a picture; give (height, width, 3){mend}")
