"""From the crops of a person to pictures at the network's size."""

from __future__ import annotations

import cv2
import numpy as np

from emofuse.encoders.config import FaceConfig
from emofuse.encoders.processors.processor import Processor
from emofuse.types import Segment


class FaceProcessor(Processor):
    """Segment → the crops of the person seen most, at the network's size."""

    def __init__(self, config: FaceConfig) -> None:
        self.config = config

    def __call__(self, segment: Segment) -> dict[str, np.ndarray] | None:
        """pixels uint8 [frames, 3, size, size]; times float32, mask bool [frames]."""
        tracks = [t for t in segment.faces if len(t.crops)]
        if not tracks:
            return None
        track = max(tracks, key=lambda t: len(t.crops))
        pixels = np.stack([self._fit(crop) for crop in track.crops]).transpose(0, 3, 1, 2)
        times = np.asarray(track.times, np.float32) - np.float32(segment.start)
        return {"pixels": np.ascontiguousarray(pixels), "times": times, "mask": np.ones(len(times), bool)}

    def _fit(self, crop: np.ndarray) -> np.ndarray:
        if self.config.grayscale:
            crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        size = self.config.image_size
        if crop.shape[:2] == (size, size):
            return crop
        shrinks = crop.shape[0] > size
        return cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
