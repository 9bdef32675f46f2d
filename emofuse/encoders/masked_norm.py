"""Group normalisation over real frames only, so that padding changes nothing in wav2vec2-base."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MaskedGroupNorm(nn.GroupNorm):
    """nn.GroupNorm over [batch, channels, time] whose statistics leave out padded frames.

    `lengths` (int64 [batch], valid frames at this layer) is set before each forward pass; None = all frames are real.
    """

    lengths: Tensor | None = None

    def forward(self, input: Tensor) -> Tensor:
        if self.lengths is None:
            return super().forward(input)
        batch, channels, time = input.shape
        mask = torch.arange(time, device=input.device) < self.lengths[:, None]
        weight = mask[:, None, None].to(input.dtype)
        grouped = input.view(batch, self.num_groups, channels // self.num_groups, time)
        count = weight.sum(-1, keepdim=True) * grouped.shape[2]
        mean = (grouped * weight).sum((2, 3), keepdim=True) / count
        variance = ((grouped - mean).square() * weight).sum((2, 3), keepdim=True) / count
        normed = ((grouped - mean) * torch.rsqrt(variance + self.eps)).view(batch, channels, time)
        return normed * self.weight[:, None] + self.bias[:, None]


def mask_group_norm(backbone: nn.Module) -> MaskedGroupNorm | None:
    """Swap the group norm of a wav2vec2-style waveform front end for a masked one; None where there is none."""
    extractor = getattr(backbone, "feature_extractor", None)
    if extractor is None:
        return None
    first = extractor.conv_layers[0]
    norm = getattr(first, "layer_norm", None)
    if not isinstance(norm, nn.GroupNorm):
        return None
    masked = MaskedGroupNorm(norm.num_groups, norm.num_channels, norm.eps, norm.affine)
    masked.load_state_dict(norm.state_dict())
    first.layer_norm = masked
    return masked
