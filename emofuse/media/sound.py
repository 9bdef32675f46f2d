"""The last seconds of sound, and how loud sound is."""

from __future__ import annotations

from collections import deque

import numpy as np
from jaxtyping import Float32

from emofuse.media.audio import AudioBlock
from emofuse.types import SAMPLE_RATE

SILENCE = 1e-3
"""Root mean square (60 dB under full scale) below which there is no sound."""


def loudness(samples: Float32[np.ndarray, " samples"]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(samples)))) if samples.size else 0.0


class SoundBuffer:
    """The last seconds of sound, until the segment they belong to is known."""

    def __init__(self) -> None:
        self._blocks: deque[AudioBlock] = deque()

    def push(self, block: AudioBlock) -> None:
        """Adds the next block."""
        self._blocks.append(block)

    def forget(self, before: float) -> None:
        """Drops what lies before a moment."""
        while self._blocks and self._blocks[0].end <= before:
            self._blocks.popleft()

    def cut(self, start: float, end: float) -> np.ndarray | None:
        """The sound between two moments; None where there is none, or only silence."""
        pieces = []
        for block in self._blocks:
            first = max(0, round((start - block.start) * SAMPLE_RATE))
            last = max(0, round((end - block.start) * SAMPLE_RATE))
            pieces.append(block.samples[first:last])
        samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
        return samples if samples.size and loudness(samples) >= SILENCE else None

    @property
    def seconds(self) -> float:
        """How much is kept."""
        return sum(block.samples.size for block in self._blocks) / SAMPLE_RATE
