"""Augmentation changes what it says, by as much as it says, and the same seed changes it the same way."""

from __future__ import annotations

import numpy as np
import pytest

from emofuse.media.transcript import spread
from emofuse.training.dataset.augment import speech
from emofuse.training.dataset.augment.face import augment_faces
from emofuse.training.dataset.augment.segment import augment_segment, streams_of
from emofuse.training.dataset.augment.speech import augment_speech, mask_features, mask_waveform
from emofuse.training.dataset.augment.text import augment_context, augment_words
from emofuse.training.recipe.augmentation import Augment, FaceAugment, SpeechAugment, TextAugment
from emofuse.types import Segment

PRIME = 16_033


@pytest.fixture
def tone() -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(PRIME) / 16_000)).astype(np.float32)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_noise_falls_with_frequency_as_asked(exponent: float):
    rng = np.random.default_rng(0)
    noise = np.stack([speech.coloured_noise(PRIME, exponent, rng) for _ in range(20)])
    assert noise.shape == (20, PRIME)
    assert noise.dtype == np.float32
    power = (np.abs(np.fft.rfft(noise * np.hanning(PRIME), 1 << 15)) ** 2).mean(0)
    frequency = np.fft.rfftfreq(1 << 15)
    band = (frequency > 0.005) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.15)


def test_noise_is_mixed_at_the_ratio_asked_for(tone: np.ndarray):
    noise = speech.coloured_noise(len(tone), 0.0, np.random.default_rng(0))
    added = speech.mix(tone, noise, 10.0) - tone
    assert 10 * np.log10(np.mean(tone**2) / np.mean(added**2)) == pytest.approx(10.0, abs=0.05)
    np.testing.assert_array_equal(speech.mix(tone, np.zeros_like(tone), 10.0), tone)


def test_a_band_keeps_what_is_in_it_and_nothing_else(tone: np.ndarray):
    time = np.arange(PRIME) / 16_000
    low = np.sin(2 * np.pi * 60 * time).astype(np.float32)
    kept, lost = speech.band_pass(tone, 300, 3400), speech.band_pass(low, 400, 3400)
    middle = slice(2000, -2000)
    assert len(kept) == PRIME
    assert np.mean(kept[middle] ** 2) > 0.9 * np.mean(tone[middle] ** 2)
    assert np.mean(lost[middle] ** 2) < 0.01 * np.mean(low[middle] ** 2)


def test_speed_crop_and_reverberation(tone: np.ndarray):
    rng = np.random.default_rng(0)
    assert len(speech.change_speed(tone, 1.25)) == pytest.approx(PRIME / 1.25, abs=2)
    assert len(speech.crop(tone, 0.5, rng)) == pytest.approx(PRIME / 2, abs=1)
    wet = speech.reverberate(tone, 0.3, rng)
    assert wet.shape == tone.shape
    assert np.mean(wet**2) == pytest.approx(np.mean(tone**2), rel=1e-3)
    assert np.abs(speech.companded(tone) - tone).max() < 0.02


def test_every_change_at_once_is_sound_and_repeats(tone: np.ndarray):
    names = ("noise", "babble", "reverb", "speed", "gain", "band", "quantise", "crop")
    options = SpeechAugment(**dict.fromkeys(names, 1.0))
    one, two = (augment_speech(tone, options, np.random.default_rng(3), lambda: tone[::-1]) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.dtype == np.float32
    assert np.isfinite(one).all()
    assert np.abs(one).max() <= 1


def test_no_chance_changes_nothing(tone: np.ndarray):
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 255, (2, 20, 20, 3), dtype=np.uint8)
    words = spread("I am so happy!", 0, 1)
    np.testing.assert_array_equal(augment_speech(tone, SpeechAugment(), rng, lambda: None), tone)
    np.testing.assert_array_equal(augment_faces(crops, FaceAugment(), rng), crops)
    assert augment_words(words, TextAugment(), rng) == words


