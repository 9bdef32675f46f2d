"""The reader to the sample: what it makes of sound in memory under cues with times, where every number is known."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import emofuse.media.clip
from emofuse.media.audio import AudioBlock
from emofuse.media.clip import open_clip
from emofuse.media.limits import GAP, Limits
from emofuse.media.reader import READ_ALOUD, SPREAD, TURNS, MediaOptions, SegmentReader, segments
from emofuse.media.segmentation import SegmentOptions, Span
from emofuse.types import SAMPLE_RATE, Segment

NOISE = np.random.default_rng(0).normal(0, 0.1, 10 * SAMPLE_RATE).astype(np.float32)
"""Ten seconds in which nobody speaks, loud enough to stay as it is."""


def cues(*parts: tuple[float, float, str]) -> str:
    """WebVTT of (start, end, words)."""

    def stamp(seconds: float) -> str:
        return f"00:{int(seconds // 60):02d}:{seconds % 60:06.3f}"

    return "WEBVTT\n\n" + "\n\n".join(f"{stamp(a)} --> {stamp(b)}\n{text}" for a, b, text in parts)


def read(sound: np.ndarray = NOISE, **how: Any) -> tuple[list[Segment], list[Any]]:
    notes: list[Any] = []
    return list(segments(audio=(SAMPLE_RATE, sound), notes=notes, **how)), notes


def reader(sound: np.ndarray = NOISE, **options: Any) -> SegmentReader:
    return SegmentReader(open_clip(audio=(SAMPLE_RATE, sound)), MediaOptions(**options), [], None)


def times(found: list[Segment]) -> list[tuple[float, float]]:
    return [(s.start, s.end) for s in found]


def test_a_cue_is_a_segment_with_its_very_samples() -> None:
    found, notes = read(transcript=cues((0.5, 2.25, "ANN: Hello there."), (4.0, 6.0, "BEN: No.")))
    assert times(found) == [(0.5, 2.25), (4.0, 6.0)]
    assert [s.id for s in found] == ["audio#0", "audio#1"]
    for segment in found:
        assert segment.present == {"text", "speech"} and segment.faces == ()
        assert segment.waveform is not None
        first, last = round(segment.start * SAMPLE_RATE), round(segment.end * SAMPLE_RATE)
        np.testing.assert_array_equal(segment.waveform, NOISE[first:last])
    assert [[w.text for w in s.words or ()] for s in found] == [["Hello", "there."], ["No."]]
    assert [s.speaker for s in found] == ["ANN", "BEN"]
    assert [s.context for s in found] == [(), ("ANN: Hello there.",)]
    assert [note.code for note in notes] == ["no_picture"]


def test_segments_carry_as_many_earlier_turns_as_asked_for() -> None:
    said = cues(*((float(i), i + 0.9, f"S{i}: Turn {i}.") for i in range(8)))
    found, _ = read(transcript=said)
    assert [len(s.context) for s in found] == [min(i, TURNS) for i in range(8)] and TURNS == 5
    assert found[7].context == tuple(f"S{i}: Turn {i}." for i in range(2, 7))
    for turns, expected in ((0, 0), (2, 2), (-3, 0)):
        found, _ = read(transcript=said, options=MediaOptions(context=turns))
        assert len(found[7].context) == expected
    found, _ = read(transcript=cues((0.0, 0.9, "One."), (3.0, 3.9, "Two.")))
    assert found[1].context == ("One.",), "a turn without a speaker names none"


def test_cues_after_the_end_are_counted_and_one_that_crosses_it_ends_there() -> None:
    found, notes = read(transcript=cues((9.0, 12.0, "Over."), (15.0, 16.0, "Late."), (20.0, 21.0, "Later.")))
    assert times(found) == [(9.0, 10.0)]
    (late,) = [n for n in notes if n.code == "cues_after_end"]
    assert late.values == {"count": 2, "end": 10.0}


def test_progress_goes_by_the_clock_and_ends_at_the_end() -> None:
    told: list[tuple[float, float | None]] = []
    said = cues((0.5, 1.0, "Yes."))
    list(segments(audio=(SAMPLE_RATE, NOISE), transcript=said, progress=lambda *a: told.append(a)))
    assert told[-1] == (10.0, 10.0)
    done = [d for d, _ in told[:-1]]
    assert done[0] == 0.5 and all(0.5 <= b - a < 1.0 for a, b in pairwise(done))
    assert {total for _, total in told} == {10.0}


def test_text_without_times_is_laid_over_the_whole_clip_where_nobody_is_heard() -> None:
    found, notes = read(text="Aaaa bbbb. Cccc dddd.", options=MediaOptions(segment=SegmentOptions(longest=6.0)))
    assert SPREAD in notes and READ_ALOUD not in notes
    assert found[0].start == 0.0 and found[-1].end == pytest.approx(10.0)
    assert [w.text for s in found for w in s.words or ()] == ["Aaaa", "bbbb.", "Cccc", "dddd."]


def test_names_before_colons_are_said_of_texts_without_times_alone() -> None:
    _, notes = read(text="ANN: Oh.\nBEN: No.\nANN: Yes.")
    (named,) = [n for n in notes if n.code == "speakers_named"]
    assert named.values == {"names": "ANN, BEN"}
    _, notes = read(transcript=cues((0.5, 1.0, "ANN: Oh.")))
    assert "speakers_named" not in {n.code for n in notes}


def test_a_text_without_times_listens_to_the_sound_alone_and_within_the_limits(
    make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two passes over a film: the first, which looks for speech, decodes no picture; both heed the limits."""
    path = make.clip("a.mp4", sound=make.tone(1.0), pictures=make.picture, times=make.times(1.0, 5))
    passes: list[dict[str, Any]] = []
    whole = emofuse.media.clip.stream  # type: ignore[attr-defined]

    def watched(*args: Any, **how: Any) -> Any:
        passes.append(how)
        return whole(*args, **how)

    monkeypatch.setattr("emofuse.media.clip.stream", watched)
    limits = Limits(frames=1000)
    list(segments(path, text="Hello.", options=MediaOptions(limits=limits)))
    assert [p["video"] for p in passes] == [False, True]
    assert all(p["limits"] is limits for p in passes)
    passes.clear()
    list(segments(path, transcript=cues((0.0, 0.5, "Hello.")), options=MediaOptions(limits=limits)))
    assert [p["video"] for p in passes] == [True], "words with times need no pass of their own"


