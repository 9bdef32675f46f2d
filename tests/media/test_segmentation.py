"""Where segments begin and end: voices, cues, windows, and that none overlaps, is lost or is too long."""

from __future__ import annotations

import itertools
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emofuse.media.alignment import CueReader
from emofuse.media.decode import AudioBlock, read_audio
from emofuse.media.segmentation import Joiner, SegmentOptions, Span, Timeline, VoiceSpans, cue_spans, sentences
from emofuse.media.transcript import Cue
from emofuse.media.vad import CHUNK
from emofuse.types import SAMPLE_RATE, Word


def blocks(samples: np.ndarray, size: int = 8_000) -> list[AudioBlock]:
    return [AudioBlock(i / SAMPLE_RATE, samples[i : i + size]) for i in range(0, len(samples), size)]


def spans_of(samples: np.ndarray, options: SegmentOptions | None = None, size: int = 8_000) -> list[Span]:
    voice = VoiceSpans(options)
    found = [span for block in blocks(samples, size) for span in voice.push(block)]
    return found + list(voice.finish())


def test_the_size_of_the_blocks_does_not_matter(speech: np.ndarray) -> None:
    assert spans_of(speech, size=8_000) == spans_of(speech, size=777) == spans_of(speech, size=16_000)


def test_speech_is_found_where_it_is(speech: np.ndarray) -> None:
    found = spans_of(speech)
    third = len(speech) / SAMPLE_RATE / 3
    assert len(found) == 3
    for i, span in enumerate(found):
        assert span.kind == "speech"
        assert span.start == pytest.approx(i * third + 1.0, abs=0.15)
        assert span.end == pytest.approx(i * third + 2.5, abs=0.25)


def test_noise_silence_and_tones_are_no_speech() -> None:
    rng = np.random.default_rng(0)
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE * 3) / SAMPLE_RATE)
    for sound in (np.zeros(SAMPLE_RATE * 3), rng.normal(0, 0.1, SAMPLE_RATE * 3), tone):
        assert spans_of(sound.astype(np.float32)) == []


def test_speech_to_the_last_sample_is_closed_there(real_clip: Path) -> None:
    sound = read_audio(real_clip)[: 2 * SAMPLE_RATE]
    (span,) = spans_of(sound)
    assert span.end == pytest.approx(2.0, abs=0.02)


def test_long_speech_is_split_where_it_is_quiet(real_clip: Path) -> None:
    sentence = read_audio(real_clip)[round(1.15 * SAMPLE_RATE) : round(2.35 * SAMPLE_RATE)]
    talk = np.tile(sentence, 25)
    options = SegmentOptions(longest=6.0)
    found = spans_of(talk, options)
    assert len(found) >= 5
    assert all(span.length <= options.longest + 0.1 for span in found)
    for before, after in itertools.pairwise(found):
        assert 0 <= after.start - before.end < 0.5
    loud = np.sqrt(np.convolve(talk**2, np.ones(1600) / 1600, mode="same"))
    cuts = [round(span.end * SAMPLE_RATE) for span in found[:-1]]
    assert np.median(loud[cuts]) < 0.6 * np.median(loud)


def test_a_stretch_comes_out_while_the_next_is_still_spoken(speech: np.ndarray) -> None:
    voice = VoiceSpans()
    said = spans_of(speech)[0]
    sentence = speech[round(said.start * SAMPLE_RATE) : round(said.end * SAMPLE_RATE)]
    pause = np.zeros(round(0.5 * SAMPLE_RATE), np.float32)
    sound = np.concatenate([pause, sentence, pause, sentence, sentence, pause])
    begins = (len(sentence) + 2 * len(pause)) / SAMPLE_RATE
    came: list[tuple[float, Span]] = []
    for first in range(0, len(sound), 1600):
        heard = (first + 1600) / SAMPLE_RATE
        came += [(heard, span) for span in voice.push(AudioBlock(first / SAMPLE_RATE, sound[first : first + 1600]))]
    came += [(len(sound) / SAMPLE_RATE, span) for span in voice.finish()]
    at_once = spans_of(sound, size=len(sound))
    assert [span for _, span in came] == at_once, "and it is the same as when all is heard at once"
    assert len(at_once) == 2 and at_once[0].end < begins < at_once[1].end - 2
    assert came[0][0] < begins + 1.3, "a second into the next"


