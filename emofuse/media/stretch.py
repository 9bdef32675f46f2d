"""A stretch of a clip: the seconds from `start` to `end`, read as though they were a clip of their own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from emofuse.errors import MediaError
from emofuse.media.audio import AudioBlock
from emofuse.media.image import VideoFrame
from emofuse.media.transcript import Cue, Transcript, join, spread
from emofuse.types import SAMPLE_RATE, FaceTrack, Segment

SLACK = 0.25
"""Seconds by which `end` may pass the end of a clip: containers round their durations."""


@dataclass(frozen=True)
class Stretch:
    """Seconds of a file; `end` None = to its end."""

    start: float = 0.0
    end: float | None = None

    @property
    def length(self) -> float:
        """Seconds; infinity where the end is the file's."""
        return math.inf if self.end is None else self.end - self.start

    @property
    def samples(self) -> slice:
        """Of a waveform at SAMPLE_RATE."""
        return slice(round(self.start * SAMPLE_RATE), None if self.end is None else round(self.end * SAMPLE_RATE))

    def check(self, duration: float | None) -> None:
        """Raise MediaError where it does not lie within a clip of so many seconds (None = not known)."""
        if duration is None:
            return
        valid = f"give seconds within it, from 0 to {duration:.3f}"
        if self.start >= duration:
            raise MediaError(f"start is {self.start:g} s, and the clip ends at {duration:.3f} s: {valid}")
        if self.end is not None and self.end > duration + SLACK:
            raise MediaError(f"end is {self.end:g} s, and the clip ends at {duration:.3f} s: {valid}")

    def words(self, transcript: Transcript) -> Transcript:
        """The words within it, by its own clock; words without times are taken to be its own already."""
        if not transcript.timed:
            return transcript
        return replace(transcript, cues=tuple(cue for each in transcript.cues for cue in self._within(each)))

    def _within(self, cue: Cue) -> Iterator[Cue]:
        """What of a cue is within, word by word where an edge cuts it: a word belongs where its middle is."""
        assert cue.start is not None and cue.end is not None
        last = math.inf if self.end is None else self.end
        if not (self.start <= cue.start and cue.end <= last):
            words = [w for w in spread(cue.text, cue.start, cue.end) if self.start <= (w.start + w.end) / 2 < last]
            if not words:
                return
            begin, end = max(words[0].start, self.start), min(words[-1].end, last)
            cue = replace(cue, text=join(words), start=begin, end=end)
        assert cue.start is not None and cue.end is not None
        yield replace(cue, start=cue.start - self.start, end=cue.end - self.start)

    def begun(self, item: AudioBlock | VideoFrame) -> AudioBlock | VideoFrame:
        """A block or a picture of the file, by the clock of the stretch."""
        if isinstance(item, AudioBlock):
            return replace(item, start=item.start - self.start) if self.start else item
        item.time -= self.start
        return item

    def placed(self, segments: Iterator[Segment]) -> Iterator[Segment]:
        """Segments by the clock of the stretch, by that of the file."""
        return (_later(segment, self.start) for segment in segments) if self.start else segments


WHOLE = Stretch()


def read_stretch(start: object, end: object) -> Stretch:
    """The stretch between two moments in seconds, None = the clip's own. Raises MediaError."""
    first, last = _seconds(start, "start"), _seconds(end, "end")
    if last is not None and last <= (first or 0.0):
        raise MediaError(f"end is {last:g} s, which is not after start ({first or 0.0:g} s); give a later end")
    return Stretch(first or 0.0, last)


def _seconds(value: object, name: str) -> float | None:
    if value is None:
        return None
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:  # type: ignore[arg-type, operator]
        raise MediaError(f"{name} is {value!r}; give a number of seconds of the clip, from 0 on: {name}=12.5")
    return float(value)  # type: ignore[arg-type]


def _later(segment: Segment, by: float) -> Segment:
    """A segment with all its times so many seconds later."""
    words = segment.words
    return replace(
        segment,
        start=segment.start + by,
        end=segment.end + by,
        words=None if words is None else tuple(replace(w, start=w.start + by, end=w.end + by) for w in words),
        faces=tuple(_track_later(track, by) for track in segment.faces),
    )


def _track_later(track: FaceTrack, by: float) -> FaceTrack:
    mouth = None if track.mouth is None else track.mouth + np.array([by, 0.0])
    return replace(track, times=track.times + by, mouth=mouth)
