"""Face augmentation: camera, light, compression and loose boxes."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import UInt8

from emofuse.training.recipe.augmentation import FaceAugment

Image = UInt8[np.ndarray, "h w 3"]
Change = Callable[[Image], Image]


def augment_faces(
    crops: UInt8[np.ndarray, "frames h w 3"], options: FaceAugment, rng: np.random.Generator
) -> UInt8[np.ndarray, "frames h w 3"]:
    """The same changes in every frame of a track, as one camera would make them.

    One picture shown several times, which composed samples have, is mirrored or not as a whole, and otherwise changes
    from frame to frame as a face in a video does.
    """
    if len(crops) > 1 and (crops == crops[:1]).all():
        mirrored = FaceAugment(flip=float(rng.random() < options.flip))
        each = options.model_copy(update={"flip": 0.0})
        return np.concatenate([augment_faces(augment_faces(c[None], each, rng), mirrored, rng) for c in crops])
    changes = draw(crops.shape[1], crops.shape[2], options, rng)
    return np.stack([_all(crop, changes) for crop in crops])


def draw(height: int, width: int, options: FaceAugment, rng: np.random.Generator) -> list[Change]:
    """The changes of one sample, each at its chance; image size stays."""
    changes: list[Change] = []
    if rng.random() < options.flip:
        changes.append(lambda image: np.ascontiguousarray(image[:, ::-1]))
    warped, turned = rng.random() < options.crop, rng.random() < options.rotate
    if warped or turned:
        matrix = _placement(height, width, options, rng, warped, turned)
        changes.append(lambda image: cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101))
    if rng.random() < options.colour:
        changes.append(_colour(rng))
    if rng.random() < options.grey:
        changes.append(lambda image: cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))
    if rng.random() < options.blur:
        sigma = rng.uniform(0.3, 0.02 * min(height, width) + 0.3)
        changes.append(lambda image: cv2.GaussianBlur(image, (0, 0), sigma))
    if rng.random() < options.resolution:
        side = max(4, round(rng.uniform(*options.pixels)))
        changes.append(lambda image: _coarse(image, side))
    if rng.random() < options.jpeg:
        quality = round(rng.uniform(*options.quality))
        changes.append(lambda image: _jpeg(image, quality))
    if rng.random() < options.erase:
        changes.append(_eraser(height, width, rng))
    return changes


def _all(image: Image, changes: list[Change]) -> Image:
    for change in changes:
        image = change(image)
    return image


def _placement(
    height: int, width: int, options: FaceAugment, rng: np.random.Generator, warped: bool, turned: bool
) -> np.ndarray:
    """Rotation, zoom and shift as one affine map."""
    scale = rng.uniform(*options.scale) if warped else 1.0
    degrees = rng.uniform(*options.degrees) if turned else 0.0
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1 / scale)
    if warped:
        reach = 0.5 * abs(1 - scale) + 0.05
        matrix[:, 2] += rng.uniform(-reach, reach, 2) * (width, height)
    return matrix


def _colour(rng: np.random.Generator) -> Change:
    brightness, contrast, gamma = rng.uniform(-30, 30), rng.uniform(0.7, 1.3), np.exp(rng.uniform(-0.4, 0.4))
    tint = rng.uniform(0.9, 1.1, 3)
    ramp = np.arange(256)[:, None]
    curve = ((np.clip((ramp - 128) * contrast + 128 + brightness, 0, 255) / 255) ** gamma * 255 * tint).clip(0, 255)
    table = curve.astype(np.uint8)[:, None]
    return lambda image: cv2.LUT(image, table)


def _coarse(image: Image, side: int) -> Image:
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _jpeg(image: Image, quality: int) -> Image:
    _, code = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))[..., ::-1])


def _eraser(height: int, width: int, rng: np.random.Generator) -> Change:
    """A rectangle of noise over 2 to 20 % of the image (Zhong et al. 2020)."""
    area, ratio = rng.uniform(0.02, 0.2) * height * width, np.exp(rng.uniform(-1, 1))
    h, w = min(height, max(1, round(np.sqrt(area * ratio)))), min(width, max(1, round(np.sqrt(area / ratio))))
    top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
    patch = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)

    def erase(image: Image) -> Image:
        image = image.copy()
        image[top : top + h, left : left + w] = patch
        return image

    return erase