def test_what_is_settled_never_begins_again(speech: np.ndarray) -> None:
    voice, settled = VoiceSpans(), 0.0
    for block in blocks(speech):
        for span in voice.push(block):
            assert span.start >= settled - 1e-9
        assert voice.settled >= settled - 1e-9
        assert voice.settled <= block.end
        settled = voice.settled


spans = st.lists(
    st.tuples(st.floats(0.0, 8.0), st.floats(0.05, 9.0), st.sampled_from(["A", "B", None])), min_size=0, max_size=12
)


def laid(parts: list[tuple[float, float, str | None]]) -> list[Span]:
    time, out = 0.0, []
    for gap, length, speaker in parts:
        out.append(Span(time + gap, time + gap + length, "cue", speaker))
        time += gap + length
    return out


@given(spans)
def test_joining_loses_nothing_and_keeps_order(parts: list[tuple[float, float, str | None]]) -> None:
    options, given_spans = SegmentOptions(), laid(parts)
    joiner = Joiner(options)
    joined = [s for span in given_spans for s in joiner.push(span)] + list(joiner.finish())
    for span in given_spans:
        assert any(j.start <= span.start and span.end <= j.end for j in joined)
    for before, after in itertools.pairwise(joined):
        assert before.end <= after.start + 1e-9
        near = after.start - before.end <= options.join_gap and before.speaker == after.speaker
        short = min(before.length, after.length) < options.short
        assert not (near and short and after.end - before.start <= options.longest)
    assert all(j.length <= options.longest or j in given_spans for j in joined)


@given(spans, st.floats(0.0, 20.0))
def test_a_timeline_covers_its_gaps_without_overlap(parts: list, rest: float) -> None:
    options, given_spans = SegmentOptions(), laid(parts)
    duration = (given_spans[-1].end if given_spans else 0.0) + rest
    timeline = Timeline(options)
    row: list[Span] = []
    for span in given_spans:
        row += timeline.windows(span.start * 0.9 if timeline.cursor < span.start * 0.9 else timeline.cursor)
        row += timeline.push(span)
    row += timeline.finish(duration)
    kept = [s for s in row if s.kind == "cue"]
    assert [s.speaker for s in kept] == [s.speaker for s in given_spans]
    assert [s.start for s in kept] == pytest.approx([s.start for s in given_spans])
    assert [s.end for s in kept] == pytest.approx([s.end for s in given_spans])
    position = 0.0
    for span in row:
        assert span.start >= position - 1e-9
        assert span.start - position < options.least_window + 1e-9
        if span.kind == "window" and len(row) > 1:
            assert options.least_window - 1e-9 <= span.length < options.window + options.least_window + 1e-9
        position = span.end
    assert duration - position < options.least_window


def test_a_clip_of_a_moment_is_one_window() -> None:
    assert list(Timeline().finish(0.04)) == [Span(0.0, 0.04, "window")]
    assert list(Timeline().finish(0.0)) == [Span(0.0, 0.0, "window")]


def test_cues_become_spans_by_speaker_and_length() -> None:
    words = " ".join(["word"] * 50)
    cues = [
        Cue("Hi.", 0.0, 0.4, "A"),
        Cue("There.", 0.5, 0.9, "A"),
        Cue("Oh.", 1.0, 1.4, "B"),
        Cue(words, 5.0, 30.0, "A"),
    ]
    found = cue_spans(cues)
    assert found[0] == Span(0.0, 0.9, "cue", "A")
    assert found[1] == Span(1.0, 1.4, "cue", "B")
    assert [s.speaker for s in found[2:]] == ["A"] * 3
    assert all(s.length < 10.5 for s in found)
    reader = CueReader(cues)
    counts = [len(reader.words(span)) for span in found]
    assert counts[:2] == [2, 1] and sum(counts[2:]) == 50


def test_overlapping_cues_share_a_segment() -> None:
    cues = [Cue("one two", 0.0, 3.0, "A"), Cue("three four", 2.0, 4.0, "B")]
    (span,) = cue_spans(cues)
    assert span == Span(0.0, 4.0, "cue", None)
    reader = CueReader(cues)
    assert {w.text for w in reader.words(span)} == {"one", "two", "three", "four"}
    assert reader.speaker(span) == "A"


