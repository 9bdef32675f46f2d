"""Utterance → Segment: what a corpus points at, read along the same road that analyses a clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emofuse.media.audio import AudioBlock
from emofuse.media.decode import stream
from emofuse.media.faces.collect import FaceCollector, FaceOptions, faces_in_image
from emofuse.media.image import read_image
from emofuse.media.transcript import spread
from emofuse.types import FaceTrack, Segment, Utterance

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
FACE_CROPS = frozenset({"ferplus"})
"""Corpora whose pictures are faces already cut out: no detector looks for a face in them."""

FEATURES = ".npz"
"""Ready-made features hold no media; such an utterance has its text alone."""


def load_segment(utterance: Utterance) -> Segment:
    """The words, the voice and the faces of an utterance; raises MediaError when its media cannot be read."""
    start = utterance.start or 0.0
    waveform, faces, end = None, (), start
    if utterance.media is not None and utterance.media.suffix != FEATURES:
        if utterance.media.suffix.lower() in PICTURES:
            faces = _picture(utterance.media, cropped=utterance.corpus in FACE_CROPS)
        else:
            waveform, faces, end = _clip(utterance.media, start, utterance.end)
    words = spread(utterance.text, start, end) if utterance.text else None
    return Segment(utterance.id, start, end, words, waveform, faces, utterance.context, utterance.labels)


def _clip(path: Path, start: float, end: float | None) -> tuple[np.ndarray | None, tuple[FaceTrack, ...], float]:
    """Sound and faces in one pass, and the second at which they end."""
    blocks: list[np.ndarray] = []
    collector: FaceCollector | None = None
    last = start
    for piece in stream(path, start=start, end=end, frame_interval=FaceOptions().frame_interval):
        if isinstance(piece, AudioBlock):
            blocks.append(piece.samples)
            last = max(last, piece.end)
        else:
            collector = collector or FaceCollector()
            collector.push(piece)
            last = max(last, piece.time)
    waveform = np.concatenate(blocks) if blocks else None
    faces = collector.tracks(start, last + 1e-6) if collector else ()
    return waveform, faces, last


def _picture(path: Path, cropped: bool) -> tuple[FaceTrack, ...]:
    rgb = read_image(path)
    if not cropped:
        return faces_in_image(rgb)
    height, width = rgb.shape[:2]
    box = np.array([[0, 0, width, height]], np.float32)
    return (FaceTrack(0, rgb[None], np.zeros(1, np.float32), box, np.ones(1, np.float32)),)
