"""A note is its English text, and keeps its code and values wherever a string goes."""

from __future__ import annotations

import copy
import json
import pickle
import re

import pytest

from emofuse.notes import ENGLISH, FORMER, Note, coded, decoded


def test_a_note_reads_as_english_and_keeps_its_code():
    note = Note("cues_after_end", count=3, end=6.62)
    assert note == "3 parts of the transcript begin after the clip's end (6.6 s) and were left out"
    for same in (note, copy.deepcopy(note), pickle.loads(pickle.dumps(note))):
        assert isinstance(same, Note) and same == note and (same.code, same.values) == (note.code, note.values)
    assert json.dumps(note) == json.dumps(str(note))


def test_json_carries_codes_and_texts_without_one():
    assert coded([Note("no_face"), "of somebody else"]) == [
        {"code": "no_face", "values": {}},
        {"code": None, "text": "of somebody else"},
    ]


def test_notes_are_read_back_as_they_were_stored():
    notes = (Note("cues_after_end", count=3, end=6.62), "of somebody else", Note("no_face"))
    again = decoded(json.loads(json.dumps(coded(notes))))
    assert again == notes and coded(again) == coded(notes)
    assert decoded([{"code": "of_a_later_version", "values": {}}]) == ("of_a_later_version",)


def test_codes_of_earlier_versions_are_read_as_those_of_today():
    assert set(FORMER.values()) <= set(ENGLISH) and not set(FORMER) & set(ENGLISH)
    (note,) = decoded([{"code": "untaught", "values": {"subsets": "speech"}}])
    assert isinstance(note, Note) and note.code == "not_trained"
    assert note == "this model has not learnt to tell emotions from speech alone: none are given for it"
    assert Note("untaught_task", task="polarity", subset="face").code == "task_not_trained"
    assert Note("untaught_coalitions", subsets="face").code == "coalitions_not_trained"


def test_an_unknown_code_or_a_value_left_out_is_an_error():
    for code, values in (("no_nose", {}), ("cues_after_end", {"count": 3})):
        with pytest.raises(KeyError):
            Note(code, **values)


def test_every_code_is_made_somewhere_and_every_code_made_is_known(repository):
    sources = [path.read_text(encoding="utf-8") for path in (repository / "emofuse").rglob("*.py")]
    made = {code for text in sources for code in re.findall(r'\bNote\("([a-z_]+)"', text)}
    assert made <= set(ENGLISH)
    outside = [text for text in sources if "ENGLISH = {" not in text]
    assert {code for code in ENGLISH if not any(f'"{code}"' in text for text in outside)} == set()
