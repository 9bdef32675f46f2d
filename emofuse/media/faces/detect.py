"""Face detectors for one picture: OpenCV's bundled Haar cascades, or YuNet where its weights are at hand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import cv2
import numpy as np
from cv2.data import haarcascades
from jaxtyping import Float, UInt8

from emofuse.errors import MediaError
from emofuse.media.formats import existing_file

Effort = Literal["quick", "deep", "exhaustive"]
"""How hard to look: a frame among many, a frame after many without a face, a still."""
YUNET_REPOSITORY = "opencv/face_detection_yunet"
YUNET_FILE = "face_detection_yunet_2023mar.onnx"


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of one picture, framed as in FER2013: a square that the face fills from forehead to chin."""

    boxes: Float[np.ndarray, "faces 4"]
    """x, y, width, height in pixels of the picture."""
    scores: Float[np.ndarray, " faces"]
    """0 to 1: how sure the detector is."""
    frontal: Float[np.ndarray, " faces"]
    """0 (profile) to 1 (looks into the camera), as far as the detector can tell."""
    landmarks: Float[np.ndarray, "faces 5 2"] | None = None
    """Right eye, left eye, nose tip, right and left corner of the mouth; None where the detector finds none."""

    def __len__(self) -> int:
        return len(self.boxes)

    def moved(self, scale: float, x: float, y: float) -> Faces:
        """The same faces in the pixels of the picture that this one was cut from (at x, y) and scaled by `scale`."""
        corner = np.array([x, y])
        boxes = self.boxes / scale + np.array([x, y, 0.0, 0.0])
        return Faces(
            boxes, self.scores, self.frontal, None if self.landmarks is None else self.landmarks / scale + corner
        )


NO_FACES = Faces(np.zeros((0, 4)), np.zeros(0), np.zeros(0))


@runtime_checkable
class FaceDetector(Protocol):
    """Anything that finds faces; `colour` is whether it wants RGB, `longest` the side to shrink frames to."""

    colour: bool
    longest: int

    def detect(
        self, picture: np.ndarray, smallest: float = 0.07, largest: float = 1.0, effort: Effort = "quick"
    ) -> Faces:
        """The faces whose side is `smallest` to `largest` of the picture's longer side."""
        ...


