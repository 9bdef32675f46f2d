"""What whoever runs the demo decides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Limits of what is taken, and whether corrections are written."""

    minutes: float = 10.0
    """The longest clip or recording."""
    megabytes: int = 200
    """The largest file."""
    characters: int = 20_000
    """The longest text."""
    frames: int = 72_000
    """The most pictures of a clip: ten minutes at 120 a second."""
    queue: int = 8
    """How many may wait for an answer; the next is told at once to come back later."""
    each: int = 3
    """How many places in the queue one visitor may take."""
    answer_seconds: float = 600.0
    """Seconds of work, by the wall, on one answer."""
    visit_seconds: float = 1800.0
    """Seconds of work for one visitor in an hour; the live view counts."""
    thumbnails: int = 40
    """The most frames shown beside an answer."""
    weighed: int = 24
    """The most segments whose modalities are weighed against each other."""
    live_window: float = 4.0
    """Seconds of sound that a live answer rests on."""
    live_shown: float = 45.0
    """Seconds of the rolling timeline."""
    live_limit: float = 300.0
    """Seconds after which a live session ends."""
    upload_seconds: float = 300.0
    """Seconds that an upload may take."""
    orphaned: float = 60.0
    """Seconds after which an upload is deleted, unless an answer is being made of it or waits for its turn."""
    held: float = 900.0
    """Seconds for which an answer is remembered for a correction, where corrections are wanted."""
    hosts: tuple[str, ...] = ()
    """Further names by which the page may be reached, for example through a proxy."""
    feedback: Path | None = None
    """The folder that corrections are written to; None = nothing is ever kept."""
