"""Personal data in words is masked, whatever it is split into, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from emofuse.errors import MediaError
from emofuse.pipeline.pii import masked, masked_text
from emofuse.types import Word


def said(text: str, names: Any = ()) -> str:
    words = [Word(part, float(i), i + 1.0, "ann") for i, part in enumerate(text.split())]
    return " ".join(word.text for word in masked(words, names))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to ann.lee+x@mail.example.org, please.", "Write to [email], please."),
        ("Call +44 20 7946 0958 now", "Call [number] now"),
        ("Call (020) 7946-0958!", "Call [number]!"),
        ("my card is 4111 1111 1111 1111.", "my card is [number]."),
        ("to DE89 3704 0044 0532 0130 00 today", "to [iban] today"),
        ("see https://example.org/me?id=7 or www.example.org.", "see [address] or [address]."),
        ("from 192.168.0.12 today", "from [ip] today"),
        ("I paid 1,250.50 for 2 of 300 in 2026", "I paid 1,250.50 for 2 of 300 in 2026"),
        ("I am so happy!", "I am so happy!"),
        ("", ""),
    ],
)
def test_what_names_a_person_is_masked(text, expected):
    assert said(text) == expected


def test_names_are_masked_where_they_are_given():
    assert (
        said("Hello Ann Lee, says LEE. Leeway is fine.", ("Ann Lee", "lee"))
        == "Hello [name], says [name]. Leeway is fine."
    )
    assert said("Hello Ann") == "Hello Ann"


def test_a_string_is_one_name_and_gaps_are_gaps():
    assert said("Ann Lee has a dog", "Ann Lee") == said("Ann Lee has a dog", [" Ann\tLee"]) == "[name] has a dog"
    for wrong in (5, [5], None):
        with pytest.raises(MediaError, match=r"names are a list of what to mask, as in names=\['Ann Lee'\], not"):
            said("Ann", wrong)


def test_a_mask_keeps_the_seconds_and_the_speaker():
    words = [Word("at", 0, 1, "ann"), Word("020", 1, 2, "ann"), Word("7946", 2, 3, "ann"), Word("0958.", 3, 4, "ann")]
    assert masked(words)[1:] == (Word("[number].", 1, 4, "ann"),)


def test_an_analysis_is_masked_in_all_that_is_written(pipeline):
    found = pipeline(text="I am so sad, write to ann@example.org").masked()
    for ending in (".json", ".csv", ".srt", ".vtt"):
        assert "ann@example.org" not in found.to_text(ending) and "[email]" in found.to_text(ending)


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("Bob—Ann Lee met", ["Bob", "Ann Lee"], "[name]—[name] met"),
        ("a@b.de/+49 301 2345678 now", (), "[email]/[number] now"),
        ("Tel.0301234567 or Fax,0301234567", (), "Tel.[number] or Fax,[number]"),
        ("from 192.168.0.12 345 6789 on", (), "from [ip] [number] on"),
        ("at https://x.org/?m=ann@x.org.", (), "at [address]=[email]."),
        ("Bob—Bob—Bob", ["Bob"], "[name]—[name]—[name]"),
    ],
)
def test_masks_that_meet_leave_nothing_between_them(text, names, expected):
    assert said(text, names) == expected


def test_a_text_is_masked_as_words_are_and_keeps_its_spaces():
    text = "  Ann\n\tLee:  +44 20\n7946 0958,\r\nann@example.org\t"
    assert masked_text(text, ["ann lee"]) == "  [name]:  [number],\r\n[email]\t"
    assert [masked_text(same) for same in ("", " \n", "I paid 1,250.50\n")] == ["", " \n", "I paid 1,250.50\n"]
