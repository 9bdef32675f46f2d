"""Layers of the inference backbones: weights loaded later, attention, and when to use them at all.

transformers and timm take longer to import than a clip takes to predict, and training needs what they know beyond the
forward pass (dropout, initialisation, adapters); prediction does not. Outputs are the same.
"""

from __future__ import annotations

from collections.abc import Set
from types import SimpleNamespace
from typing import Any

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


class Linear(nn.Linear):
    """nn.Linear whose weights are about to be loaded: nothing is drawn at random first."""

    def reset_parameters(self) -> None:
        """Leaves the memory as it is."""


class Embedding(nn.Embedding):
    """nn.Embedding whose weights are about to be loaded."""

    def reset_parameters(self) -> None:
        """Leaves the memory as it is."""


class Conv1d(nn.Conv1d):
    """nn.Conv1d whose weights are about to be loaded."""

    def reset_parameters(self) -> None:
        """Leaves the memory as it is."""


ACTIVATIONS = {"gelu": F.gelu, "relu": F.relu, "silu": F.silu, "swish": F.silu}
"""transformers' names of the activations that are known here."""


def has_described(architecture: dict[str, Any], kind: str, needs: Set[str], activations: tuple[str, ...]) -> bool:
    """Whether an architecture is of this kind, has all the values that are needed, and activations known here."""
    return (
        architecture.get("model_type") == kind
        and architecture.keys() >= needs
        and {architecture[name] for name in activations} <= ACTIVATIONS.keys()
    )


def attend(
    query: Float[Tensor, "batch time dim"],
    key: Float[Tensor, "batch time dim"],
    value: Float[Tensor, "batch time dim"],
    mask: Bool[Tensor, "batch time"] | None,
    heads: int,
) -> Float[Tensor, "batch time dim"]:
    """Multi-head attention; every row of `mask` has a real token."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    bias = None if mask is None else mask[:, None, None, :]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2)


class Described(SimpleNamespace):
    """An architecture's values as attributes, as transformers' configurations have them."""

    def to_dict(self) -> dict[str, Any]:
        """The values."""
        return dict(vars(self))
