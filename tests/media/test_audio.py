"""Sound in memory: every type, shape and rate a microphone gives, and the same result as through a file."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emofuse.errors import MediaError
from emofuse.media.audio import Assembler
from emofuse.media.decode import as_waveform, read_audio
from emofuse.types import SAMPLE_RATE


def sine(rate: int, seconds: float = 1.0, frequency: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)


def as_type(wave: np.ndarray, dtype: str) -> np.ndarray:
    scale = {"int16": 2**15, "int32": 2**31, "uint8": 2**7}.get(dtype)
    if scale is None:
        return wave.astype(dtype)
    return (np.round(wave * (scale - 1)) + (128 if dtype == "uint8" else 0)).astype(dtype)


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint8", "float32", "float64"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_every_type_and_rate_gives_the_same_tone(dtype: str, rate: int) -> None:
    waveform = as_waveform(rate, as_type(sine(rate), dtype))
    assert waveform.dtype == np.float32 and waveform.shape == (SAMPLE_RATE,)
    tolerance = 0.012 if dtype == "uint8" else 1e-3
    np.testing.assert_allclose(waveform[200:-200], sine(SAMPLE_RATE)[200:-200], atol=tolerance)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 32_000, 96_000, 192_000])
def test_length_is_kept_in_seconds(rate: int) -> None:
    waveform = as_waveform(rate, sine(rate, 2.5))
    assert waveform.size == pytest.approx(2.5 * SAMPLE_RATE, abs=2)
    assert np.abs(waveform).max() <= 1.0


def test_nothing_above_the_new_limit_folds_back() -> None:
    loud = as_waveform(48_000, sine(48_000, 1.0, 11_000.0))
    assert np.abs(loud[500:-500]).max() < 1e-4
    kept = as_waveform(48_000, sine(48_000, 1.0, 6_500.0))
    assert np.abs(kept[500:-500]).max() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_either_order_of_axes(channels: int) -> None:
    wave = np.tile(sine(16_000).astype(np.float32), (channels, 1))
    np.testing.assert_array_equal(as_waveform(16_000, wave), as_waveform(16_000, wave.T))
    assert as_waveform(16_000, wave).shape == (16_000,)
    assert np.abs(as_waveform(16_000, wave)).max() <= 0.5 + 1e-3


def test_stereo_is_the_mean_and_never_overflows() -> None:
    left, right = np.full(16_000, 0.9, np.float32), np.full(16_000, 0.5, np.float32)
    np.testing.assert_allclose(as_waveform(16_000, np.stack([left, right])), 0.7, atol=1e-4)
    np.testing.assert_allclose(as_waveform(16_000, np.stack([left, -left])), 0.0, atol=1e-4)


def test_the_centre_of_surround_sound_stays_loud() -> None:
    sound = np.zeros((6, 16_000), np.float32)
    sound[2] = 0.8
    assert np.abs(as_waveform(16_000, sound)).mean() > 0.8 / 6


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2), (48_000, 6), (96_000, 2), (192_000, 1)])
def test_array_equals_file(make: SimpleNamespace, rate: int, channels: int) -> None:
    rng = np.random.default_rng(rate)
    smooth = np.convolve(rng.normal(0, 1, rate * 2), np.ones(8) / 8, mode="same")
    wave = np.stack([0.3 * np.roll(smooth, 7 * c) for c in range(channels)]).clip(-1, 1)
    pcm = (wave * 32767).astype(np.int16)
    path = make.clip("same.wav", sound=pcm.astype(np.float32) / 32768, rate=rate)
    from_file, from_array = read_audio(path), as_waveform(rate, pcm.T)
    assert from_file.shape == from_array.shape
    np.testing.assert_allclose(from_file, from_array, atol=1e-3)
    np.testing.assert_array_equal(read_audio((rate, pcm.T)), from_array)
    np.testing.assert_array_equal(read_audio((rate, pcm.T), 0.5, 1.0), from_array[8_000:16_000])


def test_overshoot_is_clipped_and_a_wrong_scale_refused() -> None:
    hot = as_waveform(16_000, (sine(16_000) * 3).astype(np.float32))
    assert np.abs(hot).max() == 1.0
    with pytest.raises(MediaError, match=r"lies in \[-1, 1\], but this reaches 16384.*divide them by 32768"):
        as_waveform(16_000, sine(16_000) * 32768)


def test_a_float_file_is_held_to_the_same_scale(make: SimpleNamespace) -> None:
    path = make.clip("hot.wav", sound=make.tone(0.5) * 400, audio_codec="pcm_f32le")
    with pytest.raises(MediaError, match="but this reaches 2"):
        read_audio(path)
    broken = make.tone(0.5)
    broken[0, 5_000] = np.nan
    path = make.clip("nan.wav", sound=broken, audio_codec="pcm_f32le")
    with pytest.raises(MediaError, match="NaN or infinite"):
        read_audio(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_refused(bad: float) -> None:
    wave = sine(16_000).astype(np.float32)
    wave[[10, 500]] = bad
    with pytest.raises(MediaError, match=r"2 samples that are NaN or infinite.*nan_to_num"):
        as_waveform(16_000, wave)


@pytest.mark.parametrize(
    ("rate", "array", "message"),
    [
        (4_000, np.zeros(10, np.int16), "4000 Hz is not usable.*8000 to 192000.*not kHz"),
        (48, np.zeros(10, np.int16), "48 Hz is not usable"),
        (384_000, np.zeros(10, np.int16), "384000 Hz is not usable"),
        (44_100.5, np.zeros(10, np.int16), "44100.5 Hz is not usable"),
        ("48000", np.zeros(10, np.int16), "a sampling rate is a number in Hz, not str"),
        (True, np.zeros(10, np.int16), "not bool"),
        (16_000, [0.0, 0.1], "sound in memory is a NumPy array, not list"),
        (16_000, np.zeros(10, np.int64), "an array of int64 is not sound; convert it to int16 or float32"),
        (16_000, np.zeros(10, bool), "an array of bool is not sound"),
        (16_000, np.zeros((2, 2, 2), np.int16), r"shape \(2, 2, 2\) is not sound"),
        (16_000, np.zeros((20, 30), np.int16), "20 channels are too many; 1 to 8"),
        (16_000, np.zeros(0, np.int16), "the array of sound is empty"),
    ],
)
def test_what_cannot_be_sound_says_why(rate: object, array: object, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        as_waveform(rate, array)  # type: ignore[arg-type]


def test_a_pair_is_a_pair() -> None:
    with pytest.raises(MediaError, match="a pair \\(rate, array\\), not 3 things"):
        read_audio((1, 2, 3))  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-0.5, 3.0), st.integers(1, 6)), min_size=1, max_size=6),
    st.floats(0.0, 2.0),
    st.one_of(st.none(), st.floats(2.0, 5.0)),
)
def test_blocks_are_gapless_whatever_the_timestamps_say(
    jumps: list[tuple[float, int]], origin: float, end: float | None
) -> None:
    """Frames may jump forward and back in time: what comes out is one unbroken line from `origin`."""
    import av

    assembler, time, blocks = Assembler(origin, end, longest=60.0), origin, []
    for jump, count in jumps:
        time = max(0.0, time + jump)
        for _ in range(count):
            frame = av.AudioFrame.from_ndarray(np.full((1, 1600), 0.1, np.float32), format="fltp", layout="mono")
            frame.sample_rate = 16_000
            blocks += assembler.push(frame, time)
            time += 0.1
    blocks += assembler.finish()
    position = origin
    for block in blocks:
        assert block.start == pytest.approx(position, abs=1e-6)
        assert 0 < block.samples.size <= SAMPLE_RATE
        position = block.end
    if end is not None:
        assert position <= end + 1 / SAMPLE_RATE


def test_a_broken_timestamp_does_not_ask_for_a_day_of_silence() -> None:
    import av

    assembler = Assembler(longest=70.0)
    blocks = []
    for time in (0.0, 0.1, 86_400.0, 0.3):
        frame = av.AudioFrame.from_ndarray(np.full((1, 1600), 0.1, np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        blocks += assembler.push(frame, time)
    blocks += assembler.finish()
    assert blocks[-1].end == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize("samples", [341, 1600, 9000, 40_000])
def test_prompt_sound_is_the_same_blocks_in_parts(samples: int) -> None:
    import av

    sound = np.random.default_rng(0).normal(0, 0.1, 130_000).astype(np.float32)
    found = []
    for prompt in (False, True):
        assembler, blocks = Assembler(end=8.0, prompt=prompt), []
        for i in range(0, sound.size, samples):
            frame = av.AudioFrame.from_ndarray(sound[None, i : i + samples].copy(), format="fltp", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            blocks += assembler.push(frame, i / SAMPLE_RATE + (3.0 if i > 60_000 else 0.0))
        found.append(blocks + list(assembler.finish()))
    whole, parts = found
    assert all(block.whole for block in whole)
    ends = [i for i, block in enumerate(parts) if block.whole]
    joined = [
        parts[a:b] for a, b in zip([0, *(i + 1 for i in ends)], [*(i + 1 for i in ends), len(parts)], strict=True)
    ]
    joined = [group for group in joined if group]
    assert [group[0].start for group in joined] == [block.start for block in whole]
    for group, block in zip(joined, whole, strict=True):
        np.testing.assert_array_equal(np.concatenate([part.samples for part in group]), block.samples)
    if samples < 1600:
        assert np.median([part.samples.size for part in parts]) < 2000


def test_a_masked_array_is_refused_because_nobody_knows_what_lies_under_the_mask():
    with pytest.raises(MediaError, match=r"masked array.*filled"):
        as_waveform(16_000, np.ma.masked_array(np.zeros(16_000, np.float32)))
