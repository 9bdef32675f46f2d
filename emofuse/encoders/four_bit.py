"""Four-bit weights: a frozen backbone's layers as 4-bit NormalFloat (Dettmers et al. 2023, QLoRA, §3), and back.

bitsandbytes packs and multiplies them. What is packed does not learn, and gradients pass through it to adapters.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from emofuse.encoders.encoder import transformer_layers
from emofuse.errors import RecipeError, require_package

BLOCK = 64
"""Weights that share a scale. Rows that are no multiple of it stay as they are: on a processor, bitsandbytes mixes the
scales of neighbouring rows up."""


def quantise(backbone: nn.Module) -> None:
    """Pack the linear layers inside the transformer layers, in place; on the meta device, their shapes alone.

    Raises MissingExtraError where bitsandbytes is not installed, RecipeError where no layer can be packed.
    """
    layers = tuple(f"{name}." for name in transformer_layers(backbone))
    linear = {n: m for n, m in backbone.named_modules() if is_linear(m) and n.startswith(layers)}
    chosen: dict[str, Any] = {n: m for n, m in linear.items() if _sizes(m)[0] % BLOCK == 0}
    meta = next(backbone.parameters()).device.type == "meta"
    if not meta:
        require_package("bitsandbytes", extra="bits")
    if not chosen:
        raise RecipeError(
            f"no layer of {type(backbone).__name__} has rows of a multiple of {BLOCK} weights, which are packed into 4 "
            "bits; set weights to bfloat16"
        )
    for name, layer in chosen.items():
        backbone.set_submodule(name, _shape(layer) if meta else _packed(layer))
    backbone.is_loaded_in_4bit = not meta  # type: ignore[assignment]  # what peft asks


def is_quantised(backbone: nn.Module) -> bool:
    """Whether some of its layers are packed."""
    return any(hasattr(m, "was_conv1d") for m in backbone.modules())


def restore(backbone: nn.Module) -> None:
    """Put plain layers of bfloat16 in the place of packed ones: of the weights that these stand for, not the former."""
    from bitsandbytes.functional import dequantize_4bit  # type: ignore[import-not-found]

    for name, layer in list(backbone.named_modules()):
        if not hasattr(layer, "was_conv1d"):
            continue
        packed: Any = layer.weight
        weight = dequantize_4bit(packed.data, packed.quant_state).to(torch.bfloat16)
        backbone.set_submodule(name, _plain(weight, layer.bias, bool(layer.was_conv1d)))  # type: ignore[arg-type]
    backbone.is_loaded_in_4bit = False  # type: ignore[assignment]


def is_linear(module: nn.Module) -> bool:
    """Also as GPT-2 has it, with the weight the other way round."""
    return isinstance(module, nn.Linear) or _is_conv1d(module)


def _is_conv1d(module: nn.Module) -> bool:
    return type(module).__name__ == "Conv1D"


def weights_in(parameter: nn.Parameter) -> int:
    """How many weights a parameter holds: two in each byte of a packed one."""
    return parameter.numel() * (2 if parameter.dtype == torch.uint8 else 1)


def scales(module: nn.Module) -> int:
    """Bytes of the scales of packed weights, which are no parameters: one in 8 bits a block, and one in 32 for 256."""
    blocks = sum(weights_in(m.weight) // BLOCK for m in module.modules() if hasattr(m, "was_conv1d"))  # type: ignore
    return blocks + 4 * -(-blocks // 256)


def _sizes(layer: Any) -> tuple[int, int]:
    """Features in and out."""
    rows, columns = layer.weight.shape
    return (rows, columns) if _is_conv1d(layer) else (columns, rows)


def _packed(layer: Any) -> nn.Module:
    from bitsandbytes.nn import Linear4bit, Params4bit  # type: ignore[import-not-found]

    weight = layer.weight.data.T.contiguous() if _is_conv1d(layer) else layer.weight.data
    made = Linear4bit(*_sizes(layer), bias=layer.bias is not None, compute_dtype=torch.bfloat16, device="meta")
    made.weight = Params4bit(weight, quant_type="nf4", compress_statistics=True, module=made)
    made.bias = None if layer.bias is None else nn.Parameter(layer.bias.data, requires_grad=False)
    made.was_conv1d = _is_conv1d(layer)
    made.support_avx512bf16_for_cpu = False  # which repacks weights under a saved state
    made.register_state_dict_post_hook(_weight_alone)
    return made.to(weight.device)


def _weight_alone(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """Leave out of a state what packing the same weights gives again."""
    for name in [n for n in state if n.startswith(f"{prefix}weight.")]:
        del state[name]


def _shape(layer: Any) -> nn.Module:
    features, out = _sizes(layer)
    made = nn.Linear(features, out, layer.bias is not None, device="meta", dtype=torch.bfloat16)
    packed = torch.empty(-(-features * out // 2), 1, dtype=torch.uint8, device="meta")
    made.weight = nn.Parameter(packed, requires_grad=False)
    made.was_conv1d = _is_conv1d(layer)  # type: ignore[assignment]
    return made


def _plain(weight: torch.Tensor, bias: nn.Parameter | None, conv1d: bool) -> nn.Module:
    from transformers.pytorch_utils import Conv1D

    out, features = weight.shape
    made = Conv1D(out, features) if conv1d else nn.Linear(features, out, bias is not None, device="meta")
    made.weight = nn.Parameter(weight.T.contiguous() if conv1d else weight, requires_grad=False)
    if bias is not None:
        made.bias = bias
    return made
