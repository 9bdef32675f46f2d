"""Masked patches of the spectrogram, whose log-mel values a speech encoder says from what is left."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from emofuse.encoders.encoder import Encoder, Inputs
from emofuse.encoders.mel import HOP, MEL_BINS, WINDOW, log_mel
from emofuse.encoders.speech import SpeechEncoder
from emofuse.errors import RecipeError
from emofuse.training.pretraining.objective import MaskedObjective, drawn
from emofuse.types import SAMPLE_RATE

PATCH_FRAMES, PATCH_BINS = 16, 16
"""Of a patch: 160 ms of a fifth of the mel bins (Gong et al. 2022, SSAST, §2.1)."""
LOWEST = 20.0
"""Hz below which Kaldi's filterbank hears nothing."""


class MaskedSpectrogram(MaskedObjective):
    """Patches of time and frequency are hidden from log-mel input, or from a waveform through its short-time spectrum.

    Each token says the log-mel frames that it spans, at zero mean and unit variance by utterance and bin: an answer
    that knows nothing has a loss of 1.
    """

    modality = "speech"
    rate = 0.5
    unit = "variances of a hidden log-mel value"

    def __init__(self, encoder: Encoder, rate: float | None = None) -> None:
        """Raises RecipeError for an encoder that is not this package's."""
        super().__init__(encoder, rate)
        if not isinstance(encoder, SpeechEncoder):
            raise RecipeError(f"masked spectrograms are of the kind speech, not of {type(encoder).__name__}")
        self.stacked: int = encoder.processor.stride
        self.bins: int = encoder.processor.whisper or MEL_BINS
        self.span = round(encoder.token_hop * SAMPLE_RATE / HOP)
        """Log-mel frames that a token stands for."""
        self.decoder = nn.Linear(encoder.dim, self.span * self.bins)

    def forward(self, inputs: Inputs, rng: np.random.Generator) -> tuple[Tensor, int]:
        """See MaskedObjective; squared error."""
        mel, real = self.log_mel(inputs)
        hidden = self.hide(real, rng)
        tokens = self.encoder({**inputs, "values": self.masked(inputs, mel, hidden)})
        said = self.decoder(tokens.states).unflatten(-1, (self.span, self.bins)).flatten(1, 2)
        frames = min(said.shape[1], mel.shape[1])
        there = tokens.mask.repeat_interleave(self.span, 1)[:, :frames, None] & hidden[:, :frames]
        error = (said[:, :frames] - standardised(mel, real)[:, :frames]).square()
        return (error * there).sum() / there.sum().clamp(min=1), int(there.sum())

    def log_mel(self, inputs: Inputs) -> tuple[Float[Tensor, "batch frames bins"], Bool[Tensor, "batch frames"]]:
        """Of what the encoder reads, at 10 ms, and which frames are real."""
        values, mask = inputs["values"], inputs["mask"]
        if values.ndim == 3:
            mel = values.unflatten(-1, (self.stacked, self.bins)).flatten(1, 2)
            return mel, mask.repeat_interleave(self.stacked, 1)
        rows = [torch.from_numpy(log_mel(row[m].cpu().numpy())) for row, m in zip(values, mask, strict=True)]
        mel = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(values.device)
        counts = torch.tensor([len(row) for row in rows], device=values.device)
        return mel, torch.arange(mel.shape[1], device=values.device) < counts[:, None]

    def hide(self, real: Bool[Tensor, "batch frames"], rng: np.random.Generator) -> Bool[Tensor, "batch frames bins"]:
        """Values of the patches that are hidden; a row's first patch where chance hides none of it."""
        batch, frames = real.shape
        grid = (batch, -(-frames // PATCH_FRAMES), -(-self.bins // PATCH_BINS))
        patches = drawn(rng, grid, self.share, real.device)
        patches[:, 0, 0] |= ~(patches & real[:, ::PATCH_FRAMES, None]).flatten(1).any(1)
        wide = patches.repeat_interleave(PATCH_FRAMES, 1).repeat_interleave(PATCH_BINS, 2)
        return wide[:, :frames, : self.bins] & real[..., None]

    def masked(self, inputs: Inputs, mel: Tensor, hidden: Tensor) -> Tensor:
        """The encoder's input without the hidden values: each bin's mean in their place, or silence in a waveform."""
        values = inputs["values"]
        if values.ndim == 3:
            real = inputs["mask"].repeat_interleave(self.stacked, 1)[..., None]
            mean = (mel * real).sum(1, keepdim=True) / real.sum(1, keepdim=True)
            return torch.where(hidden, mean, mel).unflatten(1, (-1, self.stacked)).flatten(2)
        rows = zip(values, inputs["mask"], hidden, strict=True)
        return nn.utils.rnn.pad_sequence([_filtered(row[m], gone) for row, m, gone in rows], batch_first=True)


def standardised(
    mel: Float[Tensor, "batch frames bins"], real: Bool[Tensor, "batch frames"]
) -> Float[Tensor, "batch frames bins"]:
    """Each utterance's bins at zero mean and unit variance over its real frames."""
    weight = real[..., None].to(mel.dtype)
    count = weight.sum(1, keepdim=True)
    mean = (mel * weight).sum(1, keepdim=True) / count
    variance = ((mel - mean).square() * weight).sum(1, keepdim=True) / count
    return (mel - mean) * torch.rsqrt(variance + 1e-5)


def _filtered(waveform: Float[Tensor, " samples"], hidden: Bool[Tensor, "frames bins"]) -> Float[Tensor, " samples"]:
    """The waveform without the hidden bands of its short-time spectrum."""
    window = torch.hann_window(WINDOW, device=waveform.device)
    spectrum = torch.stft(waveform, WINDOW, HOP, window=window, return_complex=True)
    frames = (torch.arange(spectrum.shape[1], device=waveform.device) - 1).clamp(0, len(hidden) - 1)
    gone = hidden[frames][:, _bands(hidden.shape[1], waveform.device)].T
    return torch.istft(spectrum * ~gone, WINDOW, HOP, window=window, length=len(waveform))


def _bands(bins: int, device: torch.device) -> Tensor:
    """int64 [WINDOW // 2 + 1]: the mel bin that each line of the spectrum is nearest to."""
    lines = torch.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1, device=device)
    low, high = (1127 * np.log1p(hertz / 700) for hertz in (LOWEST, SAMPLE_RATE / 2))
    place = (1127 * torch.log1p(lines / 700) - low) / (high - low) * (bins + 1) - 1
    return place.round().long().clamp(0, bins - 1)
