"""A stretch of a clip is read as the file would be that is cut there, and its times are those of the whole file."""

from __future__ import annotations

import math

import numpy as np
import pytest

from emofuse.errors import MediaError
from emofuse.media.clip import open_clip
from emofuse.media.decode import read_audio
from emofuse.media.image import VideoFrame
from emofuse.media.reader import segments
from emofuse.types import SAMPLE_RATE

START, END = 1.95, 6.2


@pytest.fixture(scope="module")
def sample(repository):
    """The clip that comes with the project: sentences at 0.6, 2.0 and 4.0 s."""
    return repository / "demo" / "samples" / "sample.mp4"


@pytest.fixture(scope="module")
def voice(sample):
    """Its sound."""
    return read_audio(sample)


def read(*args, **how):
    notes = []
    return list(segments(*args, notes=notes, **how)), [getattr(note, "code", note) for note in notes]


def assert_alike(found, cut, by):
    """The same segments, `by` seconds later."""
    assert len(found) == len(cut) > 0
    for one, other in zip(found, cut, strict=True):
        assert (one.start - by, one.end - by) == pytest.approx((other.start, other.end), abs=1e-6)
        assert one.present == other.present and one.speaker == other.speaker and one.context == other.context
        if other.waveform is not None:
            np.testing.assert_allclose(one.waveform, other.waveform, atol=2e-4)
        for word, same in zip(one.words or (), other.words or (), strict=True):
            assert (word.text, word.speaker) == (same.text, same.speaker)
            assert (word.start - by, word.end - by) == pytest.approx((same.start, same.end), abs=1e-6)
        for track, same in zip(one.faces, other.faces, strict=True):
            assert track.person == same.person and track.times - by == pytest.approx(same.times, abs=1e-6)


def test_sound_of_a_file_is_that_of_the_file_cut_there(make, voice):
    first, last = round(START * SAMPLE_RATE), round(END * SAMPLE_RATE)
    whole = make.clip("whole.wav", sound=voice[None], rate=SAMPLE_RATE)
    cut = make.clip("cut.wav", sound=voice[None, first:last], rate=SAMPLE_RATE)
    found, notes = read(whole, start=START, end=END)
    same, others = read(cut)
    assert_alike(found, same, START)
    assert notes == [*others, "stretch"] and all(START <= s.start < s.end <= END for s in found)
    to_the_end, _ = read(whole, start=START)
    assert_alike(to_the_end, read(make.clip("rest.wav", sound=voice[None, first:], rate=SAMPLE_RATE))[0], START)
    assert_alike(read(whole, end=END)[0], read(make.clip("head.wav", sound=voice[None, :last], rate=SAMPLE_RATE))[0], 0)


def test_sound_that_is_resampled_differs_by_the_codec_alone(make, voice):
    loud = np.repeat(voice, 3)[None]  # 48 kHz
    whole = make.clip("whole.m4a", sound=loud)
    cut = make.clip("cut.wav", sound=loud[:, round(START * 48_000) : round(END * 48_000)])
    found, same = read(whole, start=START, end=END)[0], read(cut)[0]
    assert len(found) == len(same) > 0
    for one, other in zip(found, same, strict=True):
        assert (one.start - START, one.end - START) == pytest.approx((other.start, other.end), abs=0.05)
        both = min(one.waveform.size, other.waveform.size)
        assert np.corrcoef(one.waveform[:both], other.waveform[:both])[0, 1] > 0.95


def test_what_is_in_memory_is_cut_alike(voice, portrait):
    first, last = round(START * SAMPLE_RATE), round(END * SAMPLE_RATE)
    pictures = [portrait[0:240, 60:380]] * 70  # 7 s
    how = {"frames": (10, pictures), "audio": (SAMPLE_RATE, voice)}
    cut = {"frames": (10, pictures[20:62]), "audio": (SAMPLE_RATE, voice[round(2.0 * SAMPLE_RATE) : last])}
    assert_alike(read(**how, start=2.0, end=END)[0], read(**cut)[0], 2.0)
    two = np.stack([voice, np.zeros_like(voice)])
    found, _ = read(audio=(SAMPLE_RATE, two), channels=["ann", "bob"], start=START, end=END)
    assert_alike(found, read(audio=(SAMPLE_RATE, two[:, first:last]), channels=["ann", "bob"])[0], START)


