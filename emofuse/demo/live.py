"""A live session: the last seconds of sound and the last picture, predicted over and over."""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from typing import Any

import numpy as np

from emofuse.demo.settings import Settings
from emofuse.demo.thumbnails import Sight, still
from emofuse.demo.view import row
from emofuse.modalities import ordered
from emofuse.pipeline.pipeline import Pipeline
from emofuse.types import Prediction

FRESH = 3.0
"""Seconds for which the last picture, or the last sound, counts as now."""


class Live:
    """Sound and pictures come in as they are recorded; every answer is a point of the rolling timeline."""

    def __init__(self, pipeline: Pipeline, settings: Settings) -> None:
        self.pipeline, self.settings = pipeline, settings
        self._lock = threading.Lock()
        self._made = time.monotonic()
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._rate = 0
        self._chunks: deque[np.ndarray] = deque()
        self._heard_at = self._seen_at = float("-inf")
        self._picture: np.ndarray | None = None
        self._blur = False
        self._began: float | None = None
        self._latencies: deque[float] = deque(maxlen=120)
        self.points: deque[dict[str, Any]] = deque()
        self.shown: dict[str, Any] | None = None
        """The last answer."""

    def hear(self, rate: int, samples: np.ndarray, now: float | None = None) -> dict[str, Any] | None:
        """Add what the microphone recorded since last time, as it gives it, and predict; None while busy."""
        arrived = time.monotonic() if now is None else now
        if (
            rate != self._rate
            or (self._chunks and self._chunks[-1].dtype != samples.dtype)
            or (self._chunks and self._chunks[-1].shape[1:] != samples.shape[1:])
        ):
            self._chunks.clear()
        self._rate, self._heard_at = rate, arrived
        self._chunks.append(samples)
        spare = sum(len(chunk) for chunk in self._chunks) - int(self.settings.live_window * rate)
        while self._chunks and spare > 0:
            first = self._chunks.popleft()
            if len(first) > spare:
                self._chunks.appendleft(first[spare:])
            spare -= len(first)
        return self._predict(arrived)

    def see(
        self, picture: np.ndarray, blur: bool = False, now: float | None = None, alone: bool = True
    ) -> dict[str, Any] | None:
        """Take the camera's picture; predicted at once only where no sound comes along (`alone`) or came just now."""
        arrived = time.monotonic() if now is None else now
        self._picture, self._seen_at, self._blur = picture, arrived, blur
        return self._predict(arrived) if alone and arrived - self._heard_at >= FRESH else None

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._made

    @property
    def idle(self) -> float:
        """Seconds since anything came."""
        return time.monotonic() - max(self._heard_at, self._seen_at, self._made)

    def _predict(self, arrived: float) -> dict[str, Any] | None:
        if not self._lock.acquire(blocking=False):
            return None
        try:
            began = time.monotonic()
            inputs: dict[str, Any] = {}
            if arrived - self._heard_at < FRESH and self._chunks:
                inputs["audio"] = (self._rate, np.concatenate(list(self._chunks)))
            if arrived - self._seen_at < FRESH and self._picture is not None:
                inputs["image"] = self._picture
            run = self.pipeline.run(**inputs)
            found = list(run)
            overall = run.result().overall
            latency = time.monotonic() - began
            seen = Sight.of([segment for _, segment in found]) if "image" in inputs else None
            self.shown = self._point(arrived, overall, latency, seen, inputs.get("image"))
            return self.shown
        finally:
            self._lock.release()

    def _point(
        self,
        arrived: float,
        overall: Prediction | None,
        latency: float,
        seen: Sight | None,
        picture: np.ndarray | None,
    ) -> dict[str, Any]:
        """The rolling timeline with this answer at its end."""
        self._began = arrived if self._began is None else self._began
        self._latencies.append(latency)
        at = arrived - self._began
        unimodal = overall.by_modality if overall else {}
        self.points.append(
            {
                "at": round(at, 3),
                "emotions": row(overall.emotions) if overall else None,
                "alone": {m: row(unimodal[m]) for m in ordered(unimodal)},
            }
        )
        while self.points and self.points[0]["at"] < at - self.settings.live_shown:
            self.points.popleft()
        face = still(picture, seen.boxes(0.0) if seen else [], at, self._blur) if picture is not None else None
        return {
            "points": list(self.points),
            "shown": self.settings.live_shown,
            "latency": round(latency, 3),
            "median": round(statistics.median(self._latencies), 3),
            "present": list(ordered(overall.present)) if overall else [],
            "still": face,
        }
