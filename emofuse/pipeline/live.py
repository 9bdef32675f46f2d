"""A live session: the last seconds of sound and the last picture, predicted over and over."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.pipeline import Pipeline
from emofuse.types import Prediction, Segment

FRESH = 3.0
"""Seconds for which the last picture, or the last sound, counts as now."""
WINDOW = 4.0
"""Seconds of sound that an answer rests on, unless told otherwise."""
Analyse = Callable[[dict[str, Any]], tuple[Analysis, Sequence[Segment]]]
"""From the keywords of a pipeline's call to its analysis and the segments it is of."""


@dataclass(frozen=True, eq=False)
class LiveAnswer:
    """What is expressed now."""

    at: float
    """Seconds since the first answer."""
    overall: Prediction | None
    """None where nothing was found to go by."""
    latency: float
    """Seconds of work."""
    segments: tuple[Segment, ...]
    picture: np.ndarray | None
    """The picture that the answer rests on."""


class LiveSession:
    """Sound and pictures come in as they are recorded, in any size of chunk; an answer is there when asked for.

    It may be used from several threads: who asks while an answer is being made is given None, and what came meanwhile
    is in the next. Of sound, the last `window` seconds are kept. `analyse` stands in for the pipeline's own call.
    """

    def __init__(self, pipeline: Pipeline, window: float = WINDOW, *, analyse: Analyse | None = None) -> None:
        self.pipeline, self.window = pipeline, window
        self._analyse = analyse or self._called
        self._busy, self._keeping = threading.Lock(), threading.Lock()
        self._made, self._resets = time.monotonic(), 0
        self.reset()

    def reset(self) -> None:
        """Forget everything; an answer that is being made meanwhile is None."""
        with self._keeping:
            self._rate = 0
            self.chunks: deque[np.ndarray] = deque()
            """The sound that is kept, as it came."""
            self._heard_at = self._seen_at = float("-inf")
            self._picture: np.ndarray | None = None
            self._began: float | None = None
            self._resets += 1

    @property
    def age(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._made

    @property
    def idle(self) -> float:
        """Seconds since anything came."""
        return time.monotonic() - max(self._heard_at, self._seen_at, self._made)

    def keep_sound(self, rate: int, samples: np.ndarray, now: float | None = None) -> None:
        """Add what was recorded since last time: `rate` in Hz and an array as `Pipeline` takes them."""
        with self._keeping:
            if rate != self._rate or (self.chunks and _kind(self.chunks[-1]) != _kind(samples)):
                self.chunks.clear()
            self._rate, self._heard_at = rate, time.monotonic() if now is None else now
            self.chunks.append(samples)
            spare = sum(len(chunk) for chunk in self.chunks) - int(self.window * rate)
            while self.chunks and spare > 0:
                first = self.chunks.popleft()
                if len(first) > spare:
                    self.chunks.appendleft(first[spare:])
                spare -= len(first)

    def keep_picture(self, picture: np.ndarray, now: float | None = None) -> None:
        """Take a camera's picture, an array of uint8 (h, w, 3)."""
        with self._keeping:
            self._picture, self._seen_at = picture, time.monotonic() if now is None else now

    def hear(self, rate: int, samples: np.ndarray, now: float | None = None) -> LiveAnswer | None:
        """Add sound and answer; None while an answer is being made."""
        arrived = time.monotonic() if now is None else now
        self.keep_sound(rate, samples, arrived)
        return self.answer(arrived)

    def see(self, picture: np.ndarray, now: float | None = None, without_sound: bool = True) -> LiveAnswer | None:
        """Take a picture; answered at once only `without_sound`, unless some came just now."""
        arrived = time.monotonic() if now is None else now
        self.keep_picture(picture, arrived)
        return self.answer(arrived) if without_sound and arrived - self._heard_at >= FRESH else None

    def answer(self, now: float | None = None) -> LiveAnswer | None:
        """What is expressed in what was kept; None while another answer is being made, or before anything came.

        Raises `MediaError` for sound or a picture that a pipeline does not take.
        """
        arrived = time.monotonic() if now is None else now
        if not self._busy.acquire(blocking=False):
            return None
        try:
            resets, inputs = self._resets, self._inputs(arrived)
            if not inputs:
                return None
            began = time.monotonic()
            result, segments = self._analyse(inputs)
            taken = time.monotonic() - began
            with self._keeping:
                if resets != self._resets:
                    return None
                self._began = arrived if self._began is None else self._began
                at = arrived - self._began
            return LiveAnswer(at, result.overall, taken, tuple(segments), inputs.get("image"))
        finally:
            self._busy.release()

    def _inputs(self, now: float) -> dict[str, Any]:
        with self._keeping:
            inputs: dict[str, Any] = {}
            if now - self._heard_at < FRESH and self.chunks:
                inputs["audio"] = (self._rate, np.concatenate(list(self.chunks)))
            if now - self._seen_at < FRESH and self._picture is not None:
                inputs["image"] = self._picture
            return inputs

    def _called(self, inputs: dict[str, Any]) -> tuple[Analysis, Sequence[Segment]]:
        run = self.pipeline.run(**inputs)
        segments = [segment for _, segment in run]
        return run.result(), segments


def _kind(samples: np.ndarray) -> tuple[Any, ...]:
    """What two chunks must have in common to be one sound."""
    return samples.dtype, samples.shape[1:]
