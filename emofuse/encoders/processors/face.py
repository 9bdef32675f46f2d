"""From the pictures of a segment, crops of faces or whole frames, to arrays at the network's size."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from emofuse.encoders.config import FaceConfig
from emofuse.encoders.processors.processor import Processor
from emofuse.encoders.processors.speaking import by_talk
from emofuse.types import FaceTrack, Segment


class FaceProcessor(Processor):
    """Segment → the crops of the person seen most, of who speaks, or of all, at the network's size."""

    def __init__(self, config: FaceConfig) -> None:
        self.config = config

    def __call__(self, segment: Segment) -> dict[str, np.ndarray] | None:
        """pixels uint8 [frames, 3, size, size]; times float32, mask bool [frames]."""
        tracks = [t for t in segment.faces if len(t.crops)]
        if not tracks:
            return None
        crops, seconds = self._chosen(segment, tracks)
        pixels = np.stack([self._fit(crop) for crop in crops]).transpose(0, 3, 1, 2)
        times = np.asarray(seconds, np.float32) - np.float32(segment.start)
        return {"pixels": np.ascontiguousarray(pixels), "times": times, "mask": np.ones(len(times), bool)}

    def _chosen(
        self, segment: Segment, tracks: Sequence[FaceTrack]
    ) -> tuple[Sequence[np.ndarray] | np.ndarray, Sequence[float] | np.ndarray]:
        """Pictures, and the seconds of the clip that they are of."""
        if self.config.whose == "all":
            return together(by_talk(segment), self.config.crops)
        speaks = self.config.whose == "speaker"
        track = by_talk(segment)[0] if speaks else max(tracks, key=lambda t: len(t.crops))
        return track.crops, track.times

    def _fit(self, crop: np.ndarray) -> np.ndarray:
        if self.config.grayscale:
            crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        size = self.config.image_size
        if crop.shape[:2] == (size, size):
            return crop
        shrinks = crop.shape[0] > size
        return cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def together(tracks: Sequence[FaceTrack], most: int) -> tuple[list[np.ndarray], list[float]]:
    """At most so many crops of several people, in order of time, and their seconds.

    Everybody has as many as the others, the first of `tracks` one more where they do not come out even, and who has
    fewer leaves the rest to the others. Those of one person are spread evenly over what there is of them.
    """
    kept: list[tuple[float, np.ndarray]] = []
    for track, number in zip(tracks, shares([len(t.crops) for t in tracks], most), strict=True):
        places = np.linspace(0, len(track.crops) - 1, number).round().astype(int) if number else ()
        kept += [(float(track.times[i]), track.crops[i]) for i in places]
    kept.sort(key=lambda pair: pair[0])
    return [crop for _, crop in kept], [time for time, _ in kept]


def shares(there: Sequence[int], most: int) -> list[int]:
    """How many of each are taken when `most` are taken in turns from those that still have some."""
    taken = [0] * len(there)
    for number in range(max(there, default=0)):
        for i, count in enumerate(there):
            if number < count and sum(taken) < most:
                taken[i] += 1
    return taken
