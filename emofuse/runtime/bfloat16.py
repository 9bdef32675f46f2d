"""16-bit matrix products: an autocast around an encoder, whose large layers keep 16-bit copies of their weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from emofuse.runtime.swap import Swap, SwappedLinear, swap_linear


class BFloat16Linear(SwappedLinear):
    """A linear layer that keeps its weights, and under autocast multiplies with copies of them in bfloat16.

    Autocast alone casts the weights anew at every call, which for a few words takes longer than the product; the
    answer is the same to the bit.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer)
        self.weight_in_16: Tensor
        self.bias_in_16: Tensor | None
        self.register_buffer("weight_in_16", layer.weight.detach().bfloat16(), persistent=False)
        bias = None if layer.bias is None else layer.bias.detach().bfloat16()
        self.register_buffer("bias_in_16", bias, persistent=False)

    def forward(self, input: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch out"]:
        """As nn.Linear."""
        if torch.is_grad_enabled() or not torch.is_autocast_enabled(input.device.type):
            return F.linear(input, self.weight, self.bias)
        return F.linear(input.bfloat16(), self.weight_in_16, self.bias_in_16)


def halve(encoder: nn.Module, device: str) -> list[Swap]:
    """Let an encoder multiply in bfloat16 wherever no gradient is asked for.

    Returns what stood where, for `restore`; the call is that of the class again once `encoder.forward` is deleted.
    """
    swaps = swap_linear(encoder, BFloat16Linear)
    forward = encoder.forward

    def cast(inputs: dict[str, Tensor]) -> object:
        with torch.autocast(device, torch.bfloat16, enabled=not torch.is_grad_enabled()):
            return forward(inputs)

    encoder.forward = cast  # type: ignore[method-assign]
    return swaps
