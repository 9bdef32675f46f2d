"""Limits on how much of a file is read: pictures, seconds by any clock, and whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from emofuse.errors import MediaError

GAP = 10.0
"""Seconds without sound from which a gap is passed over instead of being listened to as silence."""
LONGEST_GAP = 6 * 3600.0
"""Seconds by which a timestamp may jump; one that jumps further is broken, and the clip goes on without the gap."""


class LimitError(MediaError):
    """A file holds more than may be read of it."""

    def __init__(self, of: Literal["frames", "seconds"], valid: float) -> None:
        super().__init__(f"the file holds more than {valid:,.0f} {of}, and no more may be read; cut it")
        self.of, self.valid = of, valid


@dataclass(frozen=True)
class Limits:
    """How much of a file is read before it is refused; None = as much as there is."""

    frames: int | None = None
    """Pictures that the file holds, whether or not they are looked at."""
    seconds: float | None = None
    """By the timestamps, and by the samples of sound that were decoded."""
    heed: Callable[[], None] | None = None
    """Called at every packet, in the thread that reads it; what it raises ends the reading."""

    def check(self, frames: int = 0, seconds: float = 0.0) -> None:
        """Raise LimitError for what is too much."""
        if self.heed is not None:
            self.heed()
        if self.frames is not None and frames > self.frames:
            raise LimitError("frames", self.frames)
        if self.seconds is not None and seconds > self.seconds:
            raise LimitError("seconds", self.seconds)


UNLIMITED = Limits()
