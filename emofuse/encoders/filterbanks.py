"""Filter banks of speech front ends: Kaldi's log-mel energies, and Slaney's triangles, in PyTorch alone."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

LOWEST = 20.0
"""Hz at which Kaldi's first triangle begins."""
PREEMPHASIS = 0.97
EPSILON = torch.finfo(torch.float32).eps
"""Energy below which the logarithm is not taken."""


def kaldi_log_mel(
    waveform: Float[Tensor, " samples"], *, rate: int, window: int, hop: int, bins: int
) -> Float[Tensor, "frames bins"]:
    """Log-mel energies as Kaldi's compute-fbank-feats has them: whole frames only, no dither, the mean of each taken
    away, pre-emphasis, Povey's window, the power spectrum of the next power of two, triangles on O'Shaughnessy's scale.

    `waveform` on the scale of 16-bit integers; `window` and `hop` in samples. No frame for less than one window.
    """
    if waveform.numel() < window:
        return waveform.new_zeros(0, bins)
    frames = waveform.unfold(0, window, hop)
    frames = frames - frames.mean(1, keepdim=True)
    before = F.pad(frames[None], (1, 0), mode="replicate")[0, :, :-1]
    frames = (frames - PREEMPHASIS * before) * _povey(window)
    size = 1 << (window - 1).bit_length()
    power = torch.fft.rfft(F.pad(frames, (0, size - window))).abs().square()
    return torch.mm(power, _kaldi_triangles(bins, size, rate).T).clamp(min=EPSILON).log()


@lru_cache(maxsize=4)
def _povey(window: int) -> Float[Tensor, " window"]:
    """Hann's, raised so that it is wider."""
    return torch.hann_window(window, periodic=False, dtype=torch.float32).pow(0.85)


@lru_cache(maxsize=4)
def _kaldi_triangles(bins: int, size: int, rate: int) -> Float[Tensor, "bins frequencies"]:
    """Triangles of height 1 at equal steps of mel from LOWEST to half the rate; the last frequency has no weight."""
    low, high = (1127.0 * math.log(1.0 + f / 700.0) for f in (LOWEST, rate / 2))
    step = (high - low) / (bins + 1)
    left = low + torch.arange(bins, dtype=torch.float32)[:, None] * step
    mel = 1127.0 * (1.0 + rate / size * torch.arange(size // 2, dtype=torch.float32) / 700.0).log()[None]
    rising, falling = (mel - left) / step, (left + 2 * step - mel) / step
    return F.pad(torch.minimum(rising, falling).clamp(min=0.0), (0, 1))


@lru_cache(maxsize=4)
def slaney_triangles(frequencies: int, bins: int, rate: int) -> Float[Tensor, "frequencies bins"]:
    """Triangles of unit area on Slaney's mel scale (Auditory Toolbox, 1998) from 0 to half the rate: equal steps of
    200/3 Hz up to 1 kHz, from there 27 steps to 6.4 kHz, each by the same factor."""
    corner, factor = 15.0, math.log(6.4) / 27.0
    top = rate / 2
    highest = corner + math.log(top / 1000.0) / factor if top >= 1000.0 else 3.0 * top / 200.0
    mel = torch.linspace(0.0, highest, bins + 2, dtype=torch.float64)
    edges = torch.where(mel < corner, mel * 200.0 / 3.0, 1000.0 * (factor * (mel - corner)).exp())
    away = edges[None] - torch.linspace(0.0, top, frequencies, dtype=torch.float64)[:, None]
    width = edges.diff()
    triangles = torch.minimum(-away[:, :-2] / width[:-1], away[:, 2:] / width[1:]).clamp(min=0.0)
    return (triangles * 2.0 / (edges[2:] - edges[:-2])).float()
