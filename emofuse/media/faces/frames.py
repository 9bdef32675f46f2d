"""Frame collector: whole pictures in place of faces, for models that look at the scene."""

from __future__ import annotations

import math
from dataclasses import replace

from emofuse.media.faces.collect import FaceCollector, as_track, number_of, whole_picture
from emofuse.media.faces.crop import Crop, chosen
from emofuse.media.faces.detect import FaceDetector
from emofuse.media.faces.track import FaceOptions
from emofuse.media.image import VideoFrame
from emofuse.types import NOBODY, FaceTrack


class FrameCollector:
    """Keeps the pictures of the last seconds until the segment they belong to is known; it finds no faces."""

    def __init__(self, options: FaceOptions) -> None:
        self.options = options
        self._kept: list[Crop] = []

    def push(self, frame: VideoFrame) -> None:
        """Keeps one more picture, at most one every `frame_interval`."""
        last = self._kept[-1].time if self._kept else -math.inf
        if frame.time - last >= self.options.frame_interval - 1e-6:
            self._kept.append(whole_picture(frame.rgb, frame.time, self.options))

    def tracks(
        self, start: float, end: float, final: float | None = None, counts: bool = True
    ) -> tuple[FaceTrack, ...]:
        """The pictures between two moments as the crops of nobody; forgets everything before `final` (None = `end`).

        Of what does not count nothing is forgotten.
        A picture is seen until the next one: where none begins in between, the one that stands there is taken.
        """
        within = [crop for crop in self._kept if start <= crop.time < end or crop.time == start == end]
        before = [replace(crop, time=start) for crop in self._kept if crop.time < start]
        if counts:
            self.forget(end if final is None else final)
        there = chosen(within, number_of(end - start, self.options)) or before[-1:]
        return (as_track(NOBODY, there, end - start),) if there else ()

    def forget(self, before: float) -> None:
        """Drops the pictures of what is final, but for the one that still stands."""
        gone = sum(crop.time < before for crop in self._kept)
        self._kept = self._kept[max(0, gone - 1) :]


def collector(detector: FaceDetector | None, options: FaceOptions) -> FaceCollector | FrameCollector:
    """What keeps the pictures of a clip, as the options have it."""
    return FrameCollector(options) if options.view == "frames" else FaceCollector(detector, options)
