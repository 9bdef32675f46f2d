"""Large linear layers swapped, in place, for layers on the same weights that multiply in fewer bits."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

LEAST_WEIGHTS = 1 << 16
"""Smaller layers gain nothing."""


class SwappedLinear(nn.Linear):
    """A linear layer in the place of another, on the same weights, which stay as they are."""

    def __init__(self, layer: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias


Swap = tuple[nn.Module, str, nn.Module]
"""Where a layer was, under which name, and the layer."""


def swap_linear(module: nn.Module, kind: type[SwappedLinear]) -> list[Swap]:
    """Swap the large linear layers inside, those that nobody has swapped; what stood there before, for `restore`."""
    swaps: list[Swap] = []
    for name, child in list(module.named_children()):
        if isinstance(child, SwappedLinear):
            continue
        if isinstance(child, nn.Linear) and child.weight.numel() >= LEAST_WEIGHTS:
            module.register_module(name, kind(child))
            swaps.append((module, name, child))
        else:
            swaps += swap_linear(child, kind)
    return swaps


def restore(swaps: list[Swap]) -> None:
    """Put the layers back."""
    for parent, name, layer in swaps:
        parent.register_module(name, layer)


def hold(module: nn.Module) -> int:
    """How many weights `swap_linear` would take."""
    large = (m.weight.numel() for m in module.modules() if isinstance(m, nn.Linear))
    return sum(count for count in large if count >= LEAST_WEIGHTS)


Model = TypeVar("Model", bound=nn.Module)


def full_precision(model: Model) -> Model:
    """The model on the same weights with no layer in fewer bits, so that its answers and its gradients agree."""
    if not any(isinstance(module, SwappedLinear) for module in model.modules()):
        return model
    twin = copy.copy(model)
    twin.__dict__.pop("forward", None)  # a call under autocast, of an encoder in bfloat16
    twin._modules = {name: child and _whole(child) for name, child in model._modules.items()}
    return twin


def _whole(module: nn.Module) -> nn.Module:
    if not isinstance(module, SwappedLinear):
        return full_precision(module)
    layer = nn.Linear(1, 1, device="meta").train(module.training)
    layer.in_features, layer.out_features = module.in_features, module.out_features
    layer.weight, layer.bias = module.weight, module.bias
    return layer
