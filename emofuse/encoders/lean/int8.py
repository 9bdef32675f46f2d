"""Matrix products in 8 bits: weights by output channel beforehand, activations row by row as they come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

LEAST_WEIGHTS = 1 << 16
"""Smaller layers gain nothing."""
_all_bits: ContextVar[bool] = ContextVar("all_bits", default=False)


@contextmanager
def all_bits() -> Iterator[None]:
    """Within: 8-bit layers multiply with the weights they were made from, so that answers and gradients agree."""
    token = _all_bits.set(True)
    try:
        yield
    finally:
        _all_bits.reset(token)


class Int8Linear(nn.Linear):
    """A linear layer that keeps its weights and multiplies with 8-bit copies of them wherever no gradient is asked for.

    Weights are symmetric; a row of activations has its own scale and zero (Dettmers et al. 2022, §2.2, vector-wise), so
    that what else is in a batch changes no row.
    """

    def __init__(self, layer: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        weight = layer.weight.detach().float()
        self._scale = (weight.abs().amax(1) / 127).clamp(min=1e-12)
        self._eight = (weight / self._scale[:, None]).round().to(torch.int8).t().contiguous()
        self._sums = self._eight.sum(0, dtype=torch.float32)[None]

    def forward(self, input: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch out"]:
        """As nn.Linear."""
        if torch.is_grad_enabled() or _all_bits.get() or input.device.type != "cpu":
            return F.linear(input, self.weight, self.bias)
        rows = input.reshape(-1, self.in_features)
        low, high = rows.aminmax(dim=1, keepdim=True)
        scale = ((high - low) / 255).clamp_(min=1e-12)
        zero = (low / scale).round_().add_(128)
        eight = (rows / scale).round_().sub_(zero).clamp_(-128, 127).to(torch.int8)
        whole: Tensor = torch._int_mm(eight, self._eight)  # pyright: ignore[reportPrivateImportUsage]
        out = whole.to(input.dtype).addcmul_(zero, self._sums).mul_(scale).mul_(self._scale)
        if self.bias is not None:
            out.add_(self.bias)
        return out.view(*input.shape[:-1], self.out_features)


Swap = tuple[nn.Module, str, nn.Module]
"""Where a layer was, under which name, and the layer."""


def quantise(module: nn.Module) -> list[Swap]:
    """Swap the large linear layers inside for 8-bit ones, in place; what stood there before, for `restore`.

    Convolutions stay: in wav2vec2's, 8 bits move probabilities by several hundredths.
    """
    swaps: list[Swap] = []
    for name, child in list(module.named_children()):
        if isinstance(child, Int8Linear):
            continue
        if isinstance(child, nn.Linear) and child.weight.numel() >= LEAST_WEIGHTS:
            module.register_module(name, Int8Linear(child))
            swaps.append((module, name, child))
        else:
            swaps += quantise(child)
    return swaps


def restore(swaps: list[Swap]) -> None:
    """Put the layers back."""
    for parent, name, layer in swaps:
        parent.register_module(name, layer)


def hold(module: nn.Module) -> int:
    """How many weights `quantise` would take."""
    large = (m.weight.numel() for m in module.modules() if isinstance(m, nn.Linear))
    return sum(count for count in large if count >= LEAST_WEIGHTS)
