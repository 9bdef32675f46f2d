"""Positional convolutions over real frames only, so that padding changes nothing in data2vec-audio."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class MaskedPositions(nn.Module):
    """A stack of convolutions in which each sees zeros past the end of a row, as it does of a row alone.

    `lengths` (int64 [batch], valid frames) is set before each forward pass; None = all frames are real.
    """

    lengths: Tensor | None = None

    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, hidden_states: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        states = hidden_states.transpose(1, 2)
        for layer in self.layers:
            states = layer(states)
            if self.lengths is not None:
                real = torch.arange(states.shape[2], device=states.device) < self.lengths[:, None]
                states = states * real[:, None].to(states.dtype)
        return states.transpose(1, 2)


def mask_positions(backbone: nn.Module) -> MaskedPositions | None:
    """Swap stacked positional convolutions for masked ones; None where there is one at most, which needs no mask."""
    encoder = getattr(backbone, "encoder", None)
    stacked = getattr(getattr(encoder, "pos_conv_embed", None), "layers", None)
    if encoder is None or not isinstance(stacked, nn.ModuleList):
        return None
    masked = MaskedPositions(stacked)
    encoder.pos_conv_embed = masked
    return masked
