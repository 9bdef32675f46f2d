"""Speech perturbations: noise, babble, clipping, telephone band, codecs; mono waveforms, 16 kHz, [-1, 1]."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from emofuse.types import SAMPLE_RATE

Waveform = Float32[np.ndarray, " samples"]
VOICES = 4
"""Talkers in a babble."""


def noise(waveform: Waveform, snr: float, rng: np.random.Generator) -> Waveform:
    """Pink noise (power falling as 1/f, as in most rooms) at a signal-to-noise ratio in dB."""
    spectrum = np.fft.rfft(rng.standard_normal(len(waveform)))
    frequency = np.maximum(np.arange(len(spectrum)), 1)
    return mix(waveform, np.fft.irfft(spectrum / np.sqrt(frequency), len(waveform)), snr)


def babble(waveform: Waveform, snr: float, rng: np.random.Generator, voices: Sequence[Waveform]) -> Waveform:
    """Four other people talking at once, each as loud as the others, at a signal-to-noise ratio in dB."""
    crowd = np.zeros(len(waveform))
    for i in rng.permutation(len(voices))[:VOICES]:
        voice = np.asarray(voices[i], np.float64)
        if len(voice) and np.any(voice):
            start = rng.integers(0, len(voice))
            crowd += np.resize(np.roll(voice, -start), len(waveform)) / np.sqrt(np.mean(voice**2))
    return mix(waveform, crowd, snr)


def clipping(waveform: Waveform, share: float, rng: np.random.Generator) -> Waveform:
    """A level so high that this share of the samples (silence aside) hits the ceiling; at its old peak again."""
    loudness = np.abs(waveform[waveform != 0])
    if not len(loudness):
        return waveform
    ceiling = float(np.quantile(loudness, 1 - share))
    return _float(np.clip(waveform, -ceiling, ceiling) * (loudness.max() / ceiling))


def telephone(waveform: Waveform, highest: float, rng: np.random.Generator) -> Waveform:
    """The band from 300 Hz to `highest` Hz (3400 on the telephone), in the 8-bit μ-law of ITU-T G.711."""
    spectrum = np.fft.rfft(waveform)
    frequency = np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE)
    rise = np.clip((frequency - 250) / 50, 0, 1)
    fall = np.clip((1.05 * highest - frequency) / (0.05 * highest), 0, 1)
    narrow = np.fft.irfft(spectrum * rise * fall, len(waveform))
    squeezed = np.sign(narrow) * np.log1p(255 * np.minimum(np.abs(narrow), 1)) / np.log(256)
    squeezed = np.round(squeezed * 127) / 127
    return _float(np.sign(squeezed) * np.expm1(np.abs(squeezed) * np.log(256)) / 255)


def codec(waveform: Waveform, kilobits: float, rng: np.random.Generator) -> Waveform:
    """Through Opus and back, at this many kbit/s; the length is kept."""
    import av

    with io.BytesIO() as buffer:
        with av.open(buffer, "w", format="ogg") as out:
            stream = out.add_stream("libopus", rate=48_000, options={"application": "voip"})
            stream.bit_rate = int(kilobits * 1000)
            stream.layout = "mono"
            resampler = av.AudioResampler(format="flt", layout="mono", rate=48_000)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(waveform[None], np.float32), "fltp", "mono")
            frame.sample_rate = SAMPLE_RATE
            for part in (*resampler.resample(frame), *resampler.resample(None)):
                out.mux(stream.encode(part))
            out.mux(stream.encode(None))
        buffer.seek(0)
        back = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)
        blocks = []
        with av.open(buffer, "r") as source:
            for part in source.decode(audio=0):
                blocks += [b.to_ndarray()[0] for b in back.resample(part)]
            blocks += [b.to_ndarray()[0] for b in back.resample(None)]
    heard = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    return _float(np.pad(heard, (0, max(0, len(waveform) - len(heard))))[: len(waveform)])


def mix(waveform: Waveform, other: np.ndarray, snr: float) -> Waveform:
    """Both together at a ratio in dB; silence in either leaves the waveform as it is. Peaks past 1 are scaled down."""
    power, against = float(np.mean(np.square(waveform, dtype=np.float64))), float(np.mean(np.square(other)))
    if power == 0 or against == 0:
        return waveform
    mixed = waveform + other * np.sqrt(power / against / 10 ** (snr / 10))
    return _float(mixed / max(1.0, float(np.abs(mixed).max())))


def _float(values: np.ndarray) -> Waveform:
    return np.clip(values, -1, 1).astype(np.float32)
