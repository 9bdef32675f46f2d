"""Haar cascades (Viola and Jones 2001): the face detector that OpenCV bundles."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from cv2.data import haarcascades
from jaxtyping import UInt8

from emofuse.media.faces.detect import NO_FACES, Effort, Faces, merged


class HaarDetector:
    """Viola and Jones's cascades (Viola and Jones 2001; Lienhart and Maydt 2002) as OpenCV ships them: no download.

    `quick` looks for upright frontal faces; `deep` looks once more in a larger picture and for profiles; `exhaustive`
    in finer steps and for heads tilted by 20 degrees. `scale` is the step between sizes, `neighbours` how many
    overlapping hits make a face.
    """

    colour = False
    sure = 0.0

    def __init__(self, longest: int = 320, scale: float = 1.1, neighbours: int = 3) -> None:
        self.longest, self.scale, self.neighbours = longest, scale, neighbours
        self._frontal = _cascade("haarcascade_frontalface_alt2.xml")

    @cached_property
    def _profile(self) -> cv2.CascadeClassifier:
        return _cascade("haarcascade_profileface.xml")

    def detect(
        self, picture: UInt8[np.ndarray, "h w"], smallest: float = 0.07, largest: float = 1.0, effort: Effort = "quick"
    ) -> Faces:
        """Upright squares; the cascade's own square frames a face as FER2013 does (its side is 0.99 to 1.05 of it)."""
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.ndim == 3 else picture
        step, hits = (1.05, 3 * self.neighbours) if effort == "exhaustive" else (self.scale, self.neighbours)
        found = self._scan(self._frontal, grey, (smallest, largest), step, hits, 1.0)
        if len(found) or effort == "quick":
            return found
        if effort == "exhaustive":
            found = merged([_tilted(self, grey, (smallest, largest), angle) for angle in (-20.0, 20.0)])
        return found if len(found) else self._profiles(grey, (smallest, largest))

    def _profiles(self, grey: np.ndarray, sizes: tuple[float, float]) -> Faces:
        """Faces from the side, to the left and to the right, in a picture of at most 320 pixels."""
        scale = min(1.0, 320 / max(grey.shape))
        if min(grey.shape) * scale < 1:
            return NO_FACES
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
        right = self._scan(self._profile, small, sizes, self.scale, self.neighbours, 0.3)
        mirrored = self._scan(
            self._profile, np.ascontiguousarray(small[:, ::-1]), sizes, self.scale, self.neighbours, 0.3
        )
        boxes = mirrored.boxes.copy()
        boxes[:, 0] = small.shape[1] - boxes[:, 0] - boxes[:, 2]
        return merged([right, Faces(boxes, mirrored.scores, mirrored.frontal)]).moved(scale, 0, 0)

    def tilted(self, grey: np.ndarray, sizes: tuple[float, float]) -> Faces:
        """Frontal faces of a picture that was turned."""
        return self._scan(self._frontal, grey, sizes, self.scale, self.neighbours + 2, 0.8)

    def _scan(
        self,
        cascade: cv2.CascadeClassifier,
        grey: np.ndarray,
        sizes: tuple[float, float],
        step: float,
        neighbours: int,
        frontal: float,
    ) -> Faces:
        least, most = (max(20, round(size * max(grey.shape))) for size in sizes)
        if min(grey.shape) < least:
            return NO_FACES
        boxes, hits = cascade.detectMultiScale2(grey, step, neighbours, 0, (least, least), (most, most))
        if not len(boxes):
            return NO_FACES
        scores = 1 - np.exp(-np.asarray(hits, float).ravel() / 8)
        return Faces(np.asarray(boxes, float), scores, np.full(len(boxes), frontal))


def _cascade(name: str) -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(haarcascades) / name))


def _tilted(detector: HaarDetector, grey: np.ndarray, sizes: tuple[float, float], angle: float) -> Faces:
    """Faces of heads that lean by `angle` degrees, their squares turned back about their centres."""
    height, width = grey.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    found = detector.tilted(cv2.warpAffine(grey, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), sizes)
    if not len(found):
        return found
    back = cv2.invertAffineTransform(turn)
    half = found.boxes[:, 2:] / 2
    centres = (found.boxes[:, :2] + half) @ back[:, :2].T + back[:, 2]
    return Faces(np.hstack([centres - half, 2 * half]), found.scores, found.frontal)
