"""The words and the voice belong to one person; everyone else is predicted from the face only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emofuse.pipeline.persons import by_person
from emofuse.types import FaceTrack


def track(person: int, size: float, times: list[float]) -> FaceTrack:
    crops = np.zeros((len(times), 8, 8, 3), np.uint8)
    boxes = np.tile(np.array([0.0, 0.0, size, size]), (len(times), 1))
    return FaceTrack(person, crops, np.array(times), boxes, np.ones(len(times)))


def test_without_a_face_the_segment_is_about_nobody(make_segment):
    segment = make_segment(1).without("face")
    assert by_person(segment) == [(None, segment)]


@pytest.mark.parametrize(
    "small_or_short",
    [track(0, 50, [1.0, 1.5, 2.0]), track(0, 100, [1.0]), track(0, 100, [1.0, 1.1])],
    ids=["smaller", "a glimpse", "shorter"],
)
def test_whoever_is_in_view_most_has_the_words_and_the_voice(make_segment, small_or_short):
    segment = replace(make_segment(1), faces=(small_or_short, track(7, 100, [1.0, 1.5, 2.0])))
    (speaker, whole), (other, alone) = by_person(segment)
    assert (speaker, other) == (7, 0)
    assert whole.present == {"text", "speech", "face"} and [t.person for t in whole.faces] == [7]
    assert whole.context == segment.context
    assert alone.present == {"face"} and [t.person for t in alone.faces] == [0] and alone.context == ()


def test_a_track_without_crops_is_nobody(make_segment):
    segment = replace(make_segment(1), faces=(track(3, 10, []),))
    assert [person for person, _ in by_person(segment)] == [None]


def test_the_crops_that_were_chosen_do_not_decide_who_speaks(make_segment):
    """Two people in view all the time: the larger face has the voice, however far apart its best pictures are."""
    larger = replace(track(4, 100, [1.4, 1.5]), seconds=3.0)
    smaller = replace(track(2, 80, [1.0, 3.9]), seconds=3.0)
    segment = replace(make_segment(1), faces=(smaller, larger))
    assert [person for person, _ in by_person(segment)] == [4, 2]
