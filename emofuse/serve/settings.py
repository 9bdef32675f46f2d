"""What whoever runs the service decides: limits, queues, times, and what is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path

from emofuse.errors import EmofuseError


@dataclass(frozen=True)
class Settings:
    """Limits of what is taken from a caller and of what is held at once; None = no limit where that is said."""

    megabytes: int = 200
    """The largest body of a request."""
    minutes: float = 10.0
    """The longest clip that is answered at once."""
    job_minutes: float = 360.0
    """The longest clip of a job."""
    characters: int = 50_000
    """The longest text or transcript."""
    frames_a_minute: int = 7200
    """Pictures of a video: 120 a second."""
    megapixels: float = 36.0
    """Pixels of one picture of a video; a still may have 80 megapixels."""
    working: int = 32
    """Requests that are read and predicted at the same time."""
    waiting: int = 64
    """Requests beyond those that may wait; the next is refused with 429."""
    each: int | None = None
    """Of both, how many one key (without keys: one address) may have; None = half of them."""
    rows: int = 32
    """Segments of one batch through the model."""
    seconds: float = 48.0
    """Seconds of sound or faces in one batch."""
    linger: float = 0.002
    """Seconds that a batch waits for company while other requests are being read."""
    upload_seconds: float = 300.0
    """Seconds that the body of a request may take to arrive."""
    header_seconds: float = 20.0
    """Seconds that a connection may take to send the headers of its first request."""
    answer_seconds: float = 300.0
    """Seconds of waiting and work on one answer; then 504."""
    drain_seconds: float = 60.0
    """Seconds that answers under way are given when the service is told to stop."""
    quota: float | None = None
    """Media-seconds an hour for a key that has none of its own, and for an address where there are no keys."""
    keys: Path | None = None
    """The file of hashed keys; None = everybody may call."""
    urls: bool = False
    """Whether a clip may be named by its address."""
    state: Path | None = None
    """The folder of jobs and quotas, which survive a restart; None = neither does."""
    jobs_kept: float = 24.0
    """Hours for which a job's answer can be fetched."""
    jobs_waiting: int = 1000
    """Jobs that may wait."""
    attempts: int = 2
    """Times that a job is begun: one that ended its process so often is set aside."""
    stream_window: float = 4.0
    """Seconds of sound that an answer of a stream rests on."""
    stream_minutes: float = 30.0
    """The longest stream."""
    streams: int = 8
    """Streams at once; of them, one caller may have as large a share as of the places (`each`)."""
    drift_window: int = 1000
    """Predictions that drift is measured over."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            zero = ("waiting", "linger", "drain_seconds", "quota")
            low = -1e-12 if field.name in zero else 0
            if isinstance(value, (int, float)) and not isinstance(value, bool) and not value > low:
                raise EmofuseError(f"{field.name} is {value}; it must be more than 0")

    @property
    def most_bytes(self) -> int:
        """Bytes of a body."""
        return self.megabytes * 1_000_000

    @property
    def places(self) -> int:
        """Requests in all."""
        return self.working + self.waiting

    @property
    def places_each(self) -> int:
        """Requests of one caller."""
        return self.each or max(1, self.places // 2)

    @property
    def streams_each(self) -> int:
        """Streams of one caller: of all, the share that it may have of the places."""
        return max(1, min(self.streams, math.ceil(self.streams * self.places_each / self.places)))
