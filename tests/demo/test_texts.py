"""Texts of the page in two languages: the same keys, blanks, notes and hints."""

from __future__ import annotations

import string

import numpy as np
import pytest

from emofuse.demo.texts import ASKS_FOR_WORDS, clock, hint, language_of, note_in, say, texts
from emofuse.demo.view import unlike
from emofuse.notes import ENGLISH, Note
from emofuse.tasks import EMOTIONS, POLARITIES
from emofuse.types import Prediction


def blanks(text: str) -> set[str]:
    """The {names} in a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_say_everything_with_the_same_blanks():
    english, chinese = texts()["en"], texts()["zh"]
    assert set(english) == set(chinese)
    assert all(english[key].strip() and chinese[key].strip() for key in english)
    assert {key: blanks(text) for key, text in english.items()} == {key: blanks(text) for key, text in chinese.items()}
    same = {key for key in english if english[key] == chinese[key]}
    assert same == {"title"}
    for names, kind in ((EMOTIONS, "emotion"), (POLARITIES, "polarity")):
        assert all(f"{kind}_{name}" in english for name in names)


def test_every_note_has_a_text_in_both_languages_with_the_same_blanks():
    chinese = texts()["zh_notes"]
    assert set(chinese) == set(ENGLISH)
    assert {code: blanks(text) for code, text in chinese.items()} == {code: blanks(t) for code, t in ENGLISH.items()}


@pytest.mark.slow
def test_the_notes_that_analyses_make_are_translated(pipeline, clip, samples):
    notes = [
        note
        for analysis in (
            pipeline(clip),
            pipeline(samples / "face.jpg"),
            pipeline(text="I am happy"),
            pipeline(audio=(16_000, np.zeros(32_000, np.float32))),
            pipeline(clip, text="I am happy. This is great"),
        )
        for note in analysis.notes
    ]
    assert len(set(notes)) >= 7 and all(isinstance(note, Note) for note in notes)
    assert [note for note in notes if note_in("zh", note) == note] == []
    assert all(note_in("en", note) == note for note in notes)
    assert note_in("zh", Note("not_read", modality="face")) == "有面孔，但该模型不读取它"
    assert note_in("zh", "of somebody else") == "of somebody else"


def test_languages_and_clocks():
    assert [language_of(x) for x in ("zh-CN", "ZH", "en-GB", "de", None)] == ["zh", "zh", "en", "en", "en"]
    assert [clock(x) for x in (0, 59.6, 61, 3661)] == ["0:00", "1:00", "1:01", "1:01:01"]
    assert say("en", "error_long_detail", came="9:00", valid="3:00").startswith("It lasts 9:00; up to 3:00 are")


def test_hints_are_of_notes_and_say_the_same_in_both_languages():
    english, chinese = texts()["en_hints"], texts()["zh_hints"]
    assert set(english) == set(chinese) <= set(ENGLISH) and set(ASKS_FOR_WORDS) <= set(english)
    for code, text in english.items():
        assert blanks(text) == blanks(chinese[code]) <= blanks(ENGLISH[code])


def test_hints_are_plain_words():
    cut = hint(Note("cut_off", announced=9.0, reached=3.2))
    assert cut and cut["en"] == "The file was cut off at 0:03." and not cut["asks"]
    assert hint(Note("no_transcript")) == {
        "code": "no_transcript", "asks": True, "en": "Add what was said for a better answer.",
        "zh": "补充所说的话，结果会更好。",
    }  # fmt: skip
    strange = Prediction(0, 1, None, frozenset(("speech",)), None, unfamiliar={"speech": "telephone band"})
    (told,) = unlike(strange)
    assert told["en"] == "The voice is unlike what the model learnt (telephone band): trust this answer less."
    assert "声音" in told["zh"] and "电话频带" in told["zh"]
    assert hint(Note("sets_uncalibrated")) is None and hint("of somebody else") is None