def test_sentences() -> None:
    words = [Word(t, 0.0, 0.0) for t in ["I", '"win!"', "(Yes.)", "好。", "and", "so"]]
    assert [[w.text for w in s] for s in sentences(words)] == [["I", '"win!"'], ["(Yes.)"], ["好。"], ["and", "so"]]


STEP = CHUNK / SAMPLE_RATE
"""Seconds of one decision, 0.032."""
WORD, HUSH, BETWEEN = 0.25, 0.0999, 0.2
"""A probability that begins speech, one that ends it, one that does neither."""


def decided(
    *parts: tuple[float, int], options: SegmentOptions | None = None, loudness: list[float] | None = None
) -> list[Span]:
    """Stretches of speech for (probability, number of chunks) one after the other, whatever network decided so."""
    probabilities = np.concatenate([np.full(count, p, np.float32) for p, count in parts])
    voice = VoiceSpans(options)
    if loudness is not None:
        voice._sound = np.repeat(np.array(loudness, np.float32), CHUNK)
    return [*voice._chunked(probabilities.astype(float)), *voice.finish()]


def seconds(spans: list[Span]) -> list[tuple[float, float]]:
    return [(pytest.approx(span.start), pytest.approx(span.end)) for span in spans]


def test_speech_begins_at_the_threshold_and_is_padded() -> None:
    assert [(s.start, s.end) for s in decided((0, 10), (WORD, 20), (0, 20))] == seconds(
        [Span(10 * STEP - 0.1, 30 * STEP + 0.1)]
    )
    assert decided((0, 10), (0.2499, 20), (0, 20)) == []
    assert [s.start for s in decided((WORD, 20), (0, 20))] == [0.0], "and never before the clip"


def test_speech_is_lost_below_the_threshold_for_long_enough() -> None:
    """12 chunks of silence are 0.384 s, 13 are 0.416 s: only these end a stretch of speech."""
    far = SegmentOptions(join_gap=0.0, short=0.0)
    assert len(decided((WORD, 20), (HUSH, 12), (WORD, 20), (0, 20), options=far)) == 1
    apart = decided((WORD, 20), (HUSH, 13), (WORD, 20), (0, 20), options=far)
    assert [(s.start, s.end) for s in apart] == seconds(
        [Span(0.0, 20 * STEP + 0.1), Span(33 * STEP - 0.1, 53 * STEP + 0.1)]
    )
    assert len(decided((WORD, 20), (BETWEEN, 40), (WORD, 20), (0, 20), options=far)) == 1
    assert len(decided((WORD, 20), (HUSH, 1), (BETWEEN, 12), (WORD, 20), (0, 20), options=far)) == 2


def test_bursts_shorter_than_a_quarter_of_a_second_are_no_speech() -> None:
    """7 chunks are 0.224 s, 8 are 0.256 s; what is neither loud nor lost counts for none of it."""
    assert decided((0, 10), (WORD, 7), (0, 20)) == []
    assert len(decided((0, 10), (WORD, 8), (0, 20))) == 1
    assert decided((0, 10), (WORD, 4), (BETWEEN, 10), (WORD, 3), (0, 20)) == []


def test_what_is_said_at_the_end_ends_with_the_clip() -> None:
    """The pad after speech never reaches beyond the last sample."""
    assert [s.end for s in decided((0, 10), (WORD, 20))] == [pytest.approx(30 * STEP)]
    assert [s.end for s in decided((0, 10), (WORD, 20), (0, 1))] == [pytest.approx(31 * STEP)]
    assert [s.end for s in decided((0, 10), (WORD, 20), (0, 5))] == [pytest.approx(30 * STEP + 0.1)]
    voice = VoiceSpans(start=5.0)
    spans = [*voice._chunked(np.full(20, 0.9)), *voice.finish()]
    assert [(s.start, s.end) for s in spans] == seconds([Span(5.0, 5.0 + 20 * STEP)])


