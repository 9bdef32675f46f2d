"""8-bit matrix products: weights per output channel in advance, activations per row as they come."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int8, UInt8
from torch import Tensor, nn

from emofuse.runtime.swap import Swap, SwappedLinear, swap_linear

_STEPS = 254.9
"""Between the least and the largest number of a row: 255, less what rounding might carry over into a 256th."""


class Int8Linear(SwappedLinear):
    """A linear layer that keeps its weights and multiplies with 8-bit copies of them wherever no gradient is asked for.

    Weights are symmetric; a row of activations has its own scale and zero (Dettmers et al. 2022, §2.2, vector-wise), so
    that what else is in a batch changes no row. What is around the product is done in few passes and in place, since
    it takes as long as the product itself.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer)
        weight = layer.weight.detach().float()
        scale = (weight.abs().amax(1) / 127).clamp(min=1e-12)
        eight = (weight / scale[:, None]).round().to(torch.int8)
        self._sums = eight.sum(1, dtype=torch.float32) * scale
        self._product = _Packed(eight, scale) if packs() else _Plain(eight, scale)

    def forward(self, input: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch out"]:
        """As nn.Linear."""
        if torch.is_grad_enabled() or input.device.type != "cpu":
            return F.linear(input, self.weight, self.bias)
        rows = input.reshape(-1, self.in_features).float()
        low, high = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)
        scale = ((high - low) / _STEPS).clamp_(min=1e-12)
        per = scale.reciprocal()
        eight = torch.addcmul(0.5 - low * per, rows, per).to(torch.uint8)  # of numbers above zero, this rounds
        out = self._product(eight).mul_(scale).addcmul_(low, self._sums)
        if self.bias is not None:
            out.add_(self.bias)
        return out.to(input.dtype).view(*input.shape[:-1], self.out_features)


class _Packed:
    """Products of unsigned by signed bytes, on weights laid out beforehand, as oneDNN does them with VNNI."""

    def __init__(self, eight: Int8[Tensor, "out width"], scale: Float[Tensor, " out"]) -> None:
        self.scale, self.zeros = scale, torch.zeros(len(scale), dtype=torch.int32)
        self.eight = torch.ops.onednn.qlinear_prepack(eight, None)

    def __call__(self, rows: UInt8[Tensor, "rows width"]) -> Float[Tensor, "rows out"]:
        weights, out = (self.eight, self.scale, self.zeros, None), (1.0, 0, torch.float32)
        return torch.ops.onednn.qlinear_pointwise(rows, 1.0, 0, *weights, *out, "none", [], "")


class _Plain:
    """The same where there is no VNNI, and sums of two products of unsigned bytes would overflow their 16 bits."""

    def __init__(self, eight: Int8[Tensor, "out width"], scale: Float[Tensor, " out"]) -> None:
        self.scale, self.eight = scale, eight.t().contiguous()
        self.shift = 128 * eight.sum(1, dtype=torch.int32)

    def __call__(self, rows: UInt8[Tensor, "rows width"]) -> Float[Tensor, "rows out"]:
        signed = (rows ^ 128).view(torch.int8)
        whole: Tensor = torch._int_mm(signed, self.eight)  # pyright: ignore[reportPrivateImportUsage]
        return whole.add_(self.shift).to(torch.float32).mul_(self.scale)


def packs() -> bool:
    """Whether this processor multiplies bytes in one step, and torch was built to ask it to."""
    return torch.cpu._is_vnni_supported() and hasattr(torch.ops.onednn, "qlinear_pointwise")


def quantise(module: nn.Module) -> list[Swap]:
    """Swap the large linear layers inside for 8-bit ones, in place; what stood there before, for `restore`.

    Convolutions stay: in wav2vec2's, 8 bits move probabilities by several hundredths.
    """
    return swap_linear(module, Int8Linear)
