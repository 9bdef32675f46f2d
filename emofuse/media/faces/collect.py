"""Face collector: found, followed, told apart, and the best crops of each person chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import UInt8

from emofuse.media.faces.blazeface import BlazeFaceDetector
from emofuse.media.faces.crop import Crop, chosen, cut, letterboxed, quality, squared
from emofuse.media.faces.default import default_detector
from emofuse.media.faces.detect import FaceDetector, Faces, believed, overlap
from emofuse.media.faces.haar import HaarDetector
from emofuse.media.faces.mouth import MouthMotion
from emofuse.media.faces.track import FaceOptions, FaceTracker
from emofuse.media.faces.yunet import YuNetDetector
from emofuse.media.image import VideoFrame
from emofuse.notes import Note
from emofuse.types import NOBODY, FaceTrack

__all__ = [
    "BlazeFaceDetector",
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
_STANDS = 1.0
"""Seconds from which a picture that no other follows is seen for as long as it stands."""
WHOLE_PICTURE = Note("whole_picture")


class FaceCollector:
    """Keeps the crops of the last seconds by person until the segment they belong to is known."""

    def __init__(self, detector: FaceDetector | None = None, options: FaceOptions | None = None) -> None:
        self.tracker = FaceTracker(detector, options)
        self._crops: dict[int, list[Crop]] = {}
        self._numbers: dict[int, int] = {}
        self._standing: list[_Standing] = []
        self._motion = MouthMotion()
        self._mouths: dict[int, list[tuple[float, float]]] = {}

    def push(self, frame: VideoFrame) -> None:
        """Looks at one more frame."""
        if self._standing:
            self._standing[-1].until = frame.time
            if frame.time - self._standing[-1].time <= _STANDS:
                self._standing.pop()
        for person, crop in self.tracker.push(frame):
            self._crops.setdefault(person, []).append(crop)
        self._watch_mouths(frame)
        options = self.tracker.options
        since = frame.time - max(options.detect_interval, options.calm_interval)
        last = {person: crops[-1] for person, crops in self._crops.items() if crops and crops[-1].time > since}
        self._standing.append(_Standing(frame.time, last))

    def _watch_mouths(self, frame: VideoFrame) -> None:
        boxes = self.tracker.boxes(frame.time)
        if self.tracker.options.mouths == "several" and len(boxes) < 2:
            boxes = {}
        for person, motion in self._motion.push(frame, boxes).items():
            self._mouths.setdefault(person, []).append((frame.time, motion))

    def _mouth(self, person: int, start: float, end: float) -> np.ndarray | None:
        moments = [moment for moment in self._mouths.get(person, ()) if start <= moment[0] < end]
        return np.array(moments, float) if moments else None

    def tracks(
        self, start: float, end: float, final: float | None = None, counts: bool = True
    ) -> tuple[FaceTrack, ...]:
        """The faces between two moments, the most often seen first; forgets everything before `final` (None = `end`).

        People are numbered in the order in which they are first seen, however the clip is cut. A picture is seen until
        the next one: where it stands for long, its faces are taken again and again. What does not count leaves no
        trace: nothing is forgotten, and nobody who is new keeps a number.
        """
        options, numbers = self.tracker.options, self._numbers if counts else dict(self._numbers)
        there: dict[int, list[Crop]] = {}
        for person in sorted(self._crops.keys() | {p for stand in self._standing for p in stand.crops}):
            seen = [c for c in self._crops.get(person, ()) if self.tracker.counts(c)]
            within = [c for c in seen if start <= c.time < end or c.time == start == end]
            again = [c for stand in self._standing for c in stand.within(person, start, end, options.detect_interval)]
            begun = within or again or any(crop.time < end for crop in self._crops.get(person, ())[:1])
            if begun and (again or self.tracker.confirmed(person)):
                numbers.setdefault(person, len(numbers))
                there |= {person: within + again} if within or again else {}
        found = {person: self._mouth(person, start, end) for person in there}
        if counts:
            self.forget(end if final is None else final)
        most = number_of(end - start, options)
        return tuple(
            as_track(numbers[person], chosen(crops, most), sum(crop.seconds for crop in crops), found[person])
            for person, crops in sorted(there.items(), key=lambda pair: (-len(pair[1]), pair[0]))
        )

    def forget(self, before: float) -> None:
        """Drops the crops of what is final."""
        kept = {person: [crop for crop in crops if crop.time >= before] for person, crops in self._crops.items()}
        self._crops = {person: crops for person, crops in kept.items() if crops}
        self._standing = [stand for stand in self._standing if stand.until > before]
        moved = {person: [m for m in moments if m[0] >= before] for person, moments in self._mouths.items()}
        self._mouths = {person: moments for person, moments in moved.items() if moments}


@dataclass
class _Standing:
    """A picture that stays until the next one, with the last crops of whoever is in it."""

    time: float
    crops: dict[int, Crop]
    until: float = math.inf

    def within(self, person: int, start: float, end: float, step: float) -> list[Crop]:
        """The person's crop every `step` seconds of a stretch in which nothing but this picture is seen."""
        if person not in self.crops or min(self.until, end) - self.time <= _STANDS:
            return []
        first, last = max(start, self.time + step), min(end, self.until)
        return [replace(self.crops[person], time=float(time), seconds=step) for time in np.arange(first, last, step)]


