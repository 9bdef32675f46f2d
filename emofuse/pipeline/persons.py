"""Persons of a segment: the words and the voice belong to one of them, a face to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emofuse.types import SAMPLE_RATE, FaceTrack, Segment

SPEAKS = 0.03
"""Motion of a mouth, weighted by the sound, from which a face is taken for that of who is heard, where nothing but that
would do; it is 0.2 where somebody is seen to speak, and 0.00 to 0.02 for a face that keeps still."""
_MOMENTS = 3
"""Moments of a mouth from which its motion says something."""
_LEAST = 0.01
"""Motion that a mouth is taken to have at least, so that a size is never multiplied by nothing."""


def by_person(segment: Segment) -> Sequence[tuple[int | None, Segment]]:
    """(person, the segment as it is about them), the one who has the words and the voice first.

    That one is whoever is seen to speak: how much a mouth moves while there is sound, and with it, weighs beside how
    large a face is and for how long it is in view. Everyone else is predicted by the face alone. A segment without
    faces is about nobody in view (None).
    """
    tracks = _ranked(segment)
    if not tracks:
        return [(None, segment)]
    speaker, *others = tracks
    silent = replace(segment.without("text", "speech"), speaker=None)
    return [(speaker.person, replace(segment, faces=(speaker,)))] + [
        (track.person, replace(silent, faces=(track,))) for track in others
    ]


def speaker_only(segment: Segment) -> tuple[int | None, Segment]:
    """(person, the segment as it is about who speaks and nobody else): with a face only where it is seen to speak."""
    tracks = _ranked(segment)
    if not tracks or talk(tracks[0], segment) < SPEAKS:
        return None, segment.without("face")
    return tracks[0].person, replace(segment, faces=(tracks[0],))


def talk(track: FaceTrack, segment: Segment) -> float:
    """How much a mouth moves while there is sound, 0 where that is not known.

    The mean of its motion, weighted by the amplitude of the sound, times e to the correlation of the two; without
    sound, the mean.
    """
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


def _ranked(segment: Segment) -> list[FaceTrack]:
    """The faces in view, whoever speaks first, then whoever is in view most."""
    tracks = sorted((t for t in segment.faces if len(t.crops)), key=lambda t: (-_in_view(t), t.person))
    spoken = "text" in segment.present or "speech" in segment.present
    if len(tracks) < 2 or not spoken or any(t.mouth is None or len(t.mouth) < _MOMENTS for t in tracks[:2]):
        return tracks
    moved = {t.person: max(_LEAST, talk(t, segment)) ** 2 for t in tracks}
    speaker = max(tracks, key=lambda t: _in_view(t) * moved[t.person])
    return [speaker, *(t for t in tracks if t is not speaker)]


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
