"""Example segments that shape and calibrate exported graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emofuse.data.examples import Prepares, read_by
from emofuse.types import SAMPLE_RATE, FaceTrack, Segment, Word

SIDE = 112


def spoken(seconds: int) -> Segment:
    """Noise for a voice and a face, and a few words: its shapes count, what it says does not."""
    rng = np.random.default_rng(seconds)
    frames = 2 * seconds
    crops = rng.integers(0, 255, (frames, SIDE, SIDE, 3), dtype=np.uint8)
    times = np.linspace(0, seconds, frames)
    track = FaceTrack(0, crops, times, np.tile([0.0, 0.0, SIDE, SIDE], (frames, 1)), np.ones(frames))
    words = tuple(Word(word, float(i), i + 1.0) for i, word in enumerate(("so", "happy", "today")[: seconds + 1]))
    waveform = (0.1 * rng.standard_normal(seconds * SAMPLE_RATE)).astype(np.float32)
    return Segment(f"example {seconds}", 0.0, float(seconds), words, waveform, (track,))


def dev_segments(corpus: str, root: Path, limit: int, model: Prepares) -> list[Segment]:
    """At most `limit` segments of a corpus's dev split, spread evenly over it, as a model sees it. Raises DataError."""
    from emofuse.corpora.registry import read

    utterances = list(read(corpus, root, "dev").utterances)
    count = min(limit, len(utterances))
    return [read_by(model)(utterances[i]) for i in np.linspace(0, len(utterances) - 1, count).astype(int)]