def test_a_video_is_seen_and_heard_in_the_stretch_alone(sample):
    words = sample.with_suffix(".srt")
    whole, _ = read(sample, transcript=words)
    found, notes = read(sample, transcript=words, start=START, end=3.9)
    assert notes == ["stretch"] and [s.present for s in found] == [{"text", "speech", "face"}]
    assert [w.text for w in found[0].words] == [w.text for w in whole[1].words]
    assert (found[0].start, found[0].end) == pytest.approx((whole[1].start, whole[1].end), abs=1e-6)
    for track in found[0].faces:
        assert (track.times >= START).all() and (track.times < 3.9).all()
    alike = np.corrcoef(found[0].waveform, whole[1].waveform)[0, 1]
    assert alike > 0.95, "from 22,050 Hz, half a sample is all it may be off"
    assert found[0].context == () and whole[1].context, "what lies before the stretch is not known in it"


def test_a_cue_that_the_edge_cuts_keeps_the_words_within(voice):
    srt = "1\n00:00:00,000 --> 00:00:04,000\nANN: aaaa bbbb cccc dddd\n\n2\n00:00:05,000 --> 00:00:06,000\nBOB: ee\n"
    found, _ = read(audio=(SAMPLE_RATE, voice), transcript=srt, start=2.0, end=5.2)
    assert [(w.text, w.speaker) for s in found for w in s.words or ()] == [("cccc", "ANN"), ("dddd", "ANN")]
    assert all(w.start >= 2.0 and w.end <= 5.2 for s in found for w in s.words or ())
    none, notes = read(audio=(SAMPLE_RATE, voice), transcript=srt, start=6.1)
    assert not any(s.words for s in none) and "no_words_in_clip" in notes


def test_words_without_times_are_those_of_the_stretch(voice):
    found, notes = read(audio=(SAMPLE_RATE, voice), text="We made it.", start=START, end=3.9)
    assert [w.text for s in found for w in s.words] == ["We", "made", "it."] and "words_spread" in notes
    assert all(START <= w.start < w.end <= 3.9 for s in found for w in s.words)


def test_a_picture_that_stands_is_seen_where_the_stretch_begins(make, portrait):
    slides = make.clip("slides.mkv", pictures=lambda t: portrait[0:240, 60:380], times=[0.0, 10.0, 20.0])
    for start, end in ((3.0, 8.0), (12.5, 18.0), (3.0, 14.0)):
        found, _ = read(slides, start=start, end=end)
        assert found and all(start <= s.start < s.end <= end and s.present == {"face"} for s in found)
    seen = [i.time for i in open_clip(slides, start=3.0, end=14.0).items() if isinstance(i, VideoFrame)]
    assert seen == pytest.approx([0.0, 7.0])


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"start": -1}, "start is -1; give a number of seconds of the clip, from 0 on"),
        ({"end": math.nan}, "end is nan; give a number"),
        ({"start": "2"}, "start is '2'; give a number"),
        ({"end": True}, "end is True; give a number"),
        ({"start": 3, "end": 3}, r"end is 3 s, which is not after start \(3 s\)"),
        ({"end": 0}, r"end is 0 s, which is not after start \(0 s\)"),
        ({"start": 7}, r"start is 7 s, and the clip ends at 6\.\d+ s: give seconds within it, from 0 to 6\."),
        ({"start": 1, "end": 7}, r"end is 7 s, and the clip ends at 6\.\d+ s"),
    ],
)
def test_what_is_no_stretch_of_the_clip_is_refused(sample, voice, how, told):
    for given in ({"source": sample}, {"audio": (SAMPLE_RATE, voice)}):
        with pytest.raises(MediaError, match=told):
            read(**given, **how)


def test_where_there_is_no_clock_there_is_no_stretch(portrait, tmp_path):
    (tmp_path / "a.txt").write_text("so sad")
    for given in ({"text": "so sad"}, {"image": portrait}, {"source": tmp_path / "a.txt"}):
        with pytest.raises(MediaError, match="start= and end= take a stretch out of sound or moving pictures"):
            read(**given, start=0.5)


def test_a_clip_that_does_not_say_how_long_it_is_is_found_too_short(make, voice, monkeypatch):
    clip = make.clip("a.wav", sound=voice[None], rate=SAMPLE_RATE)
    monkeypatch.setattr("emofuse.media.decode._counted_duration", lambda path: 0.0)
    monkeypatch.setattr("emofuse.media.decode.ESTIMATED", ("wav",))
    with pytest.raises(MediaError, match="start is 60 s, and the clip ends before that"):
        read(clip, start=60.0)
