"""Filter banks of speech front ends: Kaldi's log-mel energies, and Slaney's triangles, in NumPy alone."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32

LOWEST = 20.0
"""Hz at which Kaldi's first triangle begins."""
PREEMPHASIS = 0.97
EPSILON = np.finfo(np.float32).eps
"""Energy below which the logarithm is not taken."""


class Bank:
    """Filters over a spectrum, each of which lets few frequencies through: only those are added up.

    The product with the matrix of the filters, mostly zeros, would be done by NumPy's BLAS in several threads, which go
    on turning for some 50 ms of processor time after each product, beside the encoders that compute then.
    """

    def __init__(self, filters: Float[np.ndarray, "filters frequencies"]) -> None:
        passed = [np.flatnonzero(row) if row.any() else np.array([0]) for row in filters]
        self._passed = np.concatenate(passed)
        self._weights = np.concatenate([row[those] for row, those in zip(filters, passed, strict=True)])
        self._starts = np.cumsum([0, *map(len, passed[:-1])])

    def __call__(self, spectrum: Float[np.ndarray, "frames frequencies"]) -> Float[np.ndarray, "frames filters"]:
        """What each filter lets through of each frame."""
        return np.add.reduceat(spectrum.take(self._passed, axis=1) * self._weights, self._starts, axis=1)


def kaldi_log_mel(
    waveform: Float32[np.ndarray, " samples"], *, rate: int, window: int, hop: int, bins: int
) -> Float32[np.ndarray, "frames bins"]:
    """Log-mel energies as Kaldi's compute-fbank-feats has them: whole frames only, no dither, the mean of each taken
    away, pre-emphasis, Povey's window, the power spectrum of the next power of two, triangles on O'Shaughnessy's scale.

    `waveform` on the scale of 16-bit integers; `window` and `hop` in samples. No frame for less than one window.
    """
    if waveform.size < window:
        return np.zeros((0, bins), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, window)[::hop].astype(np.float64)
    frames -= frames.mean(1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    size = 1 << (window - 1).bit_length()
    energy = _kaldi(bins, size, rate)(power((frames - PREEMPHASIS * before) * _povey(window), size))
    return np.log(np.maximum(energy, EPSILON)).astype(np.float32)


def power(frames: Float[np.ndarray, "frames window"], size: int) -> Float[np.ndarray, "frames frequencies"]:
    """The power spectrum of each frame, filled up with zeros to `size` samples."""
    spectrum = np.fft.rfft(frames, size)
    return np.square(spectrum.real) + np.square(spectrum.imag)


@lru_cache(maxsize=4)
def _povey(window: int) -> Float32[np.ndarray, " window"]:
    """Hann's, raised so that it is wider."""
    return (np.hanning(window) ** 0.85).astype(np.float32)


@lru_cache(maxsize=4)
def _kaldi(bins: int, size: int, rate: int) -> Bank:
    return Bank(_kaldi_triangles(bins, size, rate))


def _kaldi_triangles(bins: int, size: int, rate: int) -> Float32[np.ndarray, "bins frequencies"]:
    """Triangles of height 1 at equal steps of mel from LOWEST to half the rate; the last frequency has no weight."""
    low, high = (1127.0 * math.log(1.0 + f / 700.0) for f in (LOWEST, rate / 2))
    step = (high - low) / (bins + 1)
    left = low + np.arange(bins)[:, None] * step
    mel = 1127.0 * np.log(1.0 + rate / size * np.arange(size // 2) / 700.0)[None]
    rising, falling = (mel - left) / step, (left + 2 * step - mel) / step
    return np.pad(np.maximum(np.minimum(rising, falling), 0.0), ((0, 0), (0, 1))).astype(np.float32)


@lru_cache(maxsize=4)
def slaney(frequencies: int, bins: int, rate: int) -> Bank:
    """The bank of `slaney_triangles`."""
    return Bank(slaney_triangles(frequencies, bins, rate).T)


def slaney_triangles(frequencies: int, bins: int, rate: int) -> Float32[np.ndarray, "frequencies bins"]:
    """Triangles of unit area on Slaney's mel scale (Auditory Toolbox, 1998) from 0 to half the rate: equal steps of
    200/3 Hz up to 1 kHz, from there 27 steps to 6.4 kHz, each by the same factor."""
    corner, factor = 15.0, math.log(6.4) / 27.0
    top = rate / 2
    highest = corner + math.log(top / 1000.0) / factor if top >= 1000.0 else 3.0 * top / 200.0
    mel = np.linspace(0.0, highest, bins + 2)
    edges = np.where(mel < corner, mel * 200.0 / 3.0, 1000.0 * np.exp(factor * (mel - corner)))
    away = edges[None] - np.linspace(0.0, top, frequencies)[:, None]
    width = np.diff(edges)
    triangles = np.maximum(np.minimum(-away[:, :-2] / width[:-1], away[:, 2:] / width[1:]), 0.0)
    return (triangles * 2.0 / (edges[2:] - edges[:-2])).astype(np.float32)
