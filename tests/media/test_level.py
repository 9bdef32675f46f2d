"""Quiet sound is heard as loud sound is, and said to have been raised; silence stays silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emofuse.media.decode import read_audio
from emofuse.media.level import Hearing, decibels, loudness, raised
from emofuse.media.reader import segments
from emofuse.types import SAMPLE_RATE


@pytest.fixture(scope="module")
def voice(repository: Path) -> np.ndarray:
    return read_audio(repository / "demo" / "samples" / "voice.flac")


@pytest.mark.parametrize("softer", [0, 40, 50, 70])
@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_a_voice_is_found_at_any_level(voice: np.ndarray, softer: int, offset: float) -> None:
    notes: list[str] = []
    sound = voice * np.float32(10 ** (-softer / 20)) + np.float32(offset)
    found = list(segments(audio=(SAMPLE_RATE, sound), notes=notes))
    plain = list(segments(audio=(SAMPLE_RATE, voice)))
    assert len(found) == len(plain)
    for segment, same in zip(found, plain, strict=True):
        assert (segment.start, segment.end) == pytest.approx((same.start, same.end), abs=0.2)
    told = [note for note in notes if getattr(note, "code", "") == "quiet"]
    assert len(told) == (softer > 0)
    for segment in found if softer else ():
        assert decibels(loudness(segment.waveform)) == pytest.approx(-25, abs=6)
        assert np.abs(segment.waveform).max() <= 1


def test_silence_is_not_raised() -> None:
    notes: list[str] = []
    sound = np.random.default_rng(0).integers(0, 2, SAMPLE_RATE * 3).astype(np.int32) * 2**10
    assert list(segments(audio=(SAMPLE_RATE, sound), notes=notes)) == []
    assert "the sound is silent: speech is absent" in notes


def test_the_pauses_of_a_loud_recording_are_not_raised() -> None:
    hearing, loud = Hearing(), np.full(8000, 0.1, np.float32) * np.resize([1, -1], 8000).astype(np.float32)
    assert hearing.push(0.0, loud) is loud
    quiet = loud * np.float32(1e-3)
    assert hearing.push(20.0, quiet) is quiet
    assert loudness(hearing.push(40.0, quiet)) > 0.05


def test_what_is_raised_is_not_clipped() -> None:
    sound = np.zeros(16_000, np.float32)
    sound[::4000] = 0.02
    assert np.abs(raised(sound, 1e4)).max() == pytest.approx(1.0)


@pytest.mark.parametrize(
    "levels", [(0.1, 1e-3, 1e-4), (1e-4, 1e-3, 1e-3, 0.1, 1e-4), (1e-7, 1e-3), (0.1,) + (1e-3,) * 70]
)
def test_in_parts_a_block_is_listened_to_as_it_is_whole(levels: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    blocks = [rng.normal(0, level, 8000).astype(np.float32) for level in levels]
    whole, parts = Hearing(), Hearing()
    expected = [whole.push(i / 2, block) for i, block in enumerate(blocks)]
    heard: list[np.ndarray] = []
    for i, block in enumerate(blocks):
        for j, part in enumerate(np.split(block, [1600, 4000, 7000])):
            heard += parts.hear(i / 2 + (0, 0.1, 0.25, 0.4375)[j], part, whole=j == 3)
    np.testing.assert_array_equal(np.concatenate(heard), np.concatenate(expected))
    assert parts.loudest == whole.loudest
    assert len(heard) > len(blocks) or max(levels) < 5e-3, "what is loud comes in parts"


def test_parts_that_nothing_follows_come_out_at_the_end() -> None:
    hearing, part = Hearing(), np.full(1600, 1e-3, np.float32) * np.resize([1, -1], 1600).astype(np.float32)
    assert list(hearing.hear(0.0, part, whole=False)) == []
    (raised_part,) = hearing.end()
    assert loudness(raised_part) == pytest.approx(0.056, rel=0.01) and list(hearing.end()) == []
