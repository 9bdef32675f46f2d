"""Gaps, broken timestamps and limits: no small file holds the reader for hours, and none is read beyond its limits."""

from __future__ import annotations

import time
from fractions import Fraction

import av
import numpy as np
import pytest

from emofuse.media.decode import AudioBlock, VideoFrame, read_audio, stream
from emofuse.media.limits import LimitError, Limits
from emofuse.media.reader import MediaOptions, segments

RATE = 16_000


@pytest.fixture
def voice(repository):
    """5 s of somebody speaking, 16 kHz mono."""
    return read_audio(repository / "demo" / "samples" / "voice.flac")


@pytest.fixture
def jumping(tmp_path, voice):
    """Writes a clip of a voice, twice, whose second half is stamped so many seconds late; with pictures or without."""

    def write(gap: float, pictures: int = 0):
        path = tmp_path / f"jump{gap:g}-{pictures}.mkv"
        with av.open(str(path), "w") as container:
            sound = container.add_stream("flac", rate=RATE, layout="mono")
            video = container.add_stream("mpeg4", rate=25) if pictures else None
            if video is not None:
                video.width = video.height = 64
            packets = []
            for i in range(0, 2 * voice.size, 1024):
                at = i % voice.size
                chunk = np.round(voice[at : at + 1024] * 32767).astype(np.int16)[None]
                frame = av.AudioFrame.from_ndarray(chunk, format="s16", layout="mono")
                frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), i
                packets += sound.encode(frame)
            packets += sound.encode(None)
            for packet in packets:
                if packet.pts * packet.time_base >= voice.size / RATE:
                    packet.pts += int(gap / packet.time_base)
                    packet.dts = packet.pts
                container.mux(packet)
            if video is not None:
                for i in range(pictures):
                    frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
                    frame.pts = i
                    container.mux(video.encode(frame))
                container.mux(video.encode(None))
        return path

    return write


@pytest.mark.parametrize("hours", [1, 27])
def test_a_jump_of_hours_is_a_gap_and_not_hours_of_silence(jumping, voice, hours):
    gap, began, notes = 3600.0 * hours, time.monotonic(), []
    found = list(segments(jumping(gap), notes=notes))
    assert time.monotonic() - began < 60
    second = min(segment.start for segment in found if segment.start > voice.size / RATE)
    heard = {round(segment.start - (second if segment.start >= second else 0), 1) for segment in found}
    assert 0.0 in heard and all(segment.waveform is not None for segment in found)
    if hours < 6:
        assert second == pytest.approx(voice.size / RATE + gap, abs=2)
        assert any("gaps of 3600 s" in note for note in notes)
    else:
        assert second < 2 * voice.size / RATE
        assert any("jump by 97200 s" in note for note in notes)


def test_silence_of_a_few_seconds_is_listened_to_as_before(jumping, voice):
    notes: list[str] = []
    blocks = [item for item in stream(jumping(5.0), notes=notes) if isinstance(item, AudioBlock)]
    assert blocks[-1].end == pytest.approx(2 * voice.size / RATE + 5, abs=0.1) and notes == []
    assert [one.end for one in blocks[:-1]] == pytest.approx([one.start for one in blocks[1:]])


def test_sound_at_once_keeps_its_place_after_a_gap(jumping, voice):
    whole = read_audio(jumping(15.0))
    assert whole.size == pytest.approx(2 * voice.size + 15 * RATE, abs=2000)
    assert not whole[voice.size + RATE : voice.size + 14 * RATE].any()


def test_pictures_after_a_gap_of_sound_are_all_seen(jumping):
    path = jumping(3600.0, pictures=50)
    assert sum(isinstance(item, VideoFrame) for item in stream(path)) == 50


@pytest.mark.parametrize(
    ("limits", "of"),
    [
        (Limits(frames=20), "frames"),
        (Limits(seconds=4.0), "seconds"),
        (Limits(seconds=60.0), "seconds"),
    ],
)
def test_what_is_beyond_a_limit_is_refused(jumping, limits, of):
    with pytest.raises(LimitError) as refused:
        list(segments(jumping(3600.0, pictures=50), options=MediaOptions(limits=limits)))
    assert refused.value.of == of


def test_within_its_limits_nothing_changes(jumping):
    limits = Limits(frames=50, seconds=20.0)
    path = jumping(0.0, pictures=50)
    told, untold = (
        [(s.start, s.end) for s in segments(path, options=MediaOptions(limits=one))] for one in (limits, Limits())
    )
    assert told == untold


def test_sound_that_no_timestamp_counts_is_counted_by_its_samples(make):
    path = make.clip("long.wav", sound=make.tone(30))
    with pytest.raises(LimitError):
        list(stream(path, limits=Limits(seconds=20.0)))


def test_whoever_waits_can_end_the_reading(jumping):
    calls = []

    def heed() -> None:
        calls.append(1)
        if len(calls) > 5:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        list(segments(jumping(0.0, pictures=50), options=MediaOptions(limits=Limits(heed=heed))))
