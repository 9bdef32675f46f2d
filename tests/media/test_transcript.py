"""Transcripts: every format and encoding, speakers, words and their seconds, and what a mistake says."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emofuse.errors import MediaError
from emofuse.media.transcript import (
    LARGEST_TEXT,
    Cue,
    join,
    parse_transcript,
    read_text,
    read_transcript,
    spread,
    tokenize,
)

SRT = (
    "1\n00:00:01,000 --> 00:00:02,500\nHello <i>there</i>,\nyou.\n\n2\n00:01:03,250 --> 00:01:04,000\nANNA: I'm fine.\n"
)
VTT = """WEBVTT - made for a test

NOTE this 00:00:01.000 --> 00:00:09.000 is a comment
with a second line

STYLE
::cue { color: red }

intro
00:01.000 --> 00:02.500 align:start position:10%
<v Mr. Bean>We are in <00:01.800><c.loud>New York</c> &amp; glad

00:01:00.000 --> 00:01:01.000
{\\an8}bye\u200b now
"""


def test_srt() -> None:
    transcript = read_transcript(SRT)
    assert transcript.cues == (
        Cue("Hello there, you.", 1.0, 2.5),
        Cue("I'm fine.", 63.25, 64.0, "ANNA"),
    )
    assert transcript.timed
    assert transcript.text == "Hello there, you. I'm fine."


def test_vtt() -> None:
    assert read_transcript(VTT).cues == (
        Cue("We are in New York & glad", 1.0, 2.5, "Mr. Bean"),
        Cue("bye now", 60.0, 61.0),
    )


def test_srt_without_blank_lines_and_with_windows_ends() -> None:
    text = "1\r\n00:00:00,000 --> 00:00:01,000\r\none\r\n2\r\n00:00:01,000 --> 00:00:02,000\r\ntwo\r\n"
    assert [cue.text for cue in read_transcript(text).cues] == ["one", "two"]


def test_cues_come_in_order_of_time_and_never_without_length() -> None:
    transcript = read_transcript("00:05.000 --> 00:06.000\nlater\n\n00:01.000 --> 00:01.000\nfirst one here\n")
    assert [cue.text for cue in transcript.cues] == ["first one here", "later"]
    assert transcript.cues[0].end == pytest.approx(1.0 + 14 / 15)


def test_plain_text_is_cues_without_times() -> None:
    transcript = read_transcript("I can't believe it!\n\n  What a   day.\n")
    assert transcript.cues == (Cue("I can't believe it!"), Cue("What a day."))
    assert not transcript.timed
    assert parse_transcript("").cues == () and parse_transcript("WEBVTT\n").cues == ()


@pytest.mark.parametrize(
    ("text", "speakers", "words"),
    [
        ("Anna: hi there\nBob Smith: oh no", ["Anna", "Bob Smith"], ["hi there", "oh no"]),
        ("ANNA: hi", ["ANNA"], ["hi"]),
        ("Note: it rains", [None], ["Note: it rains"]),
        ("she said: it rains\nthen: no", [None, None], ["she said: it rains", "then: no"]),
        ("Meet at 10:30 today", [None], ["Meet at 10:30 today"]),
        ("- ANNA: hi\n- BOB: ho", ["ANNA", "BOB"], ["hi", "ho"]),
        ("agent: hi\ncustomer: no\nagent: ho", ["agent", "customer", "agent"], ["hi", "no", "ho"]),
        ("agent: hi\nhow are you\nagent: ho", ["agent", None, "agent"], ["hi", "how are you", "ho"]),
        (
            "speaker 1: hi\nspeaker 1: ho\nand then\nso: no",
            ["speaker 1", "speaker 1", None, None],
            ["hi", "ho", "and then", "so: no"],
        ),
        ("so: it rains\nI see\nhm\nyes\nso: no", [None] * 5, ["so: it rains", "I see", "hm", "yes", "so: no"]),
        ("王: 你好\n李: 再见", ["王", "李"], ["你好", "再见"]),
    ],
)
def test_speakers(text: str, speakers: list[str | None], words: list[str]) -> None:
    cues = read_transcript(text).cues
    assert [cue.speaker for cue in cues] == speakers
    assert [cue.text for cue in cues] == words


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "words.srt"
    text = "1\n00:00:01,000 --> 00:00:02,000\nÇa va très bien, señor Müller.\n"
    path.write_bytes(text.encode(encoding))
    assert read_transcript(path).cues == (Cue("Ça va très bien, señor Müller.", 1.0, 2.0),)


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("gbk", "我从来没有这么高兴过"),
        ("big5", "我從來沒有這麼高興過"),
        ("shift_jis", "信じられないほど嬉しい"),
        ("cp1251", "Я никогда не был так счастлив"),
        ("koi8-r", "Я никогда не был так счастлив"),
        ("euc-kr", "이렇게 행복한 적이 없어요"),
    ],
)
def test_an_encoding_that_is_not_known_is_asked_for_not_guessed(tmp_path: Path, encoding: str, words: str) -> None:
    path = tmp_path / "words.srt"
    path.write_bytes(f"1\n00:00:00,600 --> 00:00:02,000\n{words}\n".encode(encoding))
    with pytest.raises(MediaError, match=r"words\.srt: .*save it again as UTF-8"):
        read_transcript(path)


def test_curly_quotes_of_windows_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes("I can’t — really".encode("cp1252"))
    assert read_transcript(path).text == "I can’t — really"


def test_what_follows_an_empty_line_in_a_cue_belongs_to_it() -> None:
    found = read_transcript(
        "1\n00:00:00,600 --> 00:00:03,000\nI can't believe it!\n\nWe made it.\n\n"
        "2\n00:00:04,000 --> 00:00:05,500\nSo happy!\n\nYes.\n"
    )
    assert [cue.text for cue in found.cues] == ["I can't believe it! We made it.", "So happy! Yes."]
    vtt = "WEBVTT\n\nfirst\n00:00.600 --> 00:01.000\nOh.\n\nNOTE not said\n\nsecond\n00:02.000 --> 00:03.000\nAh.\n"
    assert [cue.text for cue in read_transcript(vtt).cues] == ["Oh.", "Ah."]


def test_an_arrow_in_words_stays_a_word(tmp_path: Path) -> None:
    words = "From 1 --> 2, I can't believe it!"
    found = read_transcript(f"1\n00:00:00,600 --> 00:00:01,770\n{words}\n")
    assert found.cues == (Cue(words, 0.6, 1.77),)
    path = tmp_path / "words.txt"
    path.write_text(f"{words}\nSo happy!\n")
    assert read_transcript(path).cues == (Cue(words), Cue("So happy!"))


ROLLING = """WEBVTT
Kind: captions