def test_the_rest_of_a_split_stretch_comes_out_however_short_it_is() -> None:
    """Cut at the quietest point, four chunks before its end; the eighth of a second after it is speech all the same."""
    options = SegmentOptions(longest=2.0, join_gap=0.0, short=0.0)
    length = 57  # 57 chunks are 1.824 s, the first to reach longest - 2 * pad
    loudness = [1.0] * (length - 4) + [0.01] * 4
    found = decided((WORD, length), (0, 20), options=options, loudness=loudness)
    assert len(found) == 2
    assert found[0].start == 0.0 and found[0].end == found[1].start
    assert 50 * STEP <= found[0].end <= 54 * STEP
    assert found[1].end == pytest.approx(length * STEP + 0.1)


def test_a_long_stretch_is_cut_where_it_is_quietest_in_its_second_half() -> None:
    options = SegmentOptions(longest=2.0, join_gap=0.0, short=0.0)
    loudness = [1.0] * 80
    loudness[10], loudness[37:44] = 0.0, [0.2] * 7
    found = decided((WORD, 70), (0, 20), options=options, loudness=loudness)
    assert [(s.start, s.end) for s in found] == seconds([Span(0.0, 40 * STEP), Span(40 * STEP, 70 * STEP + 0.1)])


def joined(*spans: Span, **options: float) -> list[Span]:
    joiner = Joiner(SegmentOptions(**options))
    return [s for span in spans for s in joiner.push(span)] + list(joiner.finish())


def test_an_overlap_of_a_twentieth_of_a_second_is_none() -> None:
    """Captions overlap by a frame; people who talk at once overlap by more, and are then nobody in particular."""
    one, two = Span(0.0, 4.0, "cue", "A"), Span(3.96, 8.0, "cue", "B")
    assert joined(one, two) == [one, two]
    assert joined(one, Span(3.94, 8.0, "cue", "B")) == [Span(0.0, 8.0, "cue", None)]
    assert joined(one, Span(1.0, 2.0, "cue", "B")) == [Span(0.0, 4.0, "cue", None)]
    assert joined(one, Span(3.0, 8.0, "cue", "A")) == [Span(0.0, 8.0, "cue", "A")]


def test_short_neighbours_join_up_to_the_gap_and_the_length() -> None:
    exact = {"join_gap": 0.5, "short": 1.0, "longest": 8.0}
    short = Span(0.0, 0.75)
    assert joined(short, Span(1.25, 4.0), **exact) == [Span(0.0, 4.0)]
    assert joined(short, Span(1.2501, 4.0), **exact) == [short, Span(1.2501, 4.0)]
    assert joined(short, Span(1.25, 8.0), **exact) == [Span(0.0, 8.0)]
    assert joined(short, Span(1.25, 8.0001), **exact) == [short, Span(1.25, 8.0001)]
    assert joined(Span(0.0, 1.0), Span(1.25, 2.25), **exact) == [Span(0.0, 1.0), Span(1.25, 2.25)]
    assert joined(Span(0.0, 1.0), Span(1.25, 2.2), **exact) == [Span(0.0, 2.2)]
    apart = (Span(0.0, 0.5, "cue", "A"), Span(0.5, 1.0, "cue", "B"))
    assert joined(*apart, **exact) == list(apart)


def test_a_span_waits_for_what_may_still_join_it() -> None:
    """A long span and a new stretch that is still short: it may end short, and then they are one."""
    options = SegmentOptions(join_gap=0.5, short=1.0, longest=10.0)
    for held, begin, now, out in (
        (3.0, 3.25, 4.0, False), (3.0, 3.25, 4.25, True), (0.5, 0.75, 5.0, False), (0.5, 0.75, 10.01, True),
        (3.0, 3.51, 3.6, True), (3.0, 3.5, 3.6, False),
    ):  # fmt: skip
        joiner = Joiner(options)
        assert list(joiner.push(Span(0.0, held))) == []
        assert list(joiner.meet(begin, now)) == ([Span(0.0, held)] if out else []), (held, begin, now)
        assert joiner.since == (float("inf") if out else 0.0)
    joiner = Joiner(options)
    assert list(joiner.meet(0.0, 99.0)) == list(joiner.settle(99.0)) == list(joiner.finish()) == []
    assert list(joiner.push(Span(1.0, 2.0))) == list(joiner.settle(2.5)) == []
    assert list(joiner.settle(2.5001)) == [Span(1.0, 2.0)]
    assert joiner.since == float("inf") and list(joiner.finish()) == []


