"""One channel out of any layout: nothing that is in a channel is lost in the mix."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from emofuse.media.audio import as_waveform
from emofuse.media.decode import read_audio, stream

RATE = 16_000
CANCELS = "the channels of the sound cancel each other, or their mix is nearly empty: the loudest of them was taken"


def noise(seconds: float = 2.0) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


@pytest.mark.parametrize("softer", [1.0, 0.95])
def test_opposite_phases_do_not_cancel(softer: float) -> None:
    voice, notes = noise(), []
    assert as_waveform(RATE, np.stack([voice, -softer * voice]), notes) == pytest.approx(voice, abs=1e-6)
    assert notes == [CANCELS]


@pytest.mark.parametrize("channels", range(2, 9))
def test_a_voice_in_any_one_channel_is_heard(channels: int) -> None:
    voice = noise()
    for alone in range(channels):
        sound = np.zeros((channels, len(voice)), np.float32)
        sound[alone] = voice
        assert np.std(as_waveform(RATE, sound)) > 0.15 * np.std(voice)


def test_the_bass_of_surround_sound_stays_out_of_the_mix() -> None:
    sound, notes = np.zeros((6, 2 * RATE), np.float32), []
    sound[2], sound[3] = 0.02 * noise(), 5 * noise()
    assert as_waveform(RATE, sound, notes) == pytest.approx(0.29289 * sound[2], abs=1e-5) and notes == []


def test_what_cancels_for_a_while_is_mixed_again_after() -> None:
    voice, notes = noise(6.0), []
    other = np.where(np.arange(len(voice)) < 3 * RATE, -voice, voice)
    assert np.std(as_waveform(RATE, np.stack([voice, other]), notes)) == pytest.approx(np.std(voice), rel=0.05)
    assert notes == [CANCELS]


def test_a_file_says_so_too(make: SimpleNamespace) -> None:
    voice, notes = noise(), []
    path = make.clip("opposite.wav", sound=np.stack([voice, -voice]), rate=RATE)
    assert read_audio(path) == pytest.approx(voice, abs=1e-3)
    assert list(stream(path, notes=notes)) and notes == [CANCELS]
