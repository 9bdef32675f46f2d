"""Cepstra: mel-frequency cepstral coefficients of sound, a hundred a second, and the level of each."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32

from emofuse.types import SAMPLE_RATE

HOP, _WINDOW, _FFT = SAMPLE_RATE // 100, SAMPLE_RATE // 40, 512
_BANDS, COEFFICIENTS = 40, 24
_LOWEST, _HIGHEST = 60.0, 7600.0
"""Hz between which the bands lie."""


def cepstra(waveform: Float32[np.ndarray, " samples"]) -> Float32[np.ndarray, "frames 25"]:
    """Coefficients 1 to 24 of each 25 ms, every 10 ms, then the level in decibels; no frame below 25 ms."""
    from scipy.fft import dct

    if waveform.size < _WINDOW:
        return np.zeros((0, COEFFICIENTS + 1), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, _WINDOW)[::HOP].astype(np.float64)
    level = 10 * np.log10(np.square(frames).mean(axis=1) + 1e-10)
    emphasised = frames[:, 1:] - 0.97 * frames[:, :-1]
    power = np.abs(np.fft.rfft(emphasised * np.hamming(_WINDOW - 1), _FFT)) ** 2
    bands = np.log(power @ _mel_bands().T + 1e-10)
    coefficients = np.asarray(dct(bands, type=2, norm="ortho", axis=1))[:, 1 : COEFFICIENTS + 1]
    return np.column_stack([coefficients, level]).astype(np.float32)


@lru_cache(maxsize=1)
def _mel_bands() -> Float[np.ndarray, "bands bins"]:
    """Triangles of equal width on the mel scale (2595 log10(1 + f / 700)), which overlap by half."""
    mel = 2595 * np.log10(1 + np.array([_LOWEST, _HIGHEST]) / 700)
    edges = 700 * (10 ** (np.linspace(*mel, _BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling))
