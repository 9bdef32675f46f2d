"""Acts: read from a file, applied to turns, silent where the model abstains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from emofuse.errors import DataError
from emofuse.pipeline.conversation.acts import read_acts
from emofuse.pipeline.conversation.apply import Referee
from emofuse.pipeline.conversation.trajectory import slope

FILE = """
acts:
  - name: angry customer
    do: soothe
    speaker: customer
    when:
      emotion: [anger, disgust]
    say: "I hear that this makes you {emotion}, {speaker}."
  - name: wants out
    do: hand over
    when:
      words: [cancel, "speak to a human"]
      possible_emotion: [anger]
    say: "They said: {words}"
  - name: getting worse
    do: escalate
    when:
      trend:
        valence: {to: falling, over: 3, by: 0.4}
    turns: 2
    wait: 2
  - name: sudden
    do: ask
    when:
      change:
        valence: {below: -0.5}
      values:
        valence: {below: 0}
"""


@pytest.fixture
def acts_file(tmp_path: Path) -> Path:
    path = tmp_path / "acts.yaml"
    path.write_text(FILE, "utf-8")
    return path


@pytest.fixture
def turn(make_prediction):
    """A turn with a set of emotions."""

    def build(emotion: str = "anger", *sets: str, speaker: str = "customer", **fields):
        values = {"sets": {"emotion": sets or (emotion,)}, "speaker": speaker} | fields
        return make_prediction(0, 1, emotion, present=("text",), person=None, **values)

    return build


def by_act(firings) -> dict:
    return {firing.act: firing for firing in firings}


def test_an_act_fires_where_the_whole_set_is_within_its_classes(acts_file, turn):
    referee = Referee(read_acts(acts_file))
    (fired,) = referee.turn(turn("anger", "anger", "disgust"), "no")
    assert (fired.act, fired.do, fired.turn, fired.speaker) == ("angry customer", "soothe", 0, "customer")
    assert fired.say == "I hear that this makes you anger, customer."
    assert fired.because == {"emotion": ["anger", "disgust"]}
    assert referee.turn(turn("anger", "anger", "fear"), "no") == [], "fear is possible, too"
    assert referee.turn(turn("anger", speaker="agent"), "no") == [], "the act is about the customer"


def test_words_are_whole_and_go_with_what_is_possible(acts_file, turn):
    referee = Referee(read_acts(acts_file))
    fired = by_act(referee.turn(turn("fear", "fear", "anger"), "Let me SPEAK to a human, or I cancel!"))
    assert fired["wants out"].because["words"] == ["cancel", "speak to a human"]
    assert fired["wants out"].say == "They said: cancel, speak to a human" and fired["wants out"].do == "hand_over"
    assert by_act(referee.turn(turn("fear", "fear", "anger"), "I cancelled")) == {}
    assert by_act(referee.turn(turn("joy"), "cancel")) == {}, "anger is not possible"


@pytest.mark.parametrize(
    ("sets", "reason"),
    [({"emotion": ()}, "too many classes of emotion are possible"), ({}, "not calibrated for sets of emotion")],
)
def test_where_the_model_abstains_the_act_does(acts_file, turn, sets, reason):
    referee = Referee(read_acts(acts_file))
    assert referee.turn(turn("anger", sets=sets), "cancel") == []
    assert set(referee.abstained) == {"angry customer", "wants out"}
    assert reason in referee.abstained["angry customer"]
    referee.turn(turn("joy"), "fine")
    assert referee.abstained == {}


def test_a_trend_is_of_one_speaker_for_turns_in_a_row_and_then_waits(acts_file, turn):
    referee, fired = Referee(read_acts(acts_file)), []
    for i, valence in enumerate([0.9, 0.6, 0.3, 0.0, -0.3, -0.6, -0.9, -1.0]):
        fired += [f.turn for f in referee.turn(turn("joy", valence=valence), "") if f.act == "getting worse"]
        referee.turn(turn("joy", speaker="agent", valence=0.5), "")
        assert i >= 0
    assert fired == [6, 12], "held at the third and fourth turn; two turns of rest; then again"


def test_a_change_is_since_the_speakers_own_turn_before(acts_file, turn):
    referee = Referee(read_acts(acts_file))
    assert by_act(referee.turn(turn("joy", valence=0.5), "")) == {}
    assert by_act(referee.turn(turn("joy", valence=-0.4, speaker="agent"), "")) == {}
    fired = by_act(referee.turn(turn("joy", valence=-0.2), ""))
    assert fired["sudden"].because == {"valence": -0.2, "change.valence": pytest.approx(-0.7)}


def test_a_value_the_model_does_not_have_decides_nothing(acts_file, turn):
    referee = Referee(read_acts(acts_file))
    for _ in range(4):
        assert referee.turn(turn("joy", valence=None), "") == []
    assert "valence" in referee.abstained["sudden"] and "valence" in referee.abstained["getting worse"]


def test_a_turn_that_is_not_predicted_fires_nothing_and_counts(acts_file, turn):
    referee = Referee(read_acts(acts_file))
    assert referee.turn(None, "cancel") == []
    assert [f.turn for f in referee.turn(turn("anger"), "")] == [1]


def test_one_odd_turn_is_no_trend():
    assert slope([0.5, 0.5, -1.0, 0.5, 0.5]) == 0 and slope([1, 2, 3]) == 1 and slope([4]) == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("do: soothe", "do: sooth", r"act 1 \(angry customer\): do is 'sooth'; did you mean 'soothe'"),
        ("emotion: [anger, disgust]", "emotion: [angry]", "there is no emotion 'angry'; did you mean 'anger'"),
        ("emotion: [anger, disgust]", "{}", "it has no condition and would always fire"),
        ("    when:\n      emotion", "    wenn:\n      emotion", "there is no key 'wenn'; did you mean 'when'"),
        ("{emotion}", "{mood}", r"the blank \{mood\}"),
        ("{emotion}", "{emotion.__class__}", "the blank"),
        ("{speaker}.", "{speaker", "a text with blanks"),
        ("valence: {to: falling, over: 3, by: 0.4}", "valence: down", "a trend is rising or falling, not 'down'"),
        ("valence: {below: -0.5}", "valense: {below: -0.5}", "there is no measure 'valense'; did you mean 'valence'"),
        ("below: -0.5", "below: .nan", "is not a number"),
        ("turns: 2", "turns: 0", "is not a whole number from 1"),
        ("name: sudden", "name: wants out", "two acts are called 'wants out'"),
        ("acts:", "acts: [", "line .* this is not YAML"),
        ("acts:", "rules:", "a list under the one key 'acts'"),
        ("[cancel, ", "[yes, ", "put quotes around"),
        ('[cancel, "speak to a human"]', "[]", r"act 2 \(wants out\): words is empty and would always hold"),
        ("        valence: {to: falling, over: 3, by: 0.4}\n", "", "trend is empty and would always hold"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(acts_file, old, new, said):
    assert old in FILE
    acts_file.write_text(FILE.replace(old, new, 1), "utf-8")
    with pytest.raises(DataError, match=said):
        read_acts(acts_file)


def test_sets_of_other_tasks_do_not_decide(acts_file, turn):
    referee = Referee(read_acts(acts_file))
    found = replace(turn("anger"), sets={"polarity": ("negative",)})
    assert referee.turn(found, "") == [] and "angry customer" in referee.abstained


def test_a_speaker_is_one_however_the_name_is_written(acts_file, turn):
    referee = Referee(read_acts(acts_file))
    referee.turn(turn("joy", valence=0.5, speaker="Ann"), "")
    fired = by_act(referee.turn(turn("joy", valence=-0.2, speaker="ANN"), ""))
    assert fired["sudden"].because["change.valence"] == pytest.approx(-0.7)
