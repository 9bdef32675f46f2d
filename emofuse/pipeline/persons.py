"""Persons of a segment: the words and the voice belong to one of them, a face to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emofuse.types import FaceTrack, Segment


def by_person(segment: Segment) -> Sequence[tuple[int | None, Segment]]:
    """(person, the segment as it is about them), the one who has the words and the voice first.

    That one is taken to be whoever is in view most: the largest face, for the longest time. Everyone else is predicted
    by the face alone. A segment without faces is about nobody in view (None).
    """
    tracks = sorted((t for t in segment.faces if len(t.crops)), key=lambda t: (-_in_view(t), t.person))
    if not tracks:
        return [(None, segment)]
    speaker, *others = tracks
    silent = segment.without("text", "speech")
    return [(speaker.person, replace(segment, faces=(speaker,)))] + [
        (track.person, replace(silent, faces=(track,))) for track in others
    ]


def _in_view(track: FaceTrack) -> float:
    """Mean area of the face in pixels times the seconds it is in view; a single glimpse counts as a frame of video."""
    area = float(np.mean(track.boxes[:, 2] * track.boxes[:, 3]))
    return area * max(track.seconds or float(np.ptp(track.times)), 0.04)
