"""Moving pictures in memory: a row of pictures and their rate, as a video file's pictures come out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any, TypeVar

import numpy as np

from emofuse.errors import MediaError
from emofuse.media.image import VideoFrame, check_image, read_image
from emofuse.media.limits import UNLIMITED, Limits
from emofuse.media.memory import as_array, called, is_tensor

Result = TypeVar("Result")
HIGHEST_RATE = 1000.0
"""Pictures a second."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Pictures at a constant rate (Hz); each is turned into RGB only where it is looked at."""

    rate: float
    pictures: Sequence[Any] | np.ndarray = field(repr=False)
    gone: float = 0.0
    """Seconds of the first picture that lie before the clip's start."""
    longest: float = math.inf
    """Seconds after which the clip ends, whatever is shown."""
    before: int = 0
    """Pictures that were given before the first of these."""

    @property
    def seconds(self) -> float:
        """The second at which the last picture ends."""
        return min(max(0.0, len(self.pictures) / self.rate - self.gone), self.longest)

    def within(self, start: float, end: float | None) -> Frames:
        """What is shown from one second to another (None = the last), the picture that stands at the first included."""
        first = int(start * self.rate + 1e-9)
        last = None if end is None else math.ceil(end * self.rate - 1e-9)
        longest = math.inf if end is None else end - start
        gone, before = start - first / self.rate, self.before + first
        return replace(self, pictures=self.pictures[first:last], gone=gone, longest=longest, before=before)

    def items(self, interval: float = 0.0, limits: Limits = UNLIMITED) -> Iterator[VideoFrame]:
        """Pictures at least `interval` seconds apart. Raises MediaError for one that is no picture, with its number."""
        due = shape = None
        for i, picture in enumerate(self.pictures):
            limits.check(i + 1, time := max(0.0, i / self.rate - self.gone))
            if due is not None and time + 1e-9 < due:
                _named(check_image, picture, self.before + i)
                continue
            due = (int((time + 1e-9) / interval) + 1) * interval if interval > 0 else None
            rgb = _named(read_image, picture, number := self.before + i)
            if rgb.shape != (shape := shape or rgb.shape):
                raise MediaError(
                    f"frame {number} is {_size(rgb.shape)}, the first {_size(shape)}; make all of one size"
                )
            yield VideoFrame(time, rgb=rgb)


def as_frames(given: Any) -> Frames | None:
    """The frames of a pair (rate in Hz, pictures); None for None. Raises MediaError for all else.

    Pictures are a list of what `read_image` takes, or one array (frames, height, width, 3); a tensor may have its
    channels second. The first is read here, the others when their time comes; of a list all are checked here as far as
    can be told without reading them.
    """
    if given is None:
        return None
    if not isinstance(given, (tuple, list)) or len(given) != 2 or not isinstance(given[0], Real):
        raise MediaError(f"frames is a pair (rate in Hz, pictures), not {called(given)}: frames=(25, pictures)")
    rate, pictures = given
    if not 0 < rate <= HIGHEST_RATE:
        raise MediaError(f"{rate:g} frames a second are not usable; more than 0 and at most {HIGHEST_RATE:g} are")
    array = as_array(pictures)
    if array is not None and array.ndim not in (3, 4):
        raise MediaError(f"an array of shape {array.shape} is no row of pictures; give (frames, height, width, 3)")
    if array is not None:
        second = is_tensor(pictures) and array.ndim == 4 and array.shape[1] in (1, 3, 4)
        pictures = array.transpose(0, 2, 3, 1) if second and array.shape[3] not in (1, 3, 4) else array
    if not isinstance(pictures, (Sequence, np.ndarray)) or isinstance(pictures, (str, bytes)):
        raise MediaError(f"frames are a list or an array of pictures, not {called(pictures)}: list(pictures)")
    if not len(pictures):
        raise MediaError("frames holds no picture; give at least one")
    _named(read_image, pictures[0], 0)
    if isinstance(pictures, (list, tuple)):
        for i, picture in enumerate(pictures):
            _named(check_image, picture, i)
    return Frames(float(rate), pictures)


def _named(read: Callable[[Any], Result], picture: Any, number: int) -> Result:
    """What reads a picture returns; its MediaError with the picture's number."""
    try:
        return read(picture)
    except MediaError as error:
        raise MediaError(f"frame {number}: {error}") from error


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"