def test_masks_hit_both_halves_of_stacked_frames():
    options = SpeechAugment(mask=1.0, masks=1, mask_time=0.01, mask_frequency=0.9)
    for seed in range(20):
        masked = mask_features(np.ones((50, 160), np.float32), options, np.random.default_rng(seed))
        gone = (masked == 0).all(0)
        np.testing.assert_array_equal(gone[:80], gone[80:])
        if gone.any():
            return
    pytest.fail("no bin was ever masked")


def test_masks_of_a_waveform_silence_time_and_filter_frequency():
    noise = np.random.default_rng(0).standard_normal(PRIME).astype(np.float32)
    silent = SpeechAugment(mask=1.0, masks=1, mask_time=0.5, mask_frequency=0.0)
    filtered = SpeechAugment(mask=1.0, masks=1, mask_time=0.0, mask_frequency=0.5)
    shares, losses = [], []
    for seed in range(20):
        shares.append((mask_waveform(noise, silent, np.random.default_rng(seed)) == 0).mean())
        masked = mask_waveform(noise, filtered, np.random.default_rng(seed))
        power = np.abs(np.fft.rfft(masked)) ** 2 / np.abs(np.fft.rfft(noise)) ** 2
        losses.append((power < 0.01).mean())
        assert masked.shape == noise.shape and masked.dtype == np.float32
    assert 0.1 < np.mean(shares) < 0.4 and max(shares) <= 0.51
    assert 0.03 < np.mean(losses) < 0.5


ALL = ("flip", "crop", "rotate", "colour", "grey", "blur", "resolution", "jpeg", "erase")


def test_frames_of_a_track_change_alike():
    one, two = np.random.default_rng(0).integers(0, 255, (2, 24, 24, 3), dtype=np.uint8)
    changed = augment_faces(np.stack([one, two, one]), FaceAugment(**dict.fromkeys(ALL, 1.0)), np.random.default_rng(1))
    assert changed.shape == (3, 24, 24, 3)
    assert changed.dtype == np.uint8
    np.testing.assert_array_equal(changed[0], changed[2])
    assert not np.array_equal(changed[0], one)


def test_a_picture_shown_several_times_changes_each_time_but_is_mirrored_as_a_whole():
    picture = np.random.default_rng(0).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    shown = np.stack([picture] * 4)
    changed = augment_faces(shown, FaceAugment(**dict.fromkeys(ALL, 1.0)), np.random.default_rng(1))
    assert len({frame.tobytes() for frame in changed}) == 4
    for seed in range(8):
        mirrored = augment_faces(shown, FaceAugment(flip=0.5), np.random.default_rng(seed))
        assert len({frame.tobytes() for frame in mirrored}) == 1


def test_words_go_but_never_all_of_them():
    words = spread("the funny movie was really bad", 0, 2)
    left = augment_words(words, TextAugment(dropout=1.0), np.random.default_rng(0))
    assert len(left) == 1
    assert left[0] in words
    swapped = augment_words(words, TextAugment(synonyms=1.0), np.random.default_rng(0))
    assert [w.start for w in swapped] == [w.start for w in words]
    assert "bad" not in {w.text for w in swapped}
    assert "the" in {w.text for w in swapped}


def test_context_and_the_names_in_it_go_apart():
    turns = ("Joey: Hey, you: look!", "Ross: Yes?", "Joey:")
    rng = np.random.default_rng(0)
    assert augment_context(turns, TextAugment(), rng) == turns
    assert augment_context(turns, TextAugment(context=1.0), rng) == ()
    assert augment_context(turns, TextAugment(names=1.0), rng) == ("Hey, you: look!", "Yes?")


@pytest.mark.parametrize("first", [True, False])
def test_later_turns_stay_unless_the_earlier_ones_are_taken_away(first: bool):
    """A first turn has no earlier ones to lose."""
    turns = () if first else ("A: hey",)
    segment = Segment("a", 0.0, 1.0, words=spread("so happy", 0, 1), context=turns, after=("B: yes",))
    streams = streams_of(np.random.default_rng(0))
    kept = augment_segment(segment, Augment(), streams, lambda rng: None)
    assert (kept.context, kept.after) == (segment.context, segment.after)
    gone = Augment.model_validate({"text": {"context": 1.0}})
    assert first or augment_segment(segment, gone, streams, lambda rng: None).after == ()
