"""Speakers: whose mouth moves with the sound, among the faces of a segment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emofuse.types import SAMPLE_RATE, FaceTrack, Segment

_MOMENTS = 3
"""Moments of a mouth from which its motion says something."""
_LEAST = 0.01
"""Motion that a mouth is taken to have at least, so that a size is never multiplied by nothing."""


def talk(track: FaceTrack, segment: Segment) -> float:
    """How much a mouth moves while there is sound, 0 where that is not known.

    The mean of its motion, weighted by the amplitude of the sound, times e to the correlation of the two; without
    sound, the mean. Of a track that holds it already, what it holds.
    """
    if track.talk is not None:
        return track.talk
    if track.mouth is None or len(track.mouth) < _MOMENTS:
        return 0.0
    times, motion = track.mouth.T
    loud = _amplitudes(segment, times)
    if loud is None:
        return float(motion.mean())
    together = 0.0
    if len(times) > 2 * _MOMENTS and motion.std() > 0 and loud.std() > 0:
        together = float(np.corrcoef(motion, loud)[0, 1])
    return float(np.average(motion, weights=loud)) * float(np.exp(together))


def by_talk(segment: Segment) -> list[FaceTrack]:
    """The faces in view, whoever speaks first, then whoever is in view most."""
    tracks = sorted((t for t in segment.faces if len(t.crops)), key=lambda t: (-_in_view(t), t.person))
    spoken = "text" in segment.present or "speech" in segment.present or any(t.talk is not None for t in tracks)
    if len(tracks) < 2 or not spoken or not all(map(_watched, tracks[:2])):
        return tracks
    moved = {t.person: max(_LEAST, talk(t, segment)) ** 2 for t in tracks}
    speaker = max(tracks, key=lambda t: _in_view(t) * moved[t.person])
    return [speaker, *(t for t in tracks if t is not speaker)]


def with_talk(segment: Segment) -> Segment:
    """The segment, each of whose faces holds how much its mouth moves with the sound, where that was looked at."""
    faces = (replace(t, talk=talk(t, segment)) if _watched(t) else t for t in segment.faces)
    return replace(segment, faces=tuple(faces))


def _watched(track: FaceTrack) -> bool:
    return track.talk is not None or (track.mouth is not None and len(track.mouth) >= _MOMENTS)


def _amplitudes(segment: Segment, times: np.ndarray) -> np.ndarray | None:
    """Root mean square of the sound in the 0.2 s before each moment; None where there is no sound to go by."""
    if segment.waveform is None or not segment.waveform.size:
        return None
    ends = np.clip(np.round((times - segment.start) * SAMPLE_RATE).astype(int), 1, segment.waveform.size)
    begins = np.maximum(0, ends - SAMPLE_RATE // 5)
    loud = [float(np.sqrt(np.mean(np.square(segment.waveform[a:b])))) for a, b in zip(begins, ends, strict=True)]
    return np.array(loud) if max(loud) > 0 else None


def _in_view(track: FaceTrack) -> float:
    """Mean area of the face in pixels times the seconds it is in view; a single glimpse counts as a frame of video."""
    area = float(np.mean(track.boxes[:, 2] * track.boxes[:, 3]))
    return area * max(track.seconds or float(np.ptp(track.times)), 0.04)
