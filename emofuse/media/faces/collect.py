"""Face collector: found, followed, told apart, and the best crops of each person chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from emofuse.media.faces.crop import Crop, chosen, cut, quality, squared
from emofuse.media.faces.detect import FaceDetector, Faces, HaarDetector, YuNetDetector, overlap
from emofuse.media.faces.track import FaceOptions, FaceTracker
from emofuse.media.image import VideoFrame
from emofuse.notes import Note
from emofuse.types import FaceTrack

__all__ = [
    "FaceCollector",
    "FaceDetector",
    "FaceOptions",
    "FaceTracker",
    "Faces",
    "HaarDetector",
    "YuNetDetector",
    "faces_in_image",
]

_TIGHT = 256
"""Longest side, in pixels, of a still that may be a face crop itself."""
_FILLED = 0.6
"""Intersection over union with the whole of it from which a face fills a small picture."""
_CONTRAST = 16
"""Difference between pixels, in any colour, below which a picture shows nothing."""
_STILL = 640
"""Longest side, in pixels, a still is shrunk to for detection."""
WHOLE_PICTURE = Note("whole_picture")


class FaceCollector:
    """Keeps the crops of the last seconds by person until the segment they belong to is known."""

    def __init__(self, detector: FaceDetector | None = None, options: FaceOptions | None = None) -> None:
        self.tracker = FaceTracker(detector, options)
        self._crops: dict[int, list[Crop]] = {}
        self._numbers: dict[int, int] = {}

    def push(self, frame: VideoFrame) -> None:
        """Looks at one more frame."""
        for person, crop in self.tracker.push(frame):
            self._crops.setdefault(person, []).append(crop)

    def tracks(self, start: float, end: float) -> tuple[FaceTrack, ...]:
        """The faces between two moments, the most often seen first; forgets everything before `end`.

        People are numbered in the order in which they first come out.
        """
        there: dict[int, list[Crop]] = {}
        for person, crops in self._crops.items():
            within = [crop for crop in crops if start <= crop.time < end or crop.time == start == end]
            if within and self.tracker.confirmed(person):
                there[person] = within
        self.forget(end)
        options = self.tracker.options
        most = min(options.max_crops, max(2, math.ceil((end - start) / options.crop_interval)))
        ordered = sorted(there, key=lambda person: (-len(there[person]), person))
        numbers = [self._numbers.setdefault(person, len(self._numbers)) for person in ordered]
        return tuple(as_track(n, chosen(there[person], most)) for n, person in zip(numbers, ordered, strict=True))

    def forget(self, before: float) -> None:
        """Drops the crops of what is final."""
        kept = {person: [crop for crop in crops if crop.time >= before] for person, crops in self._crops.items()}
        self._crops = {person: crops for person, crops in kept.items() if crops}


def as_track(person: int, crops: Sequence[Crop]) -> FaceTrack:
    """The crops of one person as arrays."""
    return FaceTrack(
        person=person,
        crops=np.stack([crop.picture for crop in crops]),
        times=np.array([crop.time for crop in crops], float),
        boxes=np.stack([crop.box for crop in crops]).astype(float),
        quality=np.array([crop.quality for crop in crops], float),
    )


def faces_in_image(
    rgb: UInt8[np.ndarray, "h w 3"],
    detector: FaceDetector | None = None,
    options: FaceOptions | None = None,
    *,
    time: float = 0.0,
    notes: list[str] | None = None,
) -> tuple[FaceTrack, ...]:
    """The faces of a still, the largest first, one crop each, at `time` seconds.

    A small (at most 256 pixels), near-square picture may be a face crop itself, as face corpora hold: one that its
    face fills is taken whole, and so is one without a detected face, at half the quality it would have, and `notes`
    says so.
    """
    detector, options = detector or HaarDetector(), options or FaceOptions()
    height, width = rgb.shape[:2]
    found = _found(rgb, detector, options)
    order = np.argsort(-found.boxes[:, 2])[: options.most_people] if len(found) else []
    boxes = [squared(found.boxes[i], options.margin) for i in order]
    frontal = [float(found.frontal[i]) for i in order]
    tight = max(height, width) <= _TIGHT and max(height, width) <= 1.5 * min(height, width)
    whole = squared(np.array([0.0, 0.0, width, height]), 0.0)
    if tight and boxes and overlap(boxes[0], whole) >= _FILLED:
        boxes, frontal = [whole], frontal[:1]
    trust = 1.0
    if tight and not boxes and _contrast(rgb) >= _CONTRAST:
        boxes, frontal, trust = [whole], [1.0], 0.5
        if notes is not None:
            notes.append(WHOLE_PICTURE)
    tracks = []
    for person, (box, ahead) in enumerate(zip(boxes, frontal, strict=True)):
        picture = cut(rgb, box, options.crop_size)
        side = float(box[2]) / (1 + 2 * options.margin)
        good = trust * quality(picture, side, ahead, options.crop_size)
        tracks.append(as_track(person, [Crop(time, picture, box, good)]))
    return tuple(tracks)


def _contrast(rgb: np.ndarray) -> int:
    """The largest difference between two pixels in one of the colours: 0 for a plain picture of any colour."""
    return int(np.ptp(rgb.reshape(-1, 3), axis=0).max())


def _found(rgb: np.ndarray, detector: FaceDetector, options: FaceOptions) -> Faces:
    """Faces in pixels of the still, which is shrunk, or given a border and enlarged, to a size detectors like."""
    height, width = rgb.shape[:2]
    longest = max(height, width)
    border = round(0.15 * longest) if longest < _TIGHT else 0
    picture = cv2.copyMakeBorder(rgb, *[border] * 4, borderType=cv2.BORDER_REPLICATE) if border else rgb
    wanted = _STILL if longest > _TIGHT else _TIGHT
    scale = wanted / max(picture.shape[:2])
    if longest > _STILL or longest < _TIGHT:
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    else:
        scale = 1.0
    if not detector.colour:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    smallest = options.smallest / 2 if longest > _TIGHT else 0.25
    return detector.detect(picture, smallest, effort="exhaustive").moved(scale, -border, -border)