def test_windows_cover_gaps_by_hand() -> None:
    def windows(*bounds: float) -> list[Span]:
        return [Span(a, b, "window") for a, b in itertools.pairwise(bounds)]

    timeline = Timeline()
    assert list(timeline.windows(5.99)) == []
    assert list(timeline.windows(6.0)) == windows(0.0, 4.0)
    assert list(timeline.windows(7.0)) == []
    said = Span(7.0, 8.0)
    assert list(timeline.push(said)) == [*windows(4.0, 7.0), said]
    assert list(timeline.push(Span(7.5, 9.0))) == [Span(8.0, 9.0)]
    assert list(timeline.push(Span(8.0, 9.0))) == []
    assert list(timeline.push(Span(10.9, 11.0))) == [Span(10.9, 11.0)], "a gap below 2 s has no window"
    assert list(timeline.finish(12.9)) == []
    assert list(timeline.finish(13.0)) == windows(11.0, 13.0)
    assert list(timeline.finish(13.0)) == []
    assert list(Timeline(start=3.0).finish(14.0)) == windows(3.0, 7.0, 11.0, 14.0)
    assert list(Timeline(start=3.0).finish(2.0)) == []
    assert list(Timeline().finish(1.9)) == windows(0.0, 1.9)


def test_long_cues_are_cut_where_a_word_begins() -> None:
    found = cue_spans([Cue("aa bb cc dd", 0.0, 12.0, "A")], SegmentOptions(longest=6.0))
    assert [(s.start, s.end, s.speaker, s.kind) for s in found] == [(0.0, 6.0, "A", "cue"), (6.0, 12.0, "A", "cue")]
    assert cue_spans([Cue("aa bb", 0.0, 6.0)], SegmentOptions(longest=6.0)) == [Span(0.0, 6.0, "cue")]
    one = cue_spans([Cue("aaaaaa", 0.0, 12.0)], SegmentOptions(longest=6.0))
    assert [(s.start, s.end) for s in one] == [(0.0, 6.0), (6.0, 12.0)], (
        "and in the middle of one where there is no other"
    )
    assert cue_spans([Cue("no time")]) == []
    late, early = Cue("late", 4.0, 6.0), Cue("early", 0.0, 2.0)
    assert [s.start for s in cue_spans([late, early])] == [0.0, 4.0]


@pytest.mark.parametrize(
    ("words", "start", "end"),
    [("music playing", 0.0, 600.0), ("Well then", 0.0, 30.0), ("♪", 5.0, 125.0), ("a b c", 1.0, 61.0), ("", 0.0, 45.0)],
)
def test_no_span_is_much_longer_than_the_longest_however_few_its_words(words: str, start: float, end: float) -> None:
    found = cue_spans([Cue(words, start, end)])
    assert all(span.length <= 15.0 for span in found)
    assert found[0].start == start and found[-1].end == end
    assert all(a.end == b.start for a, b in pairwise(found))
    reader = CueReader([Cue(words, start, end)])
    assert [w.text for span in found for w in reader.words(span)] == words.split()


@pytest.mark.parametrize(
    ("cue", "end", "said"),
    [
        (Cue("I never want to see you again.", 2.5, 6.5), 4.0, ["I never want to see you again."]),
        (Cue("No!", 2.9, 6.0), 4.0, ["No!"]),
        (Cue("one two three four five six", 0.0, 24.0), 16.0, ["one two", "three four five six"]),
        (Cue("within", 1.0, 2.0), 4.0, ["within"]),
    ],
)
def test_words_of_a_cue_that_outlasts_the_clip_are_said_before_its_end(cue: Cue, end: float, said: list[str]) -> None:
    spans, reader = cue_spans([cue]), CueReader([cue])
    within = [replace(span, end=min(span.end, end)) for span in spans if span.start < end]
    before = [reader.words(span) for span in within[:-1]]
    reader.end_at(end)
    found = [*before, reader.words(within[-1])]
    assert [" ".join(word.text for word in words) for words in found if words] == said
    assert all(word.end <= end + 1e-9 for word in found[-1])
