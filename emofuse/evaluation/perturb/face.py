"""Face perturbations: blur, darkness, occlusion, low resolution, compression. Crops are uint8 [h, w, 3] RGB."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8

Crop = UInt8[np.ndarray, "h w 3"]
READ_NOISE = 4.0
"""Standard deviation of the sensor's noise, in levels of 255, which low light does not lower."""


def blur(crop: Crop, sigma: float, rng: np.random.Generator) -> Crop:
    """Gaussian blur; `sigma` in hundredths of the crop's side."""
    return cv2.GaussianBlur(crop, (0, 0), max(sigma / 100 * crop.shape[0], 1e-3), borderType=cv2.BORDER_REPLICATE)


def darkness(crop: Crop, light: float, rng: np.random.Generator) -> Crop:
    """This share of the light, with a sensor's noise, stored in 8 bits."""
    dim = crop.astype(np.float32) * light + rng.normal(0, READ_NOISE, crop.shape)
    return np.clip(np.round(dim), 0, 255).astype(np.uint8)


def occlusion(crop: Crop, share: float, rng: np.random.Generator) -> Crop:
    """A grey square over this share of the crop, anywhere in it."""
    height, width = crop.shape[:2]
    side = round(np.sqrt(share * height * width))
    top, left = rng.integers(0, max(height - side, 0) + 1), rng.integers(0, max(width - side, 0) + 1)
    covered = crop.copy()
    covered[top : top + side, left : left + side] = 128
    return covered


def low_resolution(crop: Crop, pixels: float, rng: np.random.Generator) -> Crop:
    """As if the face had been only this many pixels wide."""
    side = max(1, round(pixels))
    if side >= crop.shape[1]:
        return crop
    small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def jpeg(crop: Crop, quality: float, rng: np.random.Generator) -> Crop:
    """Through JPEG and back, at a quality from 1 to 100."""
    done, data = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, round(quality)])
    back = cv2.imdecode(data, cv2.IMREAD_COLOR) if done else None
    if back is None:
        raise ValueError(f"an array {crop.shape} of {crop.dtype} is no RGB picture; give uint8 [h, w, 3]")
    return np.ascontiguousarray(back[..., ::-1])
