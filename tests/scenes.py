"""Pictures of people laid on a smooth background."""

from __future__ import annotations

import numpy as np


def scene(*parts: tuple[np.ndarray, int, int], width: int = 960, height: int = 540) -> np.ndarray:
    """Pictures laid on a smooth background at x, y."""
    ramp = np.linspace(60, 160, width)[None, :, None] + np.linspace(0, 40, height)[:, None, None]
    picture = np.broadcast_to(ramp, (height, width, 3)).astype(np.uint8).copy()
    for part, x, y in parts:
        picture[y : y + part.shape[0], x : x + part.shape[1]] = part
    return picture


def bust(portrait: np.ndarray) -> np.ndarray:
    return portrait[0:260, 90:360]
