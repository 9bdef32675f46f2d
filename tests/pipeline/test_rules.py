"""Rules and a lexicon of one's own: what they change, and that everything says so."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from emofuse.encoders.word_table import read_csv
from emofuse.errors import DataError
from emofuse.media.transcript import spread
from emofuse.pipeline.aggregate import aggregate
from emofuse.pipeline.formats import as_row, from_row
from emofuse.pipeline.rules import Rules, parse_rules, read_rules
from emofuse.pipeline.wire import from_wire, to_wire
from emofuse.tasks import EMOTIONS
from emofuse.types import Prediction, Segment

FILE = """
rules:
  - {name: refund, when: {words: [refund, charge back], emotion: neutral}, then: {emotion: anger, by: 2}}
  - {name: Ann teases, when: {speaker: ann}, then: {emotion: anger, by: -1.5}}
lexicon: words.csv
"""
WORDS = "word,emotion,strength,valence\nslay,joy,1,1\nmeh,,,-0.5\n"


@pytest.fixture
def rules(tmp_path) -> Rules:
    (tmp_path / "words.csv").write_text(WORDS)
    (tmp_path / "rules.yaml").write_text(FILE)
    return read_rules(tmp_path / "rules.yaml")


def answer(**more) -> Prediction:
    emotions = dict(zip(EMOTIONS, (0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1), strict=True))
    polarity = {"negative": 0.2, "neutral": 0.5, "positive": 0.3}
    return Prediction(0.0, 1.0, None, frozenset({"text"}), emotions, polarity, sets={"emotion": ("joy",)}, **more)


def over(rules: Rules, text: str, **more) -> Prediction:
    return rules.over(answer(**more), Segment("a", 0.0, 1.0, spread(text, 0.0, 1.0)))


def odds(found: Prediction, emotion: str, against: str = "fear") -> float:
    """The change of the log-odds of an emotion against one that no rule speaks of."""
    before = answer().emotions
    now = np.log(found.emotions[emotion] / found.emotions[against])
    return float(now - np.log(before[emotion] / before[against]))


def test_a_rule_adds_its_log_odds_and_the_rest_keeps_its_proportions(rules):
    found = over(rules, "I want a REFUND!")
    assert found.rules == ("refund",) and odds(found, "anger") == pytest.approx(2)
    assert sum(found.emotions.values()) == pytest.approx(1)
    assert odds(found, "joy", "disgust") == pytest.approx(0)
    assert found.sets == {} and found.polarity == pytest.approx(answer().polarity)


def test_words_and_rules_add_up_and_are_named(rules):
    found = over(rules, "slay, charge back", speaker="ann")
    assert found.rules == ("refund", "Ann teases", "“slay”")
    assert odds(found, "anger") == pytest.approx(0.5) and odds(found, "joy") == pytest.approx(1)
    assert found.polarity["positive"] / found.polarity["negative"] == pytest.approx(1.5 * np.exp(2))
    assert over(rules, "meh").rules == ("“meh”",) and over(rules, "meh").emotions == pytest.approx(answer().emotions)


def test_what_no_rule_speaks_of_is_the_model_s_to_the_bit(rules):
    said = answer()
    segment = Segment("a", 0.0, 1.0, spread("slaying refunds", 0.0, 1.0))
    assert rules.over(said, segment) is said, "a word is whole"
    silent = replace(said, emotions=None)
    assert rules.over(silent, Segment("a", 0.0, 1.0, spread("slay", 0.0, 1.0))) is silent


def test_a_call_names_the_rules_in_its_prediction_its_notes_and_its_files(tiny_pipeline, rules):
    pipeline = tiny_pipeline()
    plain = pipeline(text="this is great. slay")
    pipeline.rules = rules
    found = pipeline(text="this is great. slay")
    ruled = [p for p in found if p.rules]
    assert [p.rules for p in ruled] == [("“slay”",)]
    assert any(n.code == "rules" and n.values == {"segments": 1, "names": "“slay”"} for n in found.notes)
    assert json.loads(found.to_text(".json"))["segments"][-1]["rules"] == ["“slay”"]
    assert from_row(as_row(None, ruled[0], "slay")).rules == ("“slay”",)
    assert from_wire(to_wire(found)).segments[-1].rules == ("“slay”",)
    before = plain.segments[-1].emotions
    assert found.segments[-1].emotions["joy"] > before["joy"]
    several = pipeline.predict_many([{"text": "this is great. slay"}, {"text": "sad"}], progress=False)
    assert several[0].segments[-1].emotions == pytest.approx(found.segments[-1].emotions, abs=1e-6)
    assert not several[1].segments[0].rules
    streamed = list(pipeline.stream(None, text="this is great. slay"))
    assert streamed[-1].rules == ("“slay”",)
    assert "sets_missing" not in {n.code for n in found.at_coverage(0.9).notes}


def test_rules_are_one_text_that_reads_back_equal(rules):
    again = parse_rules(rules.to_text())
    assert again == rules and len(again.rules) == len(again.lexicon) == 2
    strange = Rules(lexicon=read_csv('word,emotion\n"a, ""b"" \U0001f600\x85",joy\n', "w"))
    assert parse_rules(strange.to_text()) == strange


def test_words_of_a_script_without_spaces_are_found_within_it():
    chinese = parse_rules("lexicon: [{word: 退款, emotion: anger}, {word: is, emotion: joy}]")
    assert over(chinese, "我要退款！").rules == ("“退款”",)
    assert not over(chinese, "我要退了款。 this").rules


def test_what_several_changed_segments_say_together_has_no_set_either(rules):
    one, other = over(rules, "slay"), over(rules, "meh")
    assert aggregate([one, other, answer()]).rules == ("“slay”", "“meh”") and aggregate([answer()]).rules == ()


def test_an_explanation_says_that_rules_came_after_it(tiny_pipeline, rules):
    pipeline = tiny_pipeline()
    pipeline.rules = rules
    ((explanation, _, _),) = pipeline.explain(text="slay")
    assert explanation.rules == ("“slay”",) and "Rules of yours then changed" in explanation.sentence()
    assert explanation.to_dict()["rules"] == ["“slay”"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules: []", "has a list under 'rules'"),
        ("rule: []", "did you mean 'rules'"),
        ("rules: [{when: {words: a}, then: {emotion: joy}}]", "it has no name"),
        ("rules: [{name: a, then: {emotion: joy}}]", "would always hold"),
        ("rules: [{name: a, when: {words: x}, then: {emotion: joyy}}]", "did you mean 'joy'"),
        ("rules: [{name: a, when: {words: x, emotion: sad}, then: {emotion: joy}}]", "did you mean 'sadness'"),
        ("rules: [{name: a, when: {words: x}, then: {emotion: joy, by: 9}}]", "from -5 to 5"),
        ("rules: [{name: a, when: {words: [1]}, then: {emotion: joy}}]", "put quotes"),
        ("rules: [&a {name: a, when: {words: x}, then: {emotion: joy}}, *a]", "aliases"),
        ("rules:" + 2 * "\n- {name: a, when: {words: x}, then: {emotion: joy}}", "two rules are called 'a'"),
        ("lexicon: [{word: x, emotion: joy}, {word: y, valance: 1}]", "lexicon, row 2: there is no key 'valance'"),
        ("lexicon: [{word: x}]", "lexicon, row 1: give a word"),
        ("rules: 2020-13-45", "this is not YAML"),
        ("rules: {a", "this is not YAML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, says):
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(DataError, match=says):
        read_rules(tmp_path / "rules.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("term,emotion\nx,joy\n", "its columns are term, emotion"),
        ("word,emotion\nx,\n", "row 2: give a word, and an emotion or a valence"),
        ("word,emotion\nx,joyous\n", "row 2: there is no emotion 'joyous'"),
        ("word,valence\nx,2\n", "row 2, valence: '2' is not a number from -1 to 1"),
        ("word,emotion,strength\nx,joy,strong\n", "row 2, strength"),
        ("word,emotion\nx,joy\ny,fear,more\n", "row 3: it has more cells than there are columns"),
        ('word,emotion\n"x"y,joy\n', "row 2: this is not CSV"),
        ("word,emotion\n" + "x,joy\n" * 50_001, "more than 50,000 rows"),
    ],
)
def test_what_is_wrong_in_a_lexicon_is_named(tmp_path, text, says):
    (tmp_path / "words.csv").write_text(text)
    with pytest.raises(DataError, match=says):
        read_rules(tmp_path / "words.csv")


def test_a_speaker_is_meant_however_the_name_is_written():
    (rule,) = parse_rules("rules: [{name: a, when: {speaker: ann}, then: {emotion: joy}}]").rules
    assert rule.holds(answer(speaker="Ann"), "") and not rule.holds(answer(speaker="Anna"), "")


@pytest.mark.parametrize("when", ["{words: []}", "{words: }", "{emotion: joy, speaker: []}"])
def test_an_empty_condition_is_refused_it_would_always_hold(when):
    with pytest.raises(DataError, match=r"rule 1 \(a\): (words|speaker) is empty and would always hold"):
        parse_rules(f"rules: [{{name: a, when: {when}, then: {{emotion: joy}}}}]")
