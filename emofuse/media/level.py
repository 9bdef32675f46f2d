"""Level: how loud sound is, and by how much quiet sound is raised so that it can be heard."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32

SILENCE = 3e-6
"""Root mean square (110 dB under full scale) below which there is no sound: under the noise of 16 bits."""
QUIET = 5.6e-3
"""Root mean square (45 dB under full scale) below which sound is raised …"""
RAISED = 5.6e-2
"""… to this, 25 dB under full scale."""
_LATELY = 30.0
"""Seconds of which the loudest moment says how loud a recording is; between words it is not raised."""


def loudness(samples: Float32[np.ndarray, " samples"]) -> float:
    """Root mean square about the mean, which is no sound."""
    return float(np.std(samples, dtype=np.float64)) if samples.size else 0.0


def decibels(ratio: float) -> float:
    """A ratio of amplitudes in dB."""
    return float(20 * np.log10(max(ratio, 1e-9)))


def gain_of(level: float) -> float:
    """What sound of this loudness is multiplied by; 1 for all that is not quiet, and for silence."""
    return RAISED / level if SILENCE <= level < QUIET else 1.0


def raised(samples: Float32[np.ndarray, " samples"], gain: float) -> Float32[np.ndarray, " samples"]:
    """The samples, without their mean, times the gain, or the largest below it that clips none; as they are for 1."""
    if gain <= 1:
        return samples
    centred = samples - samples.mean(dtype=np.float64)
    peak = float(np.abs(centred).max(initial=0.0))
    return (centred * min(gain, 1 / max(peak, 1e-9))).astype(np.float32)


class Hearing:
    """Raises quiet sound as it comes, block by block, by the loudest moment of the last seconds."""

    def __init__(self) -> None:
        self.loudest = 0.0
        """Of any block so far."""
        self._recent: deque[tuple[float, float]] = deque()
        self._began, self._parts, self._passed = 0.0, list[np.ndarray](), False

    def push(self, time: float, samples: Float32[np.ndarray, " samples"]) -> Float32[np.ndarray, " samples"]:
        """The block that begins at this second, as it should be listened to."""
        self._forget(time)
        level = loudness(samples)
        self.loudest = max(self.loudest, level)
        while self._recent and self._recent[-1][1] <= level:
            self._recent.pop()
        self._recent.append((time, level))
        return raised(samples, gain_of(self._recent[0][1]))

    def hear(
        self, time: float, part: Float32[np.ndarray, " samples"], whole: bool = True
    ) -> Iterator[Float32[np.ndarray, " samples"]]:
        """A part of a block, which ends with the `whole` one, as it should be listened to: the same as `push` makes of
        the block, part by part where it was loud lately, and so nothing is raised; else once the block is whole."""
        if not self._parts:
            self._forget(time)
            self._began, self._passed = time, bool(self._recent) and self._recent[0][1] >= QUIET
        self._parts.append(part)
        if self._passed:
            yield part
        if whole:
            yield from self.end()

    def end(self) -> Iterator[Float32[np.ndarray, " samples"]]:
        """Ends the block that `hear` was given parts of: what has not come out of it."""
        if self._parts:
            parts, self._parts = self._parts, []
            block = self.push(self._began, np.concatenate(parts) if len(parts) > 1 else parts[0])
            if not self._passed:
                yield block

    def _forget(self, time: float) -> None:
        while self._recent and (self._recent[0][0] < time - _LATELY):
            self._recent.popleft()
