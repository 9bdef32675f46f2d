"""The meter of a job: clips and media-seconds done, rate, time left and failures, on stderr."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import TextIO


@dataclass(frozen=True)
class Reading:
    """What the meter shows, and `--json-progress` writes a line of."""

    clips: int
    """Done, those of earlier runs too."""
    total: int
    failed: int
    media_seconds: float
    """Of sound and pictures, in this run."""
    elapsed: float
    """Seconds of this run."""
    clips_per_second: float
    seconds_left: float | None
    """None = not known yet."""


class Meter:
    """Counts what carriers report, and shows it: a line written over on a terminal, else a line now and then."""

    def __init__(self, done: int, total: int, *, as_json: bool = False, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty() and not as_json
        self.as_json, self.total = as_json, total
        self.earlier, self.clips, self.failed, self.seconds = done, done, 0, 0.0
        self.began = time.monotonic()
        self._shown = self.began
        self._width = 0

    def add(self, clips: int, failed: int, seconds: float) -> None:
        """Count; negative numbers take back what came to nothing."""
        self.clips, self.failed, self.seconds = self.clips + clips, self.failed + failed, self.seconds + seconds
        self.tick()

    def read(self) -> Reading:
        """The state now."""
        elapsed = time.monotonic() - self.began
        rate = max(self.clips - self.earlier, 0) / elapsed if elapsed > 0 else 0.0
        left = (self.total - self.clips) / rate if rate > 0 else None
        left = None if left is None else round(left, 1)
        seconds, elapsed, rate = round(self.seconds, 3), round(elapsed, 3), round(rate, 3)
        return Reading(self.clips, self.total, self.failed, seconds, elapsed, rate, left)

    def tick(self, last: bool = False) -> None:
        """Show the state, if it is time to."""
        every = 0.5 if self.terminal else 1.0 if self.as_json else 10.0
        now = time.monotonic()
        if not last and now - self._shown < every:
            return
        self._shown = now
        line = json.dumps(asdict(self.read())) if self.as_json else self.line()
        if self.terminal:
            self.stream.write(f"\r{line:<{self._width}}" + ("\n" if last else ""))
            self._width = len(line)
        else:
            self.stream.write(line + "\n")
        self.stream.flush()

    def line(self) -> str:
        """The state in words."""
        now = self.read()
        parts = [f"{now.clips} of {now.total} clips", f"{now.media_seconds / 60:.1f} min of media"]
        parts += [f"{now.clips_per_second:.2f} clips/s"]
        parts += [f"{_span(now.seconds_left)} left"] if now.seconds_left is not None and now.clips < now.total else []
        return ", ".join([*parts, f"{now.failed} failed"])


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
