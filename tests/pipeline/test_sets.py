"""Sets of emotions on an analysis: what is promised, what is abstained from, and where nothing can be said."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from emofuse.model.conformal import ConformalScores
from emofuse.pipeline.aggregate import aggregate
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.sets import with_sets
from emofuse.tasks import EMOTIONS
from emofuse.types import Prediction

SCORES = ConformalScores("lac", EMOTIONS, {"dev": tuple(i / 100 for i in range(99))})
"""At a coverage of 0.9, classes of a probability of 0.1 and more are in the set; at 0.7, of 0.3 and more."""


@pytest.fixture
def calibrated(analysis: Analysis) -> Analysis:
    """Two people are predicted from all three modalities; a face alone was never calibrated."""
    return replace(analysis, conformal={"text+speech+face": {"emotion": SCORES}})


def test_sets_hold_what_is_likely_enough(calibrated: Analysis):
    found = calibrated.at_coverage(0.9)
    assert found.coverage == 0.9
    assert [p.sets for p in found.segments] == [{"emotion": ("joy",)}, {"emotion": ("anger",)}, {}]
    assert any(note.startswith("no sets of emotions for face alone") for note in found.notes)
    assert calibrated.segments[0].sets == {}
    assert found.at_coverage(0.7).notes == found.notes


def test_a_set_that_is_too_wide_abstains(calibrated: Analysis, make_prediction):
    unsure = make_prediction(share=0.2, emotion="fear")
    found = replace(calibrated, segments=[unsure], overall=aggregate([unsure])).at_coverage(0.9)
    assert found.segments[0].sets == {"emotion": ()}
    assert found.overall.sets == {"emotion": ()}
    wide = replace(calibrated, segments=[unsure]).at_coverage(0.9, widest=7)
    assert wide.segments[0].sets["emotion"][0] == "fear"
    assert len(wide.segments[0].sets["emotion"]) == 7
    assert calibrated.at_coverage(0.9).overall.sets == {}


def test_a_model_without_scores_says_so(analysis: Analysis):
    found = analysis.at_coverage(0.9)
    assert all(p.sets == {} for p in found.segments)
    assert any("this model was not calibrated" in note for note in found.notes)
    for coverage in (0.0, 1.0, 90):
        with pytest.raises(ValueError, match="between 0 and 1"):
            analysis.at_coverage(coverage)


def test_sets_are_in_every_format(calibrated: Analysis):
    found = calibrated.at_coverage(0.9)
    shape = json.loads(found.to_text(".json"))
    assert shape["coverage"] == 0.9
    assert shape["segments"][0]["sets"] == {"emotion": ["joy"]}
    assert "sets" not in shape["segments"][2]
    assert "coverage" not in calibrated.to_dict()
    header, first, *_ = found.to_text(".csv").splitlines()
    assert dict(zip(header.split(","), first.split(","), strict=False))["source"] == '"a'
    assert "sets.emotion" in header
    assert "[person 0: joy]" in found.to_text(".srt")


def test_sets_that_rest_on_composed_samples_say_so_until_recordings_replace_them():
    shares = dict.fromkeys(EMOTIONS, 1 / 7)
    found = [Prediction(0, 1, None, frozenset({"text", "face"}), shares)]
    scores = {"composed face+text": (0.1, 0.5, 0.9)}
    composed = {"text+face": {"emotion": ConformalScores("lac", EMOTIONS, scores)}}
    _, (note,) = with_sets(found, composed, 0.5)
    assert (note.code, note.values) == ("sets_composed", {"subsets": "text+face"})
    recorded = {"text+face": {"emotion": ConformalScores("lac", EMOTIONS, {**scores, "mine": (0.2, 0.6)})}}
    assert with_sets(found, recorded, 0.5)[1] == []
