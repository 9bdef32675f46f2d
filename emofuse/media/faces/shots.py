"""Shot cuts: where a film's picture changes as it only does from one shot to the next."""

from __future__ import annotations

import cv2
import numpy as np

from emofuse.media.image import VideoFrame

_LONGEST = 64
"""Longer side, in pixels, of the grey pictures that are compared."""


class ShotCuts:
    """Compares each picture with the one before it; only a thumbnail is kept."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self.now = False
        """Whether the last picture began a shot."""

    def push(self, frame: VideoFrame) -> bool:
        """Whether this picture is of another shot: much brighter or darker in most places, or clearly so with other
        greys (a correlation of histograms below 0.8)."""
        grey = frame.shrunk(_LONGEST)
        last, self._last = self._last, grey
        self.now = False
        if last is not None and last.shape == grey.shape:
            change = float(np.abs(grey.astype(np.int16) - last).mean())
            histograms = [cv2.calcHist([picture], [0], None, [32], [0, 256]) for picture in (grey, last)]
            alike = cv2.compareHist(*histograms, cv2.HISTCMP_CORREL)
            self.now = (change > 25 and alike < 0.8) or change > 45
        return self.now
