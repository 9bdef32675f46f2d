"""Face crops: from a box to the picture that an encoder sees, and its quality."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

_STANDARD = 64
"""Side, in pixels, of the grey copy that sharpness and symmetry are measured on."""
_SHARP = 60.0
"""Laplacian variance, after contrast is evened out, of a face that is half-way sharp."""
_GREY = 128
"""Of a picture that says nothing."""
_FEATURES = 48
"""Side, in pixels, of the picture in which one face is told from another."""


@dataclass(eq=False)
class Sightings:
    """In how many looks the detector found a face, in one stretch of frames."""

    count: int = 1


@dataclass(frozen=True, eq=False)
class Crop:
    """One square picture of one face, with where and when it was taken."""

    time: float
    """Seconds of the clip."""
    picture: UInt8[np.ndarray, "side side 3"]
    box: Float[np.ndarray, "4"]
    """x, y, width, height in pixels of the upright frame; the square that was cut."""
    quality: float
    """0 to 1."""
    sightings: Sightings = field(default_factory=Sightings)
    """Of the face in the stretch that it was taken from."""
    seconds: float = 0.0
    """Until the next look."""


def squared(box: Float[np.ndarray, "4"], margin: float) -> Float[np.ndarray, "4"]:
    """The square about a box's centre, wider by `margin` of its side on each side."""
    side = max(box[2], box[3]) * (1 + 2 * margin)
    return np.array([box[0] + box[2] / 2 - side / 2, box[1] + box[3] / 2 - side / 2, side, side])


def cut(
    rgb: UInt8[np.ndarray, "h w 3"], square: Float[np.ndarray, "4"], size: int, tilt: float = 0.0
) -> UInt8[np.ndarray, "size size 3"]:
    """The square of a picture, scaled once to `size`; where it reaches beyond the picture, the edge is continued.

    A `tilt` in degrees turns the square about its centre: a line that falls to the right by it comes out level.
    """
    if abs(tilt) >= 1.0:
        return _turned(rgb, square, size, tilt)
    x, y, side = round(square[0]), round(square[1]), max(1, round(square[2]))
    height, width = rgb.shape[:2]
    left, top, right, bottom = max(0, x), max(0, y), min(width, x + side), min(height, y + side)
    if right <= left or bottom <= top:
        left, top = min(max(0, left), width - 1), min(max(0, top), height - 1)
        right, bottom = left + 1, top + 1
    piece = rgb[top:bottom, left:right]
    borders = (max(0, top - y), max(0, y + side - bottom), max(0, left - x), max(0, x + side - right))
    if any(borders):
        piece = cv2.copyMakeBorder(piece, *borders, borderType=cv2.BORDER_REPLICATE)
    shrinking = piece.shape[0] >= size
    return cv2.resize(piece, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC)


def letterboxed(rgb: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "size size 3"]:
    """A whole picture in a square, its shape kept, grey above and below or at the sides."""
    height, width = rgb.shape[:2]
    scale = size / max(height, width)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    square = np.full((size, size, 3), _GREY, np.uint8)
    left, top = (size - inner[0]) // 2, (size - inner[1]) // 2
    shrinking = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    square[top : top + inner[1], left : left + inner[0]] = cv2.resize(rgb, inner, interpolation=shrinking)
    return square


