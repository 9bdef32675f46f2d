"""Mouth motion: how much the mouth of each face moves from picture to picture, against the rest of the face."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from jaxtyping import Float, Float32

from emofuse.media.faces.crop import cut
from emofuse.media.image import VideoFrame

_LONGEST = 640
"""Longest side, in pixels, of the grey picture that mouths are cut from."""
_SIDE, _SHIFT = 40, 4
"""Pixels of a cut part of a face, and how far the one before may have moved in it."""
_LATEST = 0.45
"""Seconds between two pictures from which on their difference says nothing of speech."""
_LEAST_CONTRAST = 8.0
"""Standard deviation of grey values that a part is evened out to at least as if it had."""


class MouthMotion:
    """Frames with the boxes of faces in, one number a face out; the parts of the last picture are kept.

    The number is the mean absolute difference of the lower third of the face from where it was in the picture before,
    less that of the eyes: both in grey values of even contrast, moved onto each other, so that neither a nod nor a
    light that flickers counts.
    """

    def __init__(self) -> None:
        self._before: dict[int, tuple[float, np.ndarray, np.ndarray]] = {}

    def push(self, frame: VideoFrame, boxes: Mapping[int, Float[np.ndarray, "4"]]) -> dict[int, float]:
        """Person → motion since the picture before; whoever was not there then, or too long ago, has none."""
        picture = frame.shrunk(_LONGEST) if boxes else np.zeros((1, 1), np.uint8)
        scale = picture.shape[1] / frame.width
        found, now = {}, {}
        for person, box in boxes.items():
            mouth, eyes = _part(picture, box * scale, 0.78), _part(picture, box * scale, 0.35)
            now[person] = (frame.time, mouth, eyes)
            before = self._before.get(person)
            if before is not None and 0 < frame.time - before[0] <= _LATEST:
                found[person] = max(0.0, _moved(before[1], mouth) - _moved(before[2], eyes))
        self._before = now
        return found


def _part(grey: np.ndarray, box: np.ndarray, height: float) -> Float32[np.ndarray, "side side"]:
    """Half the width of a face about its middle line, at a share of its height, in even contrast."""
    side = box[2] / 2
    square = np.array([box[0] + box[2] / 2 - side / 2, box[1] + height * box[3] - side / 2, side, side])
    part = cut(grey, square, _SIDE).astype(np.float32)
    part = cv2.GaussianBlur(part, (0, 0), 1.0)
    return (part - part.mean()) / max(float(part.std()), _LEAST_CONTRAST)


def _moved(before: np.ndarray, now: np.ndarray) -> float:
    """What is left of the difference once the inner part of one is laid where it fits best in the other."""
    inner = before[_SHIFT:-_SHIFT, _SHIFT:-_SHIFT]
    _, _, (dx, dy), _ = cv2.minMaxLoc(cv2.matchTemplate(now, inner, cv2.TM_SQDIFF))
    there = now[dy : dy + inner.shape[0], dx : dx + inner.shape[1]]
    return float(np.abs(there - inner).mean())
