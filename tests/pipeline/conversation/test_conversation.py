"""A conversation: each turn with the history the model learnt to read, what changed, and what follows."""

from __future__ import annotations

import json

import pytest

from emofuse.errors import MediaError


def test_a_turn_is_predicted_with_the_turns_before_it(pipeline):
    talk = pipeline.conversation(context=["agent: hello"])
    first = talk.say("i am so happy", speaker="customer")
    second = talk.say("this is not great", speaker="agent")
    third = talk.say("terrible", speaker="customer")
    assert first.context == ("agent: hello",)
    assert third.context == ("agent: hello", "customer: i am so happy", "agent: this is not great")
    alone = pipeline(text="terrible", context=third.context, speaker="customer").overall
    assert third.prediction.emotions == pytest.approx(alone.emotions)
    assert third.prediction.emotions != pytest.approx(pipeline(text="terrible").overall.emotions, abs=1e-6)
    assert third.prediction.speaker == "customer" and second.number == 1


def test_history_is_as_long_as_the_model_learnt(pipeline):
    talk = pipeline.conversation()
    for i in range(8):
        turn = talk.say(f"this is turn {i}", speaker="A")
    assert turn.context == tuple(f"A: this is turn {i}" for i in range(2, 7))


def test_a_turn_of_several_sentences_is_read_at_once(pipeline):
    talk = pipeline.conversation(context=["B: sad"])
    said = "I lost my keys again. Then my sister called. We laughed all evening!"
    turn = talk.say(said, speaker="A")
    assert turn.text == said
    again = pipeline(text=said, speaker="A", context=["B: sad"])
    assert again.whole and turn.prediction.emotions == pytest.approx(again.overall.emotions)


def test_what_stands_before_a_colon_in_a_turn_is_said(pipeline):
    assert pipeline.conversation().say("PROBLEM: this is not great", speaker="A").text == "PROBLEM: this is not great"


def test_change_is_since_the_speakers_turn_before(pipeline):
    talk = pipeline.conversation()
    first = talk.say("i am so happy", speaker="A")
    assert first.change is None and talk.say("sad", speaker="B").change is None
    later = talk.say("terrible", speaker="A")
    assert later.change.before == first.prediction.top[0] and later.change.now == later.prediction.top[0]
    joy = later.prediction.emotions["joy"] - first.prediction.emotions["joy"]
    assert later.change.by["joy"] == pytest.approx(joy)
    rows = talk.trajectory("A")
    assert [row["turn"] for row in rows] == [0, 2] and rows[1]["joy"] == pytest.approx(later.prediction.emotions["joy"])
    assert len(talk.trajectory()) == 3
    json.dumps(talk.to_dict(), allow_nan=False)


def test_who_is_not_among_those_asked_for_is_history_alone(pipeline):
    talk = pipeline.conversation(only="customer")
    agent = talk.say("this is great", speaker="agent")
    assert agent.prediction is None and agent.acts == () and agent.text == "this is great"
    nobody = talk.say("terrible")
    assert nobody.prediction is None
    customer = talk.say("not great", speaker="Customer")
    assert customer.prediction is not None and customer.context == ("agent: this is great", "terrible")


def test_a_turn_has_a_voice_and_a_face_too(pipeline, voice, face, sample, words):
    talk = pipeline.conversation()
    turn = talk.say("I can't believe it!", speaker="A", audio=voice, image=face)
    assert turn.prediction.present == {"text", "speech", "face"} and turn.text == "I can't believe it!"
    clip = talk.say(speaker="B", source=sample, transcript=words)
    assert clip.prediction.speaker == "B" and clip.text.startswith("I can't believe it!")


def test_acts_are_named_in_the_turn(pipeline, tmp_path):
    (tmp_path / "a.yaml").write_text(
        "acts:\n  - {name: out, do: hand over, when: {words: [cancel]}, say: 'Of course, {speaker}.'}", "utf-8"
    )
    talk = pipeline.conversation(acts=tmp_path / "a.yaml")
    (fired,) = talk.say("i cancel", speaker="Ann").acts
    assert fired.say == "Of course, Ann." and talk.say("fine", speaker="Ann").acts == ()
    assert talk.to_dict()["turns"][0]["acts"][0]["act"] == "out"


def test_a_turn_that_cannot_be_read_leaves_the_conversation_as_it_was(pipeline, tmp_path):
    talk = pipeline.conversation()
    talk.say("hello", speaker="A")
    for wrong in (
        {"source": tmp_path / "nowhere.wav"},
        {},
        {"text": "x", "context": ["y"]},
        {"text": "x", "speaker": ""},
    ):
        with pytest.raises(MediaError):
            talk.say(**wrong)
    assert len(talk.turns) == 1 and talk.say("again", speaker="A").context == ("A: hello",)


@pytest.mark.parametrize("coverage", [0, 1, 2])
def test_a_coverage_is_between_0_and_1(pipeline, coverage):
    with pytest.raises(MediaError, match="is not between 0 and 1"):
        pipeline.conversation(coverage=coverage)


@pytest.mark.slow
def test_a_customer_who_grows_angry_is_seen_by_the_model_that_ships(shipped, tmp_path):
    from emofuse.pipeline.pipeline import Pipeline

    (tmp_path / "a.yaml").write_text(
        "acts:\n  - {name: angry, do: soothe, speaker: customer, when: {possible_emotion: [anger, disgust]}}\n"
        "  - {name: down, do: escalate, speaker: customer, when: {trend: {negative: {to: rising, by: 0.3}}}}",
        "utf-8",
    )
    talk = Pipeline(shipped, "emofuse-small").conversation(acts=tmp_path / "a.yaml", only="customer", coverage=0.8)
    talk.say("How can I help you today?", speaker="agent")
    calm = talk.say("Hello! I love the new phone, thank you so much.", speaker="customer")
    talk.say("Wonderful. Anything else?", speaker="agent")
    talk.say("Well, the delivery was late.", speaker="customer")
    talk.say("I am sorry about that.", speaker="agent")
    angry = talk.say("I am furious! You lied to me and I hate how you treat people!", speaker="customer")
    assert calm.acts == () and calm.prediction.top[0] == "joy"
    assert {fired.act for fired in angry.acts} == {"angry", "down"}
    assert angry.change.by["joy"] < 0


def test_a_turn_tells_what_each_turn_before_it_did(pipeline):
    talk = pipeline.conversation(context=["B: sad"])
    talk.say("this is great", speaker="A")
    turn = talk.say("not happy", speaker="B", causes=True)
    emotion = turn.prediction.top[0]

    def share(context):
        return pipeline(text="not happy", speaker="B", context=context).overall.emotions[emotion]

    assert [cause.text for cause in turn.causes] == ["B: sad", "A: this is great"]
    assert turn.causes[0].effect == pytest.approx(share(turn.context) - share(["A: this is great"]), abs=1e-6)
    assert turn.causes[1].effect == pytest.approx(share(turn.context) - share(["B: sad"]), abs=1e-6)
    assert len(turn.to_dict()["causes"]) == 2 and "causes" not in talk.turns[0].to_dict()
    assert pipeline.conversation().say("sad", causes=True).causes == ()