def _turned(rgb: np.ndarray, square: np.ndarray, size: int, tilt: float) -> np.ndarray:
    """The square turned by `tilt`: cut upright with room at its corners, at the size wanted, then turned."""
    room = (np.sqrt(2) - 1) / 2
    wide = cut(rgb, squared(square, room), round(size * np.sqrt(2)))
    middle = (wide.shape[0] - 1) / 2
    turn = cv2.getRotationMatrix2D((middle, middle), tilt, 1.0)
    turn[:, 2] += (size - 1) / 2 - middle
    return cv2.warpAffine(wide, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def quality(crop: UInt8[np.ndarray, "side side 3"], side: float, frontal: float, size: int) -> float:
    """0 to 1: the geometric mean of size, sharpness and frontality; `side` is the face's in the frame, in pixels.

    Size is full from `size` pixels on; sharpness is the variance of the Laplacian (Pech-Pacheco et al. 2000) of the
    crop with its contrast evened out; frontality is the detector's, weighted with how alike the two halves are.
    """
    small = cv2.resize(crop, (_STANDARD, _STANDARD), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    even = (grey - grey.mean()) * np.float32(40.0 / max(float(grey.std()), 4.0))
    laplacian = float(cv2.Laplacian(even, cv2.CV_32F).var())
    sharpness = laplacian / (laplacian + _SHARP)
    blurred = cv2.GaussianBlur(even, (0, 0), 2.0)
    likeness = float((blurred * blurred[:, ::-1]).sum() / max(float((blurred * blurred).sum()), 1e-6))
    frontality = frontal * (0.5 + 0.5 * max(0.0, likeness))
    return float(np.clip((min(1.0, side / size) * sharpness * frontality) ** (1 / 3), 0.0, 1.0))


def appearance(rgb: UInt8[np.ndarray, "h w 3"], box: Float[np.ndarray, "4"]) -> Float32[np.ndarray, " features"]:
    """What somebody looks like, face, hair and collar, so that they are known again after a cut: unit length.

    Colours of a 6 by 6 grid over twice the face's square, and a histogram of hue and saturation, each centred.
    """
    patch = cut(rgb, squared(box, 0.5), 48)
    lab = cv2.cvtColor(patch, cv2.COLOR_RGB2LAB)
    grid = cv2.resize(lab, (6, 6), interpolation=cv2.INTER_AREA).astype(np.float32)
    grid = (grid - np.array([grid[..., 0].mean(), 128, 128], np.float32)) * np.array([0.5, 1.5, 1.5], np.float32)
    hsv = cv2.cvtColor(patch, cv2.COLOR_RGB2HSV)
    histogram = cv2.calcHist([hsv], [0, 1], None, [8, 6], [0, 180, 0, 256]).ravel()
    histogram = np.sqrt(histogram / histogram.sum())
    features = [part.ravel() / max(float(np.linalg.norm(part)), 1e-6) for part in (grid, histogram - histogram.mean())]
    return (np.concatenate(features) / np.sqrt(2)).astype(np.float32)


def features(
    rgb: UInt8[np.ndarray, "h w 3"], box: Float[np.ndarray, "4"], eyes: Float[np.ndarray, "2 2"]
) -> Float32[np.ndarray, "side side"]:
    """A band-passed grey picture about the eyes of a face, level and at its scale: finer than light and hair."""
    across = eyes[1] - eyes[0]
    centre, side = eyes.mean(axis=0) + np.array([-across[1], across[0]]) * 0.35, 0.75 * box[2]
    tilt = float(np.degrees(np.arctan2(across[1], across[0])))
    patch = cut(rgb, np.array([*(centre - side / 2), side, side]), _FEATURES, tilt)
    grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.GaussianBlur(grey, (0, 0), 1.0) - cv2.GaussianBlur(grey, (0, 0), 4.0)


def resemblance(one: Float32[np.ndarray, "side side"], other: Float32[np.ndarray, "side side"]) -> float:
    """Correlation of two faces' `features`, the best within 3 pixels of 48.

    A moment apart it is above 0.89 for the face of one person who talks; of 70 faces moved, turned, blurred and dimmed
    it was above 0.68 for each; of two people's faces 91 % are below 0.55, 99 % below 0.65.
    """
    return float(cv2.matchTemplate(one, other[3:-3, 3:-3], cv2.TM_CCOEFF_NORMED).max())


def chosen(crops: list[Crop], most: int) -> list[Crop]:
    """The best crops, in order of time: the best of each of `most` equal stretches, then the best of what is left."""
    if len(crops) <= most:
        return sorted(crops, key=lambda crop: crop.time)
    times = np.array([crop.time for crop in crops])
    share = (times - times.min()) / max(float(np.ptp(times)), 1e-9)
    stretches = np.minimum((share * most).astype(int), most - 1)
    ranked = sorted(range(len(crops)), key=lambda i: -crops[i].quality)
    first = {stretch: next(i for i in ranked if stretches[i] == stretch) for stretch in set(stretches.tolist())}
    picked = set(first.values())
    for i in ranked:
        if len(picked) >= most:
            break
        picked.add(i)
    return sorted((crops[i] for i in picked), key=lambda crop: crop.time)
