"""Faces of one picture, and the contract of what finds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from emofuse.media.faces.crop import cut, squared

Effort = Literal["quick", "deep", "exhaustive"]
"""How hard to look: a frame among many, a frame that must not be missed, a still."""


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of one picture, framed as in FER2013: a square that the face fills from forehead to chin."""

    boxes: Float[np.ndarray, "faces 4"]
    """x, y, width, height in pixels of the picture."""
    scores: Float[np.ndarray, " faces"]
    """0 to 1: how sure the detector is."""
    frontal: Float[np.ndarray, " faces"]
    """0 (profile) to 1 (looks into the camera), as far as the detector can tell."""
    landmarks: Float[np.ndarray, "faces points 2"] | None = None
    """Right eye, left eye and nose tip come first; None where the detector finds none."""

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, kept: np.ndarray | Sequence[int]) -> Faces:
        """Those of a mask or a list of indices, in its order."""
        chosen = np.asarray(kept)
        chosen = chosen if chosen.dtype == bool else chosen.astype(int)
        points = None if self.landmarks is None else self.landmarks[chosen]
        return Faces(self.boxes[chosen], self.scores[chosen], self.frontal[chosen], points)

    def moved(self, scale: float, x: float, y: float) -> Faces:
        """The same faces in the pixels of the picture that this one was cut from (at x, y) and scaled by `scale`."""
        points = None if self.landmarks is None else self.landmarks / scale + np.array([x, y])
        return Faces(self.boxes / scale + np.array([x, y, 0.0, 0.0]), self.scores, self.frontal, points)

    def tilt(self, face: int) -> float:
        """Degrees by which the line through a face's eyes falls to the right; 0 without landmarks."""
        if self.landmarks is None:
            return 0.0
        across = self.landmarks[face, 1] - self.landmarks[face, 0]
        return float(np.degrees(np.arctan2(across[1], across[0])))


NO_FACES = Faces(np.zeros((0, 4)), np.zeros(0), np.zeros(0))


@runtime_checkable
class FaceDetector(Protocol):
    """Anything that finds faces; `colour` is whether it wants RGB, `longest` the side to shrink frames to.

    `sure` is the mean score that a new face must reach from afar and when looked at again from close by, where
    textures that look like a face from afar seldom do; 0 = faces are believed at first sight.
    What it says of a picture does not depend on those before it.
    """

    colour: bool
    longest: int
    sure: float

    def detect(
        self, picture: np.ndarray, smallest: float = 0.07, largest: float = 1.0, effort: Effort = "quick"
    ) -> Faces:
        """The faces whose side is `smallest` to `largest` of the picture's longer side."""
        ...


NEAR = 128
"""Side, in pixels, of the surroundings of a new face, twice as wide as the face, when looked at from close by."""


def looked_at(
    detector: FaceDetector, rgb: UInt8[np.ndarray, "h w 3"], box: Float[np.ndarray, "4"], side: int = NEAR
) -> Faces:
    """The face in the middle of a box, none or one, in pixels of `rgb`; it is looked for in twice the box at `side`."""
    square = np.round(squared(box, 0.5))
    piece = cut(rgb, square, side)
    found = detector.detect(piece if detector.colour else cv2.cvtColor(piece, cv2.COLOR_RGB2GRAY), 0.25, 0.95)
    if not len(found):
        return NO_FACES
    middle = np.linalg.norm(found.boxes[:, :2] + found.boxes[:, 2:] / 2 - side / 2, axis=1)
    return found[[int(np.argmin(middle))]].moved(side / square[2], square[0], square[1])


def believed(detector: FaceDetector, rgb: UInt8[np.ndarray, "h w 3"], found: Faces) -> Faces:
    """New faces of a picture, in pixels of it, as they are from close by, without those that are none there."""
    if detector.sure <= 0:
        return found
    close = [looked_at(detector, rgb, box) for box in found.boxes]
    pairs = zip(close, found.boxes, found.scores, strict=True)
    there = [
        face
        for face, box, score in pairs
        if len(face) and overlap(face.boxes[0], box) >= 0.3 and (face.scores[0] + score) / 2 >= detector.sure
    ]
    return merged(there)


def merged(parts: Sequence[Faces]) -> Faces:
    """The faces of several looks at the same picture, the surer of two that overlap."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return NO_FACES
    points = [part.landmarks for part in parts]
    together = Faces(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.frontal for part in parts]),
        np.concatenate([p for p in points if p is not None]) if all(p is not None for p in points) else None,
    )
    kept: list[int] = []
    for i in np.argsort(-together.scores, kind="stable"):
        if all(shared(together.boxes[i], together.boxes[j]) < 0.3 for j in kept):
            kept.append(int(i))
    return together[kept]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    common = _intersection(a, b)
    return common / float(a[2] * a[3] + b[2] * b[3] - common)


def shared(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union, or half the share of the smaller box within the larger: a face has no face in it."""
    return max(overlap(a, b), _intersection(a, b) / float(min(a[2] * a[3], b[2] * b[3])) / 2)


def _intersection(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return float(max(0.0, width) * max(0.0, height))
