"""Pace: how long answers take, learnt from those that were made, for an estimate to those who wait."""

from __future__ import annotations

import threading

WEIGHT = 0.3
"""How much the last answer counts against all before it."""


class Pace:
    """Seconds of work for a second of clip or sound, for a picture, or for a hundred characters of words."""

    def __init__(self) -> None:
        self._rates: dict[str, float] = {}
        self._lock = threading.Lock()

    def note(self, kind: str, size: float, seconds: float) -> None:
        """Learn from an answer of a `kind`, to so much of it, that took so many seconds."""
        rate = seconds / max(size, 1.0)
        with self._lock:
            before = self._rates.get(kind, rate)
            self._rates[kind] = before + WEIGHT * (rate - before)

    def expect(self, kind: str, size: float) -> float | None:
        """Seconds that an answer will take; None before the first of its kind."""
        with self._lock:
            rate = self._rates.get(kind)
        return None if rate is None else rate * max(size, 1.0)
