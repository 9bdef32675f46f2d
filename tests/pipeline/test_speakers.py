"""Who speaks: named in predictions, summaries and outputs; only whom one asks for is predicted."""

from __future__ import annotations

import json

import numpy as np
import pytest

from emofuse.errors import MediaError
from emofuse.pipeline.aggregate import aggregate, per_person, per_speaker

CALL = """WEBVTT

00:00.600 --> 00:01.800
<v Agent>How can I help?

00:02.000 --> 00:03.800
<v Customer>This is terrible, I am so sad.

00:04.000 --> 00:06.000
<v Agent>This is not great.
"""


@pytest.fixture(scope="module")
def call(pipeline, sample):
    return pipeline(sample, transcript=CALL)


def test_a_prediction_knows_whose_words_and_voice_it_is_about(call):
    assert [p.speaker for p in call.segments] == ["Agent", "Customer", "Agent"]
    assert {w.speaker for w in call.transcript} == {"Agent", "Customer"}
    assert call.words_of(call.segments[1]) == "This is terrible, I am so sad."


def test_each_speaker_and_person_has_a_summary_beside_the_whole(call):
    assert list(call.speakers) == ["Agent", "Customer"] and list(call.persons) == [0]
    agent = aggregate([p for p in call.segments if p.speaker == "Agent"])
    assert call.speakers["Agent"].emotions == pytest.approx(agent.emotions)
    assert call.speakers["Agent"].speaker == "Agent" and call.overall.speaker is None
    assert call.speakers["Customer"].emotions == pytest.approx(call.segments[1].emotions)
    shape = json.loads(call.to_text(".json"))
    assert shape["speakers"]["Customer"]["emotions"] == pytest.approx(call.segments[1].emotions)
    assert shape["persons"]["0"]["person"] == 0 and shape["segments"][0]["speaker"] == "Agent"
    assert shape["transcript"][0]["speaker"] == "Agent"
    assert [row["speaker"] for row in call.rows()] == ["Agent", "Customer", "Agent"]
    assert "[Customer: " in call.to_text(".srt")


def test_who_does_not_speak_has_no_speaker_and_is_in_no_summary(make_prediction):
    spoken, silent = make_prediction(speaker="ANN"), make_prediction(person=1, emotion="anger", present=("face",))
    assert list(per_speaker([spoken, silent])) == ["ANN"] and list(per_person([spoken, silent])) == [0, 1]
    assert per_speaker([spoken, silent])["ANN"].top[0] == "joy" and per_speaker([silent]) == {}


def test_words_of_two_who_speak_at_once_stay_apart(make_prediction, call):
    from dataclasses import replace

    words = tuple(replace(w, speaker="AB"[i % 2]) for i, w in enumerate(call.transcript))
    both = replace(call, transcript=words, segments=[make_prediction(0, 10, speaker=s) for s in "AB"])
    one, other = (both.words_of(p).split() for p in both.segments)
    assert len(one) + len(other) == len(words) and one[0] == words[0].text and other[0] == words[1].text


@pytest.mark.parametrize("only", ["customer", ["CUSTOMER", "nobody"]])
def test_nobody_but_those_asked_for_is_predicted(pipeline, sample, only):
    found = pipeline(sample, transcript=CALL, only=only)
    assert [p.speaker for p in found.segments] == ["Customer"] and list(found.speakers) == ["Customer"]
    assert found.overall.emotions == pytest.approx(found.segments[0].emotions)
    note = next(note for note in found.notes if getattr(note, "code", "") == "only")
    assert note.values["segments"] == 2
    assert "How can I help?" in " ".join(w.text for w in found.transcript), "what others say is context, not judged"


def test_of_nobody_known_nothing_is_predicted(pipeline, sample):
    found = pipeline(sample, transcript="This is not great.", only="customer")
    assert found.segments == [] and found.overall is None
    note = next(note for note in found.notes if getattr(note, "code", "") == "only_absent")
    assert note.values["speakers"] == "nobody who is known"


def test_what_others_said_is_context_of_who_is_predicted(pipeline, sample):
    ((_, segment),) = pipeline.run(sample, transcript=CALL, only="customer", context=["Agent: Hello."]).segments()
    assert segment.context == ("Agent: Hello.", "Agent: How can I help?")


def test_what_was_said_before_changes_the_answer_as_the_model_reads_it(pipeline):
    alone = pipeline(text="not great").overall
    after = pipeline(text="not great", context=["A: i am so happy", "B: this is terrible"]).overall
    assert alone.emotions != pytest.approx(after.emotions, abs=1e-6)
    assert pipeline(text="not great", context=[]).overall.emotions == pytest.approx(alone.emotions)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"only": []}, "give at least one name"),
        ({"only": ["a", "A"]}, "names 'a' twice"),
        ({"only": 3}, "only is a list of names"),
        ({"only": [" "]}, "give at least one name"),
        ({"context": "ANN: hello"}, "context is a list of the turns before"),
        ({"context": [("ANN", "hello")]}, "a turn of context is a string"),
        ({"context": np.array([1.0])}, "context is a list"),
    ],
)
def test_what_is_neither_names_nor_turns_is_refused(pipeline, inputs, said):
    with pytest.raises(MediaError, match=said):
        pipeline(text="not great", **inputs)
