"""Utterance → Segment: what a corpus points at, read along the same road that analyses a clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emofuse.media.decode import read_audio
from emofuse.media.picture import read_image
from emofuse.types import SAMPLE_RATE, FaceTrack, Segment, Utterance, Word

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
FACE_CROPS = frozenset({"ferplus"})
"""Corpora whose pictures are faces already cut out: no detector looks for a face in them."""

FEATURES = ".npz"
"""Ready-made features hold no media; such an utterance has its text alone."""


def load_segment(utterance: Utterance) -> Segment:
    """The words, the voice and the faces of an utterance; raises MediaError when its media cannot be read."""
    waveform, faces = None, ()
    if utterance.media is not None and utterance.media.suffix != FEATURES:
        if utterance.media.suffix.lower() in PICTURES:
            faces = _picture(utterance)
        else:
            waveform = read_audio(utterance.media, utterance.start, utterance.end)
    start = utterance.start or 0.0
    end = start + (len(waveform) / SAMPLE_RATE if waveform is not None else 0.0)
    words = spread_words(utterance.text, start, end) if utterance.text else None
    return Segment(utterance.id, start, end, words, waveform, faces, utterance.context, utterance.labels)


def spread_words(text: str, start: float, end: float) -> tuple[Word, ...]:
    """Words with times in proportion to their length, for text whose own times are unknown."""
    parts = text.split()
    edges = np.cumsum([0, *(len(p) for p in parts)]) / max(1, sum(len(p) for p in parts))
    times = start + edges * (end - start)
    return tuple(Word(p, float(a), float(b)) for p, a, b in zip(parts, times[:-1], times[1:], strict=True))


def _picture(utterance: Utterance) -> tuple[FaceTrack, ...]:
    path = Path(utterance.media)  # type: ignore[arg-type]
    rgb = read_image(path)
    height, width = rgb.shape[:2]
    box = np.array([[0, 0, width, height]], np.float32)
    return (FaceTrack(0, rgb[None], np.zeros(1, np.float32), box, np.ones(1, np.float32)),)