def number_of(seconds: float, options: FaceOptions) -> int:
    """The most pictures that a segment of so many seconds has of one person."""
    return min(options.max_crops, max(2, math.ceil(seconds / options.crop_interval)))


def whole_picture(rgb: UInt8[np.ndarray, "h w 3"], time: float, options: FaceOptions) -> Crop:
    """All of a picture as if it were one crop."""
    height, width = rgb.shape[:2]
    return Crop(time, letterboxed(rgb, options.crop_size), np.array([0.0, 0.0, width, height]), 1.0)


def as_track(person: int, crops: Sequence[Crop], seconds: float = 0.0, mouth: np.ndarray | None = None) -> FaceTrack:
    """The crops of one person, who is in view for so many seconds, as arrays; `mouth`: see `FaceTrack`."""
    return FaceTrack(
        person=person,
        crops=np.stack([crop.picture for crop in crops]),
        times=np.array([crop.time for crop in crops], float),
        boxes=np.stack([crop.box for crop in crops]).astype(float),
        quality=np.array([crop.quality for crop in crops], float),
        seconds=seconds,
        mouth=mouth,
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
    options = options or FaceOptions()
    if options.view == "frames":
        return (as_track(NOBODY, [whole_picture(rgb, time, options)]),)
    detector = detector or default_detector()
    height, width = rgb.shape[:2]
    found = _found(rgb, detector, options)
    order = np.argsort(-found.boxes[:, 2])[: options.most_people] if len(found) else []
    boxes = [squared(found.boxes[i], options.margin) for i in order]
    frontal = [float(found.frontal[i]) for i in order]
    tilts = [found.tilt(i) if options.align else 0.0 for i in order]
    tight = max(height, width) <= _TIGHT and max(height, width) <= 1.5 * min(height, width)
    whole = squared(np.array([0.0, 0.0, width, height]), 0.0)
    if tight and boxes and overlap(boxes[0], whole) >= _FILLED:
        boxes, frontal, tilts = [whole], frontal[:1], [0.0]
    trust = 1.0
    if tight and not boxes and _contrast(rgb) >= _CONTRAST:
        boxes, frontal, tilts, trust = [whole], [1.0], [0.0], 0.5
        if notes is not None:
            notes.append(WHOLE_PICTURE)
    tracks = []
    for person, (box, ahead, tilt) in enumerate(zip(boxes, frontal, tilts, strict=True)):
        picture = cut(rgb, box, options.crop_size, tilt)
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
    smallest = options.smallest if longest > _TIGHT else 0.25
    found = detector.detect(picture, smallest, effort="exhaustive").moved(scale, -border, -border)
    return believed(detector, rgb, found)