class HaarDetector:
    """Viola and Jones's cascades (Viola and Jones 2001; Lienhart and Maydt 2002) as OpenCV ships them: no download.

    `quick` looks for upright frontal faces; `deep` looks once more in a larger picture and for profiles; `exhaustive`
    in finer steps and for heads tilted by 20 degrees. `scale` is the step between sizes, `neighbours` how many
    overlapping hits make a face.
    """

    colour = False

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
        found = self._look(self._frontal, grey, (smallest, largest), step, hits, 1.0)
        if len(found) or effort == "quick":
            return found
        if effort == "exhaustive":
            found = _merged([_tilted(self, grey, (smallest, largest), angle) for angle in (-20.0, 20.0)])
        return found if len(found) else self._profiles(grey, (smallest, largest))

    def _profiles(self, grey: np.ndarray, sizes: tuple[float, float]) -> Faces:
        """Faces from the side, to the left and to the right, in a picture of at most 320 pixels."""
        scale = min(1.0, 320 / max(grey.shape))
        if min(grey.shape) * scale < 1:
            return NO_FACES
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
        right = self._look(self._profile, small, sizes, self.scale, self.neighbours, 0.3)
        mirrored = self._look(
            self._profile, np.ascontiguousarray(small[:, ::-1]), sizes, self.scale, self.neighbours, 0.3
        )
        boxes = mirrored.boxes.copy()
        boxes[:, 0] = small.shape[1] - boxes[:, 0] - boxes[:, 2]
        return _merged([right, Faces(boxes, mirrored.scores, mirrored.frontal)]).moved(scale, 0, 0)

    def tilted(self, grey: np.ndarray, sizes: tuple[float, float]) -> Faces:
        """Frontal faces of a picture that was turned."""
        return self._look(self._frontal, grey, sizes, self.scale, self.neighbours + 2, 0.8)

    def _look(
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


def _merged(parts: list[Faces]) -> Faces:
    """The faces of several looks, the surer of two that overlap."""
    boxes = np.concatenate([part.boxes for part in parts])
    scores = np.concatenate([part.scores for part in parts])
    frontal = np.concatenate([part.frontal for part in parts])
    kept: list[int] = []
    for i in np.argsort(-scores):
        if all(overlap(boxes[i], boxes[j]) < 0.3 for j in kept):
            kept.append(int(i))
    return Faces(boxes[kept], scores[kept], frontal[kept])


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return float(width * height / (a[2] * a[3] + b[2] * b[3] - width * height))


class YuNetDetector:
    """YuNet (Wu, Peng and Yu 2023) through OpenCV: surer than the cascades on turned, tilted and half-hidden faces.

    `source` is the path of the weight file (face_detection_yunet_2023mar.onnx), or a hub id, from which it is fetched
    once. Raises MediaError when there is neither the file nor access to the hub.
    """

    colour = True

    def __init__(
        self, source: str | PathLike[str] = YUNET_REPOSITORY, longest: int = 320, threshold: float = 0.7
    ) -> None:
        self.longest, self.threshold = longest, threshold
        path = _yunet_file(source)
        try:
            self._network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), threshold)
            self.detect(np.zeros((64, 64, 3), np.uint8))
        except cv2.error as error:
            raise MediaError(
                f"{path} cannot be used as YuNet ({error.err or error}); give the file {YUNET_FILE} of the hub's "
                f"{YUNET_REPOSITORY}, or use HaarDetector(), which needs no file"
            ) from None

    def detect(
        self,
        picture: UInt8[np.ndarray, "h w 3"],
        smallest: float = 0.07,
        largest: float = 1.0,
        effort: Effort = "quick",
    ) -> Faces:
        """Squares about the face's centre, as in FER2013, with five landmarks."""
        if picture.ndim == 2:
            picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
        height, width = picture.shape[:2]
        self._network.setInputSize((width, height))
        _, rows = self._network.detect(np.ascontiguousarray(picture[..., ::-1]))
        return (
            NO_FACES if rows is None else from_yunet(rows, smallest * max(height, width), largest * max(height, width))
        )


def from_yunet(rows: Float[np.ndarray, "faces 15"], smallest: float, largest: float = np.inf) -> Faces:
    """YuNet's rows (box, five points, score) as faces framed like FER2013; others than `smallest` to `largest` go.

    Its box ends at the hairline and at the ears, so the square takes its height. How far the nose is off the middle
    of the eyes, against their distance, tells a turned head.
    """
    rows = np.asarray(rows, float)
    rows = rows[(rows[:, 2] >= smallest) & (rows[:, 2] <= largest)]
    points = rows[:, 4:14].reshape(-1, 5, 2)
    side = np.maximum(rows[:, 2], rows[:, 3])
    centre = rows[:, :2] + rows[:, 2:4] / 2
    boxes = np.column_stack([centre - side[:, None] / 2, side, side])
    eyes = np.linalg.norm(points[:, 1] - points[:, 0], axis=1)
    offset = np.abs(points[:, 2, 0] - points[:, :2, 0].mean(axis=1))
    frontal = np.clip(1 - 2 * offset / np.maximum(eyes, 1e-6), 0, 1) * np.clip(
        eyes / np.maximum(0.3 * side, 1e-6), 0, 1
    )
    return Faces(boxes, np.clip(rows[:, 14], 0, 1), frontal, points)


def _yunet_file(source: str | PathLike[str]) -> Path:
    path = Path(source).expanduser()
    if path.is_dir():
        path = path / YUNET_FILE
    if path.exists() or path.suffix == ".onnx":
        return existing_file(path)
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(str(source), YUNET_FILE))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise MediaError(
            f"YuNet's weights cannot be fetched from {str(source)!r} ({type(error).__name__}); give the path of "
            f"{YUNET_FILE}, or use HaarDetector(), which needs no file"
        ) from None
