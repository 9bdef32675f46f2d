"""A live view: the answers of a live session as the points of a rolling timeline."""

from __future__ import annotations

import statistics
import threading
from collections import deque
from typing import Any

import numpy as np

from emofuse.demo.settings import Settings
from emofuse.demo.thumbnails import Sight, still
from emofuse.demo.view import row
from emofuse.modalities import ordered
from emofuse.pipeline.live import LiveAnswer, LiveSession
from emofuse.pipeline.pipeline import Pipeline


class Live:
    """Sound and pictures come in as they are recorded; every answer is a point of the rolling timeline."""

    def __init__(self, pipeline: Pipeline, settings: Settings) -> None:
        self.settings, self.session = settings, LiveSession(pipeline, settings.live_window)
        self._drawing = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.session.reset()
        self._blur = False
        self._latencies: deque[float] = deque(maxlen=120)
        self.points: deque[dict[str, Any]] = deque()
        self.shown: dict[str, Any] | None = None
        """The last answer."""

    def hear(self, rate: int, samples: np.ndarray, now: float | None = None) -> dict[str, Any] | None:
        """Add what the microphone recorded since last time, as it gives it, and predict; None while busy."""
        return self._show(self.session.hear(rate, samples, now))

    def see(
        self, picture: np.ndarray, blur: bool = False, now: float | None = None, without_sound: bool = True
    ) -> dict[str, Any] | None:
        """Take the camera's picture; predicted at once only `without_sound`, unless some came just now."""
        self._blur = blur
        return self._show(self.session.see(picture, now, without_sound))

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return self.session.age

    @property
    def idle(self) -> float:
        """Seconds since anything came."""
        return self.session.idle

    def _show(self, answer: LiveAnswer | None) -> dict[str, Any] | None:
        """The rolling timeline with this answer at its end."""
        if answer is None:
            return None
        with self._drawing:
            self.shown = self._point(answer)
            return self.shown

    def _point(self, answer: LiveAnswer) -> dict[str, Any]:
        self._latencies.append(answer.latency)
        at, overall, picture = answer.at, answer.overall, answer.picture
        seen = Sight.of(answer.segments) if picture is not None else None
        unimodal = overall.by_modality if overall else {}
        self.points.append(
            {
                "at": round(at, 3),
                "emotions": row(overall.emotions) if overall else None,
                "unimodal": {m: row(unimodal[m]) for m in ordered(unimodal)},
            }
        )
        while self.points and self.points[0]["at"] < at - self.settings.live_shown:
            self.points.popleft()
        face = still(picture, seen.boxes(0.0) if seen else [], at, self._blur) if picture is not None else None
        return {
            "points": list(self.points),
            "shown": self.settings.live_shown,
            "latency": round(answer.latency, 3),
            "median": round(statistics.median(self._latencies), 3),
            "present": list(ordered(overall.present)) if overall else [],
            "still": face,
        }
