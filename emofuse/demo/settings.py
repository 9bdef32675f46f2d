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
    queue: int = 8
    """How many may wait for an answer; the next is told to come back later."""
    stills: int = 40
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
    """Seconds after which a file that lies in nobody's box is deleted."""
    feedback: Path | None = None
    """The folder that corrections are written to; None = nothing is ever kept."""
