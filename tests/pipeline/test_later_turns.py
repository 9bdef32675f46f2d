"""Later turns: what comes after a segment reaches a model that learnt to read it, and a note says where none does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emofuse.media.transcript import spread
from emofuse.model.config import ModelConfig
from emofuse.model.model import EmotionModel
from emofuse.pipeline.later_turns import HELD, with_later_turns
from emofuse.pipeline.pipeline import Pipeline
from emofuse.pipeline.tables import notes_of
from emofuse.types import Segment

TALK = "ANN: I am so sad.\nBEN: Why?\nANN: My dog died.\nBEN: Oh no."


def said(*texts: str) -> list[Segment]:
    return [Segment(str(i), i, i + 1, spread(text, i, i + 1) or None, speaker="A") for i, text in enumerate(texts)]


def test_each_segment_carries_the_turns_after_it():
    found = list(with_later_turns(said("a b", "c", "", "d", "e"), 2))
    assert [s.id for s in found] == list("01234"), "order stays"
    assert [s.after for s in found] == [("A: c", "A: d"), ("A: d", "A: e"), (), ("A: e",), ()]
    assert [s.after for s in with_later_turns(said("a", "b"), 0)] == [(), ()]


def test_a_segment_waits_no_longer_than_it_has_to():
    """Without look-ahead they come at once; with it after as many turns, or behind a long silence after HELD."""
    taken: list[str] = []

    def counted(segments):
        for segment in segments:
            taken.append(segment.id)
            yield segment

    assert next(with_later_turns(counted(said("a", "b")), 0)).id == "0" and len(taken) == 1
    taken.clear()
    assert next(with_later_turns(counted(said("a", "b", "c", "d")), 2)).id == "0" and len(taken) == 3
    taken.clear()
    first = next(with_later_turns(counted(said("a", *100 * [""])), 2))
    assert first.after == () and len(taken) == HELD + 1


@pytest.fixture
def whole(tiny_config) -> Pipeline:
    """A model of random weights that reads two later turns."""
    values = tiny_config.model_dump()
    values["encoders"]["text"] |= {"layout": "dialogue", "future_turns": 2, "max_length": 96}
    return Pipeline(EmotionModel(ModelConfig.model_validate(values)), "whole")


def codes(analysis) -> set[str]:
    return {note.code for note in analysis.notes}


def test_a_dialogue_is_read_with_what_follows_as_the_model_learnt_it(whole):
    seen = [segment for _, segment in whole.run(text=TALK).segments()]
    assert seen[0].after == ("BEN: Why?", "ANN: My dog died.") and seen[-1].after == ()
    found = whole(text=TALK)
    assert "no_later_turns" not in codes(found)
    without = whole.model.answer([whole.model.prepare(replace(seen[0], after=()))])[0].tasks["emotion"][0]
    given = whole.model.answer([whole.model.prepare(seen[0])])[0].tasks["emotion"][0]
    assert list(found.segments[0].emotions.values()) == pytest.approx(given.tolist(), abs=1e-5)
    assert abs(given - without).max() > 1e-6
    only = whole(text=TALK, only="ann")
    assert list(only.segments[0].emotions.values()) == pytest.approx(given.tolist(), abs=1e-5), "of all who speak"
    several = whole.predict_many([{"text": TALK}, {"text": "ANN: I am so sad."}], progress=False)
    assert several[0].segments[0].emotions == pytest.approx(found.segments[0].emotions, abs=1e-5)
    assert "no_later_turns" not in codes(several[0]) and "no_later_turns" in codes(several[1])


def test_a_note_says_where_no_later_turns_are_known(whole, tiny_pipeline):
    assert "no_later_turns" in codes(whole(text="ANN: I am so sad.", context=["BEN: Why?"]))
    talk = whole.conversation()
    talk.say("I am so sad.", speaker="ANN")
    assert "no_later_turns" in {n.code for n in talk.say("My dog died.", speaker="ANN").notes}
    assert "no_later_turns" not in codes(tiny_pipeline()(text="ANN: I am so sad."))
    (note,) = notes_of(whole)
    assert note.code == "no_later_turns" and "2 later turns" in str(note), "a table is read row by row"
    assert not notes_of(tiny_pipeline())
    whole.options = replace(whole.options, context=0)
    assert not notes_of(whole)
    found = whole(text=TALK)
    assert "no_later_turns" not in codes(found), "who asks for no context has none"
    assert all(segment.after == () for _, segment in whole.run(text=TALK).segments())