00:00:00.600 --> 00:00:02.000 align:start position:0%
\u0020
I<00:00:00.800><c> can't</c><00:00:01.000><c> believe</c><00:00:01.300><c> it</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
I can't believe it
\u0020

00:00:02.010 --> 00:00:03.788 align:start position:0%
I can't believe it
we<00:00:02.200><c> made</c><00:00:02.500><c> it</c><00:00:02.800><c> to</c><00:00:03.000><c> space</c>

00:00:03.788 --> 00:00:03.798 align:start position:0%
we made it to space
\u0020
"""


@pytest.mark.parametrize("stamps", [True, False])
def test_captions_that_roll_say_every_word_once(stamps: bool) -> None:
    text = ROLLING.replace("\\u0020", " ")
    found = read_transcript(text if stamps else re.sub(r"<[^>]*>", "", text))
    assert [cue.text for cue in found.cues] == ["I can't believe it", "we made it to space"]
    assert [(cue.start, cue.end) for cue in found.cues] == [(0.6, 2.0), pytest.approx((2.01, 3.788))]


def test_who_says_the_same_twice_says_it_twice() -> None:
    found = read_transcript("1\n00:00:01,000 --> 00:00:02,000\nNo!\n\n2\n00:00:02,000 --> 00:00:03,000\nNo!\n")
    assert found.text == "No! No!"


def test_a_string_is_a_file_by_its_ending_alone(tmp_path: Path) -> None:
    path = tmp_path / "my clip.srt"
    path.write_text(SRT)
    assert read_transcript(str(path)) == read_transcript(path) == read_transcript(SRT)
    with pytest.raises(MediaError, match=r"none\.vtt: there is no such file"):
        read_transcript("none.vtt")
    present = tmp_path / "plain"
    present.write_text("hello")
    assert read_transcript(str(present)).text == str(present)
    assert read_transcript("I looked\nat notes.txt").text == "I looked at notes.txt"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "00:00:0x,000 --> 00:00:02,000",
            r"line 2: '00:00:0x,000 --> .*' is not a pair of times; write it as 00:00:01",
        ),
        ("00:00:01,000 -->", "line 2: .* is not a pair of times"),
        ("00:00:05,000 --> 00:00:02,000", r"line 2: the cue ends \(2 s\) before it starts \(5 s\); fix its times"),
        ("00:61:00,000 --> 00:62:00,000", "line 2: .* has more than 59 minutes or seconds; carry them over"),
    ],
)
def test_bad_times_name_the_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "bad.srt"
    path.write_text(f"1\n{line}\nhello\n")
    with pytest.raises(MediaError, match=r"bad\.srt, " + message):
        read_transcript(path)


@pytest.mark.parametrize(
    "wrong", ["00:00:0x,000 --> 00:00:02,000", "00:00:05,000 --> 00:00:02,000", "00:00:01,000 -->"]
)
def test_one_bad_cue_is_left_out_with_a_note(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "bad.srt"
    path.write_text(
        f"1\n00:00:01,000 --> 00:00:02,000\nbefore\n\n2\n{wrong}\nlost\n\n3\n00:00:06,000 --> 00:00:07,000\nafter\n"
    )
    found = read_transcript(path)
    assert [(cue.text, cue.start) for cue in found.cues] == [("before", 1.0), ("after", 6.0)]
    (note,) = found.notes
    assert note.startswith("1 parts of the transcript have no times that can be read and were left out: ")
    assert "bad.srt, line 6: " in note


def test_halves_of_characters_become_signs_of_what_was_lost() -> None:
    assert parse_transcript("bad \ud800 text").text == "bad \ufffd text"
    assert parse_transcript("我很高兴".encode().decode("ascii", "surrogateescape")).text == "我很高兴"


def test_a_subtitle_file_without_times_says_so(tmp_path: Path) -> None:
    path = tmp_path / "bad.srt"
    path.write_text("1\n00:00:01,000 -> 00:00:02,000\nhello\n")
    with pytest.raises(MediaError, match=r"holds no times, from line 1 on .*name a text without times .txt"):
        read_transcript(path)


def test_what_is_not_text_or_too_much_of_it(tmp_path: Path) -> None:
    large = tmp_path / "large.txt"
    large.write_bytes(b"word " * 2_000_000)
    message = r"10\.0 MB of text are too much; at most 2 MB are valid: cut it into parts"
    with pytest.raises(MediaError, match=r"large\.txt: " + message):
        read_transcript(large)
    with pytest.raises(MediaError, match=message):
        read_transcript("word " * 2_000_000)
    binary = tmp_path / "binary.txt"
    binary.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)
    with pytest.raises(MediaError, match=r"it is not text \(it holds zero bytes\); valid: the path of a text in UTF-8"):
        read_text(binary)
    empty = tmp_path / "empty.txt"
    empty.touch()
    with pytest.raises(MediaError, match="0 bytes"):
        read_transcript(empty)
    assert LARGEST_TEXT == 2_000_000


def stamp(seconds: float, comma: str = ",") -> str:
    thousandths = round(seconds * 1000)
    return (
        f"{thousandths // 3_600_000:02}:{thousandths // 60_000 % 60:02}:{thousandths // 1000 % 60:02}"
        f"{comma}{thousandths % 1000:03}"
    )


texts = st.lists(st.from_regex(r"[A-Za-zÀ-ÿ一-龥'!?.,]{1,12}", fullmatch=True), min_size=1, max_size=8).map(" ".join)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 9_000), texts), min_size=1, max_size=6), st.booleans())
def test_what_is_written_is_read(parts: list[tuple[int, int, str]], vtt: bool) -> None:
    time, cues = 0.0, []
    for gap, length, text in parts:
        start = time + gap / 1000
        time = start + length / 1000
        cues.append(Cue(text, round(start, 3), round(time, 3)))
    comma = "." if vtt else ","
    blocks = [
        f"{i}\n{stamp(c.start or 0, comma)} --> {stamp(c.end or 0, comma)}\n{c.text}\n" for i, c in enumerate(cues, 1)
    ]
    read = read_transcript(("WEBVTT\n\n" if vtt else "") + "\n".join(blocks)).cues
    assert [cue.text for cue in read] == [cue.text for cue in cues]
    for one, other in zip(read, cues, strict=True):
        assert (one.start, one.end) == pytest.approx((other.start, other.end), abs=1e-3)


@given(texts, st.floats(0, 100), st.floats(0.1, 20))
def test_words_share_a_cue_s_time(text: str, start: float, length: float) -> None:
    words = spread(text, start, start + length)
    assert join(words).replace(" ", "") == text.replace(" ", "")
    assert words[0].start == pytest.approx(start) and words[-1].end == pytest.approx(start + length)
    for before, after in itertools.pairwise(words):
        assert before.end == pytest.approx(after.start)
        assert before.start < before.end


@given(st.text(max_size=300))
def test_no_string_breaks_the_parser(text: str) -> None:
    """Anything is either cues or a MediaError."""
    try:
        cues = parse_transcript(text).cues
    except MediaError as error:
        assert "line" in str(error)
    else:
        assert all(cue.text for cue in cues)


def test_longer_words_take_longer() -> None:
    words = spread("a extraordinary", 0.0, 1.0)
    assert words[1].end - words[1].start > 5 * (words[0].end - words[0].start)


def test_scripts_without_spaces_are_split_by_character() -> None:
    assert tokenize("我很高兴。 I'm glad, 你好!") == ["我", "很", "高", "兴。", "I'm", "glad,", "你", "好!"]
    assert tokenize("「はい」 요즘 어때") == ["「", "は", "い」", "요즘", "어때"]
    assert join(spread("我很 I'm 你好", 0, 1)) == "我很 I'm 你好"
