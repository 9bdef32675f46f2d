"""BlazeFace (Bazarevsky et al. 2019): MediaPipe's face detector for back cameras, run by ONNX Runtime.

The network is convolutional throughout, so that it is run on pictures of any size, not only on the squares of 256
pixels it was trained for: a picture of 256 x 144 costs 56 % of one, the surroundings of a known face a quarter.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from emofuse.files import bundled
from emofuse.media.faces.detect import Effort, Faces, merged

GRAPH = "blazeface/face_detection_back.onnx"
ANCHORS = ((16, 2), (32, 6))
"""Pixels a cell spans, and anchors in it: strides 16, 32, 32, 32 with two anchors of fixed size each, as in MediaPipe's
`face_detection_back` graph (SsdAnchorsCalculatorOptions); those of one stride lie together."""
_STEP = 32
"""Sides must be multiples of the largest stride."""
_ALIKE = 0.3
"""Intersection over union from which two boxes are of one face (the graph's min_suppression_threshold)."""
_COARSEST = 160
"""Longer side, in pixels, down to which a picture is halved when looking exhaustively: larger faces are found there."""
_REUSED = 256 * 256
"""Pixels up to which memory is kept from one picture to the next, which takes a quarter off the time of a look."""
_CENTRE, _SIDE = 0.2, 1.1
"""Of the square that frames a face as FER2013 does: how far its centre lies from eyes (0) towards mouth (1), and
its side in sides of the network's own box. Between what gives back FER+'s own pictures (0.27, 1.18) and what frames
heads in whole scenes as the cascades do (0.22, 1.02)."""


class BlazeFaceDetector:
    """BlazeFace with the weights that come with the package; one detector serves several threads.

    `threshold` is the least score of a face; `longest` the longer side of a quick look, in pixels. `deep` looks once
    more at half the size, where large faces are found, `exhaustive` at every half of it.
    """

    colour = True
    sure = 0.68

    def __init__(self, longest: int = 256, threshold: float = 0.5) -> None:
        self.longest, self.threshold = longest, threshold

    def detect(
        self,
        picture: UInt8[np.ndarray, "h w *c"],
        smallest: float = 0.07,
        largest: float = 1.0,
        effort: Effort = "quick",
    ) -> Faces:
        """Squares framed as in FER2013, with right eye, left eye, nose tip, middle of the mouth, right and left ear."""
        rgb = picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
        longest = max(rgb.shape[:2])
        found = [self._run(rgb)]
        scale, steps = 1.0, {"quick": 0, "deep": 1, "exhaustive": 8}[effort]
        while steps and longest * scale / 2 >= _COARSEST:
            scale, steps = scale / 2, steps - 1
            size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
            smaller = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
            found.append(self._run(smaller).moved(scale, 0, 0))
        faces = merged(found) if len(found) > 1 else found[0]
        fits = (faces.boxes[:, 2] >= smallest * longest) & (faces.boxes[:, 2] <= largest * longest)
        return faces[fits]

    def _run(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Faces:
        """The faces of a picture at its size."""
        scores, coordinates = self._raw(rgb)
        likely = scores >= self.threshold
        return framed(*blended(scores[likely], coordinates[likely]))

    def _raw(self, rgb: UInt8[np.ndarray, "h w 3"]) -> tuple[Float32[np.ndarray, " n"], Float32[np.ndarray, "n 8 2"]]:
        """Of each anchor the score, and in pixels the centre, width and height, and the six key points."""
        height, width = (-(-side // _STEP) * _STEP for side in rgb.shape[:2])
        padded = np.zeros((height, width, 3), np.uint8)
        padded[: rgb.shape[0], : rgb.shape[1]] = rgb
        image = cv2.dnn.blobFromImage(padded, 1 / 127.5, mean=(127.5, 127.5, 127.5))
        network = _network(reuse=height * width <= _REUSED)
        logits, offsets = network.run(["classificators", "regressors"], {"image": image})
        centres = anchors(height, width)
        coordinates = offsets.reshape(-1, 8, 2) + centres[:, None]
        coordinates[:, 1] -= centres
        return 1 / (1 + np.exp(-np.clip(logits.ravel(), -80, 80))), coordinates


@lru_cache(maxsize=64)
def anchors(height: int, width: int) -> Float32[np.ndarray, "anchors 2"]:
    """Centres x, y in pixels of the anchors of a picture, in the order of the network's outputs."""
    found = []
    for stride, each in ANCHORS:
        y, x = np.mgrid[: height // stride, : width // stride]
        cells = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) * stride
        found.append(np.repeat(cells, each, axis=0))
    return np.concatenate(found).astype(np.float32)


def blended(
    scores: Float32[np.ndarray, " n"], coordinates: Float32[np.ndarray, "n 8 2"]
) -> tuple[Float[np.ndarray, " faces"], Float[np.ndarray, "faces 8 2"]]:
    """One face for boxes that overlap: their mean weighted by score, at the best one's score.

    The paper's way (section 3.4) in place of suppression: it does not jump between anchors from frame to frame.
    """
    corners = np.concatenate([coordinates[:, 0] - coordinates[:, 1] / 2, coordinates[:, 0] + coordinates[:, 1] / 2], 1)
    left = np.argsort(-scores, kind="stable")
    best, faces = [], []
    while len(left):
        alike = _overlaps(corners[left[0]], corners[left]) >= _ALIKE
        alike[0] = True
        near, weights = left[alike], scores[left[alike]].astype(float)
        best.append(float(scores[left[0]]))
        faces.append((weights / weights.sum()) @ coordinates[near].reshape(len(near), -1))
        left = left[~alike]
    return np.array(best), np.array(faces).reshape(-1, 8, 2)


def _overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersections over unions of one box and many, given by two corners."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    common = np.prod(np.maximum(sides, 0), axis=1)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2]) - common
    return common / np.maximum(area, 1e-6)


def framed(scores: Float[np.ndarray, " faces"], coordinates: Float[np.ndarray, "faces 8 2"]) -> Faces:
    """The network's faces in squares like FER2013's, with how frontal they look.

    The nose leaves the middle of the eyes, along their line, as a head turns, and the eyes come closer to each other:
    FER+'s faces have 0.93 of the distance between eyes and mouth between their eyes in the median, 0.76 in the 5th
    percentile.
    """
    points = coordinates[:, 2:]
    eyes, mouth = points[:, :2].mean(axis=1), points[:, 3]
    centre, side = eyes + _CENTRE * (mouth - eyes), _SIDE * coordinates[:, 1, :1]
    across = points[:, 1] - points[:, 0]
    apart = np.maximum(np.linalg.norm(across, axis=1), 1e-6)
    offset = np.abs(((points[:, 2] - eyes) * across).sum(axis=1)) / apart**2
    narrow = apart / np.maximum(0.75 * np.linalg.norm(mouth - eyes, axis=1), 1e-6)
    frontal = np.clip(1 - 1.5 * offset, 0, 1) * np.clip(narrow, 0, 1)
    return Faces(np.hstack([centre - side / 2, side, side]).astype(float), scores, frontal, points.astype(float))


@lru_cache(maxsize=2)
def _network(reuse: bool) -> Any:
    """One session for all threads, each of which it works in: several clips are read at once, encoders compute beside.

    Where memory is not reused it goes back after each picture: stills are of any size.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = reuse
    return onnxruntime.InferenceSession(bundled(GRAPH).read_bytes(), options, providers=["CPUExecutionProvider"])
