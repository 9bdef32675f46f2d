"""A residual convolutional stem over log-mel, for a wav2vec2-BERT trained from scratch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from emofuse.encoders.mel import MEL_BINS

HALVINGS = 2
"""The first stages halve time; all of them halve frequency."""


class MelStem(nn.Module):
    """[batch, frames, 80] at 10 ms → [batch, ⌈frames / 4⌉, channels * bins] at 40 ms; padding never changes a row.

    Pitch, formants and onsets are local in time and frequency, which a thousand utterances do not teach attention
    alone. Each mel bin is first brought to the level that it has in the training data (batch statistics over real
    frames), so that spectral tilt and loudness contour, which tell vocal effort, stay in.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        if len(channels) < HALVINGS:
            raise ValueError(f"a stem over the spectrogram needs at least {HALVINGS} stages, not {len(channels)}")
        self.level = nn.BatchNorm1d(MEL_BINS, affine=False)
        self.stages = nn.ModuleList()
        bins, before = MEL_BINS, 1
        for index, width in enumerate(channels):
            self.stages.append(_Stage(before, width, 2 if index < HALVINGS else 1))
            bins, before = -(-bins // 2), width
        self.width = bins * before
        self.stride = 2**HALVINGS

    def forward(
        self, values: Float[Tensor, "batch frames 80"], mask: Bool[Tensor, "batch frames"]
    ) -> tuple[Float[Tensor, "batch out width"], Bool[Tensor, "batch out"]]:
        """Features and their mask, padded frames zero."""
        levelled = torch.zeros_like(values)
        levelled[mask] = self.level(values[mask])
        picture = levelled[:, None].contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            picture, mask = stage(picture, mask)
        return picture.permute(0, 2, 1, 3).flatten(2), mask


class _Stage(nn.Module):
    """A strided convolution and a residual block (He et al. 2016, §3.3) whose branch starts at zero."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.down, self.down_norm = nn.Conv2d(before, width, 3, (stride, 2), 1, bias=False), nn.BatchNorm2d(width)
        self.first, self.first_norm = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.second, self.second_norm = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        nn.init.zeros_(self.second_norm.weight)

    def forward(self, picture: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        mask = mask[:, :: self.stride]
        real = mask[:, None, :, None].to(picture.dtype)
        picture = torch.relu(self.down_norm(self.down(picture))) * real
        branch = torch.relu(self.first_norm(self.first(picture))) * real
        return torch.relu(picture + self.second_norm(self.second(branch))) * real, mask
