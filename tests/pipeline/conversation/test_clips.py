"""Acts over a clip: a segment a turn, by speaker, with a note where they abstain."""

from __future__ import annotations

import json

import pytest

from emofuse.pipeline.conversation.acts import read_acts
from emofuse.pipeline.pipeline import Pipeline

CALL = """WEBVTT

00:00.600 --> 00:01.800
<v agent>Do you want to cancel?

00:02.000 --> 00:03.800
<v customer>Yes, I want to cancel it.

00:04.000 --> 00:06.000
<v agent>This is not great.
"""
ACTS = """
acts:
  - {name: out, do: hand over, speaker: customer, when: {words: [cancel]}, say: "{speaker} wants out"}
  - {name: angry, do: soothe, speaker: customer, when: {emotion: [anger]}}
"""


@pytest.fixture
def ruled(pipeline, tmp_path) -> Pipeline:
    (tmp_path / "acts.yaml").write_text(ACTS, "utf-8")
    found = Pipeline(pipeline.model, "tiny")
    found.acts = read_acts(tmp_path / "acts.yaml")
    return found


def test_what_follows_from_a_clip_is_in_its_analysis(ruled, pipeline, sample):
    found = ruled(sample, transcript=CALL)
    (fired,) = found.acts
    assert (fired.act, fired.do, fired.turn, fired.say) == ("out", "hand_over", 1, "customer wants out")
    assert fired.start == pytest.approx(2.0)
    shape = json.loads(found.to_text(".json"))
    assert shape["acts"][0]["because"] == {"words": ["cancel"]} and shape["acts"][0]["start"] == 2.0
    assert pipeline(sample, transcript=CALL).acts is None and "acts" not in pipeline(text="hello").to_dict()


def test_an_act_that_cannot_be_decided_is_noted(ruled, sample):
    notes = [n for n in ruled(sample, transcript=CALL).notes if getattr(n, "code", None) == "acts_abstained"]
    assert [(note.values["act"], note.values["turns"]) for note in notes] == [("angry", 1)]


def test_a_conversation_applies_the_pipelines_acts_once_a_turn(ruled):
    talk = ruled.conversation()
    turn = talk.say("cancel it", speaker="customer")
    assert [fired.act for fired in turn.acts] == ["out"]
    assert not any(getattr(note, "code", None) == "acts_abstained" for note in turn.notes)
    assert set(turn.abstained) == {"angry"}