def test_what_is_spoken_is_asked_with_the_options_and_the_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def spoken(blocks: Any, options: SegmentOptions, gap: float) -> list[Span]:
        asked.append((list(blocks), options, gap))
        return [Span(1.0, 3.0, "speech"), Span(5.0, 6.0, "speech")]

    monkeypatch.setattr("emofuse.media.reader.spoken_spans", spoken)
    options = SegmentOptions(longest=7.0)
    found, notes = read(text="Aaaa bbbb. Cc.", options=MediaOptions(segment=options))
    ((blocks, given, gap),) = asked
    assert given is options and gap == GAP
    assert all(isinstance(b, AudioBlock) for b in blocks) and sum(b.samples.size for b in blocks) == NOISE.size
    assert times(found) == [(1.0, 3.0), (5.0, 6.0)]
    assert SPREAD in notes


def test_a_short_gap_is_silence_to_the_sample_and_a_long_one_is_passed_over() -> None:
    one = reader()
    one.heard = 1.0
    one._quiet(1.75)
    assert one.heard == 1.75 and one.sound.seconds == pytest.approx(0.75)
    assert [b.samples.size for b in one.sound._blocks] == [SAMPLE_RATE // 2, SAMPLE_RATE // 4]
    assert all(not b.samples.any() for b in one.sound._blocks)
    one._quiet(1.75 + 0.5 / SAMPLE_RATE)
    assert one.heard == 1.75, "less than a sample is nothing"
    one._quiet(1.75 + GAP)
    assert one.heard == pytest.approx(1.75 + GAP) and one.sound.seconds == pytest.approx(0.75 + GAP)
    two = reader()
    skipped: list[float] = []
    two.cutter.skip = skipped.append  # type: ignore[method-assign]
    two._quiet(GAP + 0.01)
    assert skipped == [GAP + 0.01] and two.heard == GAP + 0.01 and two.sound.seconds == 0.0


def test_sound_that_ended_is_silent_as_the_clock_goes_on() -> None:
    one = reader()
    one.clock = 1.5
    one._keep_pace()
    assert one.heard == 0.0, "a block may be that late"
    one.clock = 2.25
    one._keep_pace()
    assert one.heard == 1.0, "half a second at a time, until no more than the slack is missing"
    one.clock = 1.0 + GAP + 1.5 + 0.25
    one._keep_pace()
    assert one.heard == pytest.approx(GAP + 1.25) and one.sound.seconds == 1.0


@pytest.mark.parametrize(("voice", "present"), [("auto", []), ("always", [{"speech"}] * 2)])
def test_windows_hold_sound_where_all_of_it_is_a_voice(voice: str, present: list[set[str]]) -> None:
    found, notes = read(NOISE[: 8 * SAMPLE_RATE], options=MediaOptions(voice=voice))  # type: ignore[arg-type]
    assert [s.present for s in found] == present
    codes = [n.code for n in notes]
    assert codes == (
        ["no_transcript", "no_picture"] if present else ["no_transcript", "no_speech", "no_picture", "nothing_found"]
    )
    assert [s.id for s in found] == [f"audio#{i}" for i in range(len(found))]


def test_quiet_sound_is_raised_and_said_in_decibels() -> None:
    found, notes = read(NOISE * 0.01, transcript=cues((1.0, 2.0, "Oh.")))
    assert found[0].waveform is not None and np.std(found[0].waveform) == pytest.approx(0.056, rel=1e-3)
    (quiet,) = [n for n in notes if n.code == "quiet"]
    level = 20 * np.log10(np.std(NOISE[SAMPLE_RATE : 2 * SAMPLE_RATE]) * 0.01)
    assert quiet.values["level"] == pytest.approx(level, abs=1e-3)
    assert quiet.values["gain"] == pytest.approx(20 * np.log10(0.056) - level, abs=1e-3)


def test_what_never_came_is_told_by_its_reason(make: SimpleNamespace) -> None:
    def codes(*args: Any, **how: Any) -> list[str]:
        notes: list[Any] = []
        list(segments(*args, notes=notes, **how))
        return [n.code for n in notes if n.code.startswith(("no_", "silent"))]

    assert codes(text="Hello.") == ["no_sound", "no_picture"]
    assert codes(text=" ") == ["no_words_in_clip", "no_sound", "no_picture"]
    assert codes(audio=(SAMPLE_RATE, np.zeros(SAMPLE_RATE, np.float32))) == ["no_transcript", "silent", "no_picture"]
    sound = make.clip("a.wav", sound=make.tone(0.5))
    assert codes(sound) == ["no_transcript", "no_speech", "no_video_track"]
    film = make.clip("a.mp4", pictures=make.picture, times=make.times(0.5, 5))
    assert codes(film) == ["no_words_given", "no_audio_track", "no_face"]


NAMED = cues((1, 2, "<v Ben>So it is."), (3, 4, "I see."))


@pytest.mark.parametrize(("speaker", "who"), [("Ann", ["Ben", "Ann"]), (None, ["Ben", None])])
def test_words_of_nobody_known_are_the_speakers_and_a_name_stays(speaker, who):
    found, _ = read(transcript=NAMED, speaker=speaker)
    assert [segment.speaker for segment in found] == who
    assert [{word.speaker for word in segment.words or ()} for segment in found] == [{name} for name in who]


@pytest.mark.parametrize(("transcript", "heard"), [(NAMED, False), (cues((1, 2, "So it is."), (3, 4, "I see.")), True)])
def test_voices_are_told_apart_where_no_cue_says_who_speaks(transcript, heard):
    pytest.importorskip("sklearn")
    found, notes = read(transcript=transcript, speakers=2)
    assert [" ".join(w.text for w in s.words or ()) for s in found] == ["So it is.", "I see."]
    assert ("voices_told_apart" in {getattr(note, "code", None) for note in notes}) == heard
