"""The diarisation error rate, by hand."""

from __future__ import annotations

import math

import pytest

from emofuse.metrics.diarisation import diarisation_error

REFERENCE = [(0.0, 4.0, "ann"), (5.0, 9.0, "ben"), (8.0, 10.0, "ann")]
"""Ten seconds spoken, in one of which both speak."""


def test_other_names_are_no_error():
    found = [(0.0, 4.0, "1"), (5.0, 9.0, "0"), (8.0, 10.0, "1")]
    assert diarisation_error(REFERENCE, found) == dict.fromkeys(("der", "missed", "false_alarm", "confusion"), 0.0)


@pytest.mark.parametrize(
    ("found", "missed", "false_alarm", "confusion"),
    [
        ([], 1.0, 0.0, 0.0),
        ([(0.0, 4.0, "a"), (5.0, 8.0, "b"), (8.0, 10.0, "a")], 0.1, 0.0, 0.0),
        ([(0.0, 5.0, "a"), (5.0, 9.0, "b"), (8.0, 10.0, "a")], 0.0, 0.1, 0.0),
        ([(0.0, 3.0, "a"), (3.0, 4.0, "b"), (5.0, 9.0, "b"), (8.0, 10.0, "a")], 0.0, 0.0, 0.1),
        ([(0.0, 4.0, "a"), (5.0, 10.0, "a")], 0.1, 0.0, 0.3),
    ],
    ids=["nothing", "one at a time", "too long", "one second another's", "one voice"],
)
def test_each_part_is_counted_in_seconds_of_speech(found, missed, false_alarm, confusion):
    parts = diarisation_error(REFERENCE, found)
    expected = {"missed": missed, "false_alarm": false_alarm, "confusion": confusion}
    assert {name: parts[name] for name in expected} == pytest.approx(expected)
    assert parts["der"] == pytest.approx(missed + false_alarm + confusion)


def test_edges_within_the_collar_do_not_count():
    late = [(0.2, 4.2, "a"), (5.2, 9.0, "b"), (8.0, 10.0, "a")]
    assert diarisation_error(REFERENCE, late)["der"] > 0.05
    assert diarisation_error(REFERENCE, late, collar=0.25)["der"] == 0.0


def test_of_no_speech_there_is_no_rate():
    assert math.isnan(diarisation_error([], [(0.0, 1.0, "a")])["der"])
