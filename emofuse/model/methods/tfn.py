"""Tensor Fusion Network: the outer product of one vector a modality (Zadeh et al. 2017, EMNLP)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from emofuse.modalities import Modality
from emofuse.model.config import FusionConfig
from emofuse.model.method import Method, Present, for_each_task, mean_state, real
from emofuse.types import Tokens

WIDEST = 32
"""Of a modality's vector: the product of three has 33³ numbers."""
MOST = 1 << 21
"""Numbers in a product."""


class TensorFusion(Method):
    """Every product of a unit of one modality with units of the others, and with 1 (§3.2.2, eq. 1-2).

    As published, three layers a modality come before and two after the product. The modality's vector is that of the
    mean of its tokens, normalised by layer in place of by batch. An absent modality is the vector [0, …, 0, 1]: all
    products with it are gone, those of the others stay.
    """

    def __init__(self, config: FusionConfig, dims: Mapping[Modality, int], tasks: tuple[str, ...]) -> None:
        super().__init__(config, dims, tasks)
        self.width = min(config.dim, WIDEST)
        size = (self.width + 1) ** len(dims)
        if size > MOST:
            raise ValueError(f"method tfn multiplies all modalities: {len(dims)} of width {self.width} are too many")
        self.subnets = nn.ModuleDict({m: _subnet(d, self.width, config.dropout) for m, d in dims.items()})
        self.post = nn.Sequential(
            nn.Dropout(config.dropout), nn.Linear(size, self.dim), nn.ReLU(), nn.Linear(self.dim, self.dim), nn.ReLU()
        )

    def forward(self, tokens: Mapping[Modality, Tokens], present: Present) -> Float[Tensor, "batch q dim"]:
        vectors = [self._vector(m, tokens, present) for m in self.modalities]
        return for_each_task(self.post(outer(vectors)), len(self.tasks))

    def _vector(
        self, modality: Modality, tokens: Mapping[Modality, Tokens], present: Present
    ) -> Float[Tensor, "batch width"]:
        """With the 1 at its end."""
        there = present[modality]
        vector = torch.zeros(len(there), self.width, device=there.device)
        if modality in tokens:
            given = tokens[modality]
            own = self.subnets[modality](mean_state(given.states, real(given, there)))
            vector = own.masked_fill(~there[:, None], 0.0)
        return torch.cat([vector, torch.ones_like(vector[:, :1])], 1)


def outer(vectors: Sequence[Float[Tensor, "batch _"]]) -> Float[Tensor, "batch product"]:
    """The outer product of the rows' vectors, flattened with the last one's index moving fastest."""
    product = vectors[0]
    for vector in vectors[1:]:
        product = (product[:, :, None] * vector[:, None, :]).flatten(1)
    return product


def _subnet(dim: int, width: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = [nn.LayerNorm(dim), nn.Dropout(dropout)]
    for wide in (dim, width, width):
        layers += [nn.Linear(wide, width), nn.ReLU()]
    return nn.Sequential(*layers)
