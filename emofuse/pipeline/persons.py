"""Persons of a segment: the words and the voice belong to one of them, a face to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from emofuse.encoders.processors.speaking import by_talk, talk
from emofuse.types import NOBODY, Segment

SPEAKS = 0.03
"""Motion of a mouth, weighted by the sound, from which a face is taken for that of who is heard, where nothing but that
would do; it is 0.2 where somebody is seen to speak, and 0.00 to 0.02 for a face that keeps still."""


def by_person(segment: Segment) -> Sequence[tuple[int | None, Segment]]:
    """(person, the segment as it is about them), the one who has the words and the voice first.

    That one is whoever is seen to speak: how much a mouth moves while there is sound, and with it, weighs beside how
    large a face is and for how long it is in view. Everyone else is predicted by the face alone. A segment without
    faces, or with whole pictures in their place, is about nobody in view (None).
    """
    tracks = by_talk(segment)
    if not tracks or tracks[0].person == NOBODY:
        return [(None, segment)]
    speaker, *others = tracks
    silent = replace(segment.without("text", "speech"), speaker=None)
    return [(speaker.person, replace(segment, faces=(speaker,)))] + [
        (track.person, replace(silent, faces=(track,))) for track in others
    ]


def speaker_only(segment: Segment) -> tuple[int | None, Segment]:
    """(person, the segment as it is about who speaks and nobody else): with a face only where it is seen to speak."""
    tracks = by_talk(segment)
    if not tracks or talk(tracks[0], segment) < SPEAKS:
        return None, segment.without("face")
    return tracks[0].person, replace(segment, faces=(tracks[0],))
