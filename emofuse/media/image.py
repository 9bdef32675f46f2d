"""Images from a file, an array or a video frame: upright, RGB bytes, converted only when asked for."""

from __future__ import annotations

import struct
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
from emofuse.media.formats import ACCEPTED, existing_file, open_picture, unreadable
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
        converted = self._reformatter.reformat(self._frame, width, height, format, interpolation="AREA")
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


def read_image(source: str | PathLike[str] | np.ndarray, notes: list[Note] | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """A picture as upright RGB: EXIF orientation applied, transparency laid on white, greys and palettes spread to RGB.

    `source` is a path, or an array (h, w), (h, w, 1), (h, w, 3) RGB or (h, w, 4) RGBA of uint8. `notes` says of a file
    of several pictures that the first was taken. Raises MediaError.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    path = existing_file(source)
    too_large = unreadable(path, f"it has more than {_LARGEST:,} pixels", "shrink it")
    try:
        with open_picture(path) as image:
            if image.width * image.height > _LARGEST:
                raise too_large
            count = getattr(image, "n_frames", 1)
            if count > 1 and image.format not in _SAME_AGAIN and notes is not None:
                notes.append(Note("first_of_many", count=count))
            return _as_rgb(ImageOps.exif_transpose(image))
    except MediaError:
        raise
    except UnidentifiedImageError:
        raise unreadable(path, "it is not a picture", f"save it as jpg or png; {ACCEPTED}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise too_large from None
    except (OSError, SyntaxError, EOFError, ValueError, IndexError, struct.error) as error:
        raise unreadable(path, f"the picture is damaged ({error})", "copy or export it again") from None


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
    if array.dtype != np.uint8:
        raise MediaError(
            f"a picture is an array of uint8, not {array.dtype}; scale it to 0-255 and convert it to uint8"
        )
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or array.size == 0:
        raise MediaError(f"an array of shape {array.shape} is not a picture; give (height, width, 3)")
    if array.shape[2] == 4:
        return _as_rgb(Image.fromarray(array))
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))
