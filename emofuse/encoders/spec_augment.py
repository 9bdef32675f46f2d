"""`SpecAugmentHook`: spans of an encoder's own frames and channels masked while it learns (Park et al. 2019)."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from emofuse.encoders.config import SpecAugment

FEWEST = 2
"""Spans of frames that a row has at least, where it has room for them."""


class SpecAugmentHook:
    """A forward hook of the projection of frames: masks what it gives, in the passes that `begin` announces.

    It draws from PyTorch's generator of the CPU, whose state a resumable run keeps.
    """

    def __init__(self, options: SpecAugment) -> None:
        self.options = options
        self._lengths: Tensor | None = None
        self._mask_vector: Tensor | None = None

    def begin(self, lengths: Int[Tensor, " batch"], mask_vector: Tensor | None = None) -> None:
        """Mask the next pass; `lengths`: real frames of each row, `mask_vector` [dim] is their stand-in (None = 0)."""
        self._lengths, self._mask_vector = lengths, mask_vector

    def end(self) -> None:
        """Leave passes as they are again."""
        self._lengths = self._mask_vector = None

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Any:
        """The module's output, or the first of a tuple of them, masked; None = unchanged, as hooks have it."""
        if self._lengths is None:
            return None
        if isinstance(output, tuple):
            return masked(output[0], self._lengths, self.options, self._mask_vector), *output[1:]
        return masked(output, self._lengths, self.options, self._mask_vector)


def masked(
    states: Float[Tensor, "batch time dim"],
    lengths: Int[Tensor, " batch"],
    options: SpecAugment,
    mask_vector: Tensor | None = None,
) -> Float[Tensor, "batch time dim"]:
    """States with spans of real frames as `mask_vector` [dim] (None = 0), and spans of channels 0."""
    batch, time, width = states.shape
    if options.time:
        frames = torch.stack([spans(time, int(n), options.time, options.time_length, FEWEST) for n in lengths])
        stand_in = torch.zeros_like(states[0, 0]) if mask_vector is None else mask_vector.to(states.dtype)
        states = torch.where(frames.to(states.device)[..., None], stand_in, states)
    if options.features:
        channels = [spans(width, width, options.features, options.features_length, 0) for _ in range(batch)]
        states = states.masked_fill(torch.stack(channels).to(states.device)[:, None], 0.0)
    return states


def spans(size: int, real: int, share: float, length: int, fewest: int) -> Bool[Tensor, " size"]:
    """Places of spans among the first `real`: `share · real / length` of them, rounded at random, starts all different.

    At least `fewest`, and never more than lie side by side; none where not even one has room.
    """
    places = torch.zeros(size, dtype=torch.bool)
    wanted = max(fewest, int(share * real / length + float(torch.rand(()))))
    number = min(wanted, real // length)
    if number:
        starts = torch.randperm(real - length + 1)[:number]
        places[(starts[:, None] + torch.arange(length)).flatten()] = True
    return places
