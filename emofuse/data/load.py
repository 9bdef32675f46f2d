"""Utterance → Segment: what a corpus points at, read by the same code that analyses a clip."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from emofuse.corpora.features import ARRAYS, Features, read_features
from emofuse.corpora.mmsa import ENDING, FeatureFile, read_feature_file
from emofuse.encoders.processors.speaking import with_talk
from emofuse.media.audio import AudioBlock
from emofuse.media.decode import stream
from emofuse.media.faces.collect import FaceCollector, FaceOptions, faces_in_image
from emofuse.media.faces.frames import FrameCollector, collector
from emofuse.media.formats import kind_of
from emofuse.media.image import read_image
from emofuse.media.memory import File
from emofuse.media.stored import read_stored
from emofuse.media.transcript import spread
from emofuse.modalities import Modality
from emofuse.types import FaceTrack, Segment, Utterance

HOLDS: dict[str, frozenset[Modality]] = {
    "picture": frozenset({"face"}),
    "sound": frozenset({"speech"}),
    "video": frozenset({"speech", "face"}),
}
"""Kind of a file → the modalities that are looked for in it."""
FEATURES = (".npz", ENDING)
"""Endings of files of features that someone else extracted, in place of media."""


def load_segment(utterance: Utterance, face_options: FaceOptions | None = None) -> Segment:
    """The words, the voice and the faces of an utterance, or its ready-made features.

    `face_options`: how a model sees faces (`Answering.face_options`); None = as `FaceOptions()`. Raises MediaError when
    its media cannot be read, DataError when its features cannot.
    """
    start, face_options = utterance.start or 0.0, face_options or FaceOptions()
    waveform, faces, features, end = None, (), None, start
    if holds_features(utterance):
        features = features_of(utterance)
    elif utterance.media is not None and kind_of(utterance.media) == "picture":
        faces = _picture(_file_of(utterance), face_options, cropped=utterance.face_crop)
    elif utterance.media is not None:
        waveform, faces, end = _clip(_file_of(utterance), start, utterance.end, face_options)
    words = spread(utterance.text, start, end) if utterance.text else None
    segment = Segment(
        id=utterance.id,
        start=start,
        end=end,
        words=words,
        waveform=waveform,
        faces=faces,
        context=utterance.context,
        speaker=utterance.speaker,
        labels=utterance.labels,
        after=utterance.after,
        features=features,
        extras=utterance.extras,
    )
    return with_talk(segment) if len(faces) > 1 else segment


def modalities_of(utterance: Utterance) -> frozenset[Modality]:
    """What an utterance should have, told from its text and its file's ending (a video: speech and face)."""
    if holds_features(utterance):
        return frozenset({*ARRAYS.values(), *utterance.extras})
    found: set[Modality] = set(utterance.extras)
    if utterance.text:
        found.add("text")
    if utterance.media is not None:
        found |= HOLDS[kind_of(utterance.media)]
    return frozenset(found)


def takes_long(utterance: Utterance) -> bool:
    """Whether decoding is worth keeping on disk: videos, in which faces are looked for."""
    media = utterance.media
    return media is not None and kind_of(media) == "video" and not holds_features(utterance)


def holds_features(utterance: Utterance) -> bool:
    """Whether its media is a file of features that someone else extracted."""
    return utterance.media is not None and utterance.media.suffix in FEATURES


def features_of(utterance: Utterance) -> dict[Modality, np.ndarray]:
    """The ready-made features of an utterance, by modality, [width] or [time, width]; their file is read once."""
    assert utterance.media is not None
    return _feature_file(utterance.media).row(utterance.id)


def _feature_file(path: Path) -> Features | FeatureFile:
    return read_feature_file(path) if path.suffix == ENDING else _vectors(path)


@lru_cache(maxsize=4)
def _vectors(path: Path) -> Features:
    return read_features(path)


def _file_of(utterance: Utterance) -> File:
    assert utterance.media is not None
    return utterance.media if utterance.stored is None else read_stored(utterance.stored, str(utterance.media))


def _clip(
    path: File, start: float, end: float | None, face_options: FaceOptions
) -> tuple[np.ndarray | None, tuple[FaceTrack, ...], float]:
    """Sound and faces in one pass, and the second at which they end."""
    blocks: list[np.ndarray] = []
    pictures: FaceCollector | FrameCollector | None = None
    last = start
    for piece in stream(path, start=start, end=end, frame_interval=face_options.frame_interval):
        if isinstance(piece, AudioBlock):
            blocks.append(piece.samples)
            last = max(last, piece.end)
        else:
            pictures = pictures or collector(None, face_options)
            pictures.push(piece)
            last = max(last, piece.time)
    waveform = np.concatenate(blocks) if blocks else None
    faces = pictures.tracks(start, last + 1e-6) if pictures else ()
    return waveform, faces, last


def _picture(path: File, face_options: FaceOptions, cropped: bool) -> tuple[FaceTrack, ...]:
    rgb = read_image(path)
    if not cropped:
        return faces_in_image(rgb, options=face_options)
    height, width = rgb.shape[:2]
    box = np.array([[0, 0, width, height]], np.float32)
    return (FaceTrack(0, rgb[None], np.zeros(1, np.float32), box, np.ones(1, np.float32)),)
