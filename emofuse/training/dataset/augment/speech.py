"""Speech augmentation: rooms, microphones, codecs and background voices."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from jaxtyping import Float32
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.signal import fftconvolve, resample_poly

from emofuse.errors import require_package
from emofuse.training.recipe.augmentation import SpeechAugment
from emofuse.types import SAMPLE_RATE

Waveform = Float32[np.ndarray, "samples"]
MELS = 80
"""Bins that spans of frequency are drawn over."""


def augment_speech(
    waveform: Waveform, options: SpeechAugment, rng: np.random.Generator, other: Callable[[], Waveform | None]
) -> Waveform:
    """The waveform with each change at its chance, in the order sound meets them; `other` gives a voice to babble."""
    if rng.random() < options.crop:
        waveform = crop(waveform, rng.uniform(*options.keep), rng)
    if rng.random() < options.speed:
        waveform = change_speed(waveform, rng.uniform(*options.speeds))
    if rng.random() < options.pitch:
        waveform = shift_pitch(waveform, rng.uniform(*options.semitones))
    if rng.random() < options.reverb:
        waveform = reverberate(waveform, rng.uniform(*options.decay), rng)
    if rng.random() < options.babble:
        voice = other()
        if voice is not None:
            waveform = mix(waveform, fit_length(voice, len(waveform), rng), rng.uniform(*options.snr))
    if rng.random() < options.noise:
        waveform = mix(waveform, coloured_noise(len(waveform), rng.uniform(0, 2), rng), rng.uniform(*options.snr))
    if rng.random() < options.band:
        waveform = band_pass(waveform, rng.uniform(50, 400), rng.uniform(3000, 7000))
    if rng.random() < options.quantise:
        waveform = companded(waveform)
    if rng.random() < options.gain:
        waveform = waveform * 10 ** (rng.uniform(*options.decibels) / 20)
    return np.clip(waveform, -1, 1).astype(np.float32)


def mask_features(values: np.ndarray, options: SpeechAugment, rng: np.random.Generator) -> np.ndarray:
    """SpecAugment (Park et al. 2019) on [frames, bins]: spans of time and of bins set to 0, which is their mean.

    Two stacked mel frames [frames, 2 * MELS] lose the same bins in both.
    """
    values = values.copy()
    frames, width = values.shape
    bins = MELS if width % MELS == 0 else width
    for _ in range(options.masks):
        start, length = _span(frames, options.mask_time, rng)
        values[start : start + length] = 0
        start, length = _span(bins, options.mask_frequency, rng)
        values.reshape(frames, width // bins, bins)[:, :, start : start + length] = 0
    return values


def mask_waveform(values: Waveform, options: SpeechAugment, rng: np.random.Generator) -> Waveform:
    """SpecAugment for encoders of raw waveforms, in the time domain (Ravanelli et al. 2021): spans of time are 0, and
    spans of frequency, which are even on the mel scale, are filtered out.
    """
    spectrum = np.asarray(rfft(values))
    mel = 2595 * np.log10(1 + rfftfreq(len(values), 1 / SAMPLE_RATE) / 700)
    bins = np.minimum((mel / mel[-1] * MELS).astype(int), MELS - 1)
    for _ in range(options.masks):
        start, length = _span(MELS, options.mask_frequency, rng)
        spectrum[(bins >= start) & (bins < start + length)] = 0
    masked = np.asarray(irfft(spectrum, len(values))).astype(np.float32)
    for _ in range(options.masks):
        start, length = _span(len(values), options.mask_time, rng)
        masked[start : start + length] = 0
    return masked


def mix(waveform: Waveform, noise: Waveform, snr: float) -> Waveform:
    """Sum at a signal-to-noise ratio of `snr` dB; silence in either leaves the waveform as it is."""
    signal, power = float(np.mean(waveform**2)), float(np.mean(noise**2))
    if signal == 0 or power == 0:
        return waveform
    return waveform + noise * np.float32(np.sqrt(signal / power / 10 ** (snr / 10)))


def coloured_noise(length: int, exponent: float, rng: np.random.Generator) -> Waveform:
    """Noise whose power falls as 1/f^exponent: 0 white, 1 pink, 2 brown."""
    size = cast(int, next_fast_len(max(length, 1), real=True))
    spectrum = np.asarray(rfft(rng.standard_normal(size, dtype=np.float32)))
    frequency = np.maximum(rfftfreq(size), 1 / size).astype(np.float32)
    return np.asarray(irfft(spectrum / frequency ** (exponent / 2), size))[:length]


def reverberate(waveform: Waveform, decay: float, rng: np.random.Generator) -> Waveform:
    """A room of reverberation time `decay` s (RT60), as noise under an exponential that falls 60 dB; same loudness."""
    time = np.arange(max(1, int(decay * SAMPLE_RATE))) / SAMPLE_RATE
    response = rng.standard_normal(len(time)) * np.exp(-6.9078 * time / decay) * rng.uniform(0.02, 0.15)
    response[0] = 1.0
    wet = fftconvolve(waveform, response)[: len(waveform)].astype(np.float32)
    return wet * np.float32(np.sqrt(np.mean(waveform**2) / max(float(np.mean(wet**2)), 1e-12)))


def change_speed(waveform: Waveform, factor: float) -> Waveform:
    """Played `factor` times as fast, pitch and all."""
    up, down = 100, max(1, round(100 * factor))
    return resample_poly(waveform, up, down).astype(np.float32)


def shift_pitch(waveform: Waveform, semitones: float) -> Waveform:
    """Pitch moved, duration kept (librosa's phase vocoder)."""
    require_package("librosa", extra="train")
    import librosa

    if len(waveform) < 2048:
        return waveform
    return librosa.effects.pitch_shift(waveform, sr=SAMPLE_RATE, n_steps=semitones, res_type="soxr_qq", n_fft=1024)


def band_pass(waveform: Waveform, low: float, high: float) -> Waveform:
    """Only what lies between `low` and `high` Hz, with soft edges."""
    size = cast(int, next_fast_len(max(len(waveform), 1), real=True))
    spectrum = np.asarray(rfft(waveform, size))
    frequency = rfftfreq(size, 1 / SAMPLE_RATE)
    gain = 1 / (1 + np.exp(-(frequency - low) / 30)) / (1 + np.exp((frequency - high) / 150))
    return np.asarray(irfft(spectrum * gain, size))[: len(waveform)].astype(np.float32)


def companded(waveform: Waveform) -> Waveform:
    """Through 8-bit μ-law (ITU-T G.711) and back."""
    peak = max(float(np.abs(waveform).max()), 1e-6)
    scaled = waveform / peak
    code = np.round(np.sign(scaled) * np.log1p(255 * np.abs(scaled)) / np.log(256) * 127) / 127
    return (np.sign(code) * np.expm1(np.abs(code) * np.log(256)) / 255 * peak).astype(np.float32)


def crop(waveform: Waveform, share: float, rng: np.random.Generator) -> Waveform:
    """A random stretch that is `share` of the whole."""
    length = min(len(waveform), max(1, round(len(waveform) * share)))
    start = int(rng.integers(0, len(waveform) - length + 1))
    return waveform[start : start + length]


def fit_length(waveform: Waveform, length: int, rng: np.random.Generator) -> Waveform:
    """A stretch of `length` samples, the waveform repeated from a random offset where it is shorter."""
    offset = int(rng.integers(0, max(1, len(waveform))))
    return np.resize(np.roll(waveform, -offset), length).astype(np.float32)


def _span(size: int, share: float, rng: np.random.Generator) -> tuple[int, int]:
    length = int(rng.integers(0, max(1, round(size * share)) + 1))
    return int(rng.integers(0, max(1, size - length + 1))), length
