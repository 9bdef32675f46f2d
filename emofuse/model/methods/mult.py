"""Multimodal Transformer: each modality attends to each other one (Tsai et al. 2019, ACL).

Legend of shapes: B batch, T tokens of the target modality, K tokens of the source, D fusion width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from emofuse.modalities import Modality
from emofuse.model.config import FusionConfig
from emofuse.model.fusion import Attention, time_encoding
from emofuse.model.method import Method, Present, for_each_task, real
from emofuse.types import Tokens

MEMORY = 3
"""Layers of self-attention at least, as published."""


class CrossmodalLayer(nn.Module):
    """Pre-norm attention of a target to a source, then feed-forward of four times the width (§3.1, eq. 4)."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.forward_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, dropout)
        self.feedforward = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        target: Float[Tensor, "batch time dim"],
        source: Float[Tensor, "batch k dim"],
        mask: Bool[Tensor, "batch k"],
    ) -> Float[Tensor, "batch time dim"]:
        """A row without a real source token is left as it is by the attention."""
        some = mask.any(1, keepdim=True)
        attended = self.attention(self.norm(target), self.norm(source), mask | ~some)
        target = target + self.dropout(attended.masked_fill(~some[..., None], 0.0))
        return target + self.dropout(self.feedforward(self.forward_norm(target)))


class CrossmodalTransformer(nn.Module):
    """A stack of such layers; every one reads the source's own low-level tokens (§3.1)."""

    def __init__(self, dim: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CrossmodalLayer(dim, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(
        self,
        target: Float[Tensor, "batch time dim"],
        source: Float[Tensor, "batch k dim"] | None,
        mask: Bool[Tensor, "batch k"],
    ) -> Float[Tensor, "batch time dim"]:
        """`source` None = the target attends to itself, layer by layer."""
        for layer in self.layers:
            target = layer(target, target if source is None else source, mask)
        return self.norm(target)


class CrossmodalFusion(Method):
    """Crossmodal transformers for every ordered pair, self-attention over what each target gathered, its last token.

    As published but for the positions, which are the tokens' seconds here. An absent modality is neither source nor
    target: what it would have given is zero.
    """

    def __init__(self, config: FusionConfig, dims: Mapping[Modality, int], tasks: tuple[str, ...]) -> None:
        super().__init__(config, dims, tasks)
        dim, heads, dropout = config.dim, config.heads, config.dropout
        width = dim * max(1, len(dims) - 1)
        pairs = [f"{source}_to_{target}" for target in dims for source in dims if source != target]
        self.project = nn.ModuleDict({m: nn.Linear(d, dim, bias=False) for m, d in dims.items()})
        self.dropout = nn.Dropout(dropout)
        self.cross = nn.ModuleDict({p: CrossmodalTransformer(dim, heads, config.layers, dropout) for p in pairs})
        self.memory = nn.ModuleDict(
            {m: CrossmodalTransformer(width, heads, max(MEMORY, config.layers), dropout) for m in dims}
        )
        whole = width * len(dims)
        self.block = nn.Sequential(nn.Linear(whole, whole), nn.ReLU(), nn.Dropout(dropout), nn.Linear(whole, whole))
        self.out = nn.Linear(whole, dim)

    def forward(self, tokens: Mapping[Modality, Tokens], present: Present) -> Float[Tensor, "batch q dim"]:
        masks = {m: real(t, present[m]) for m, t in tokens.items()}
        states = {m: self._embed(m, t) for m, t in tokens.items()}
        gathered = torch.cat([self._target(m, states, masks, present) for m in self.modalities], -1)
        return for_each_task(self.out(gathered + self.block(gathered)), len(self.tasks))

    def _embed(self, modality: Modality, tokens: Tokens) -> Float[Tensor, "batch time dim"]:
        scaled = math.sqrt(self.dim) * self.project[modality](tokens.states)
        return self.dropout(scaled + time_encoding(tokens.times, self.dim))

    def _target(
        self,
        modality: Modality,
        states: Mapping[Modality, Tensor],
        masks: Mapping[Modality, Tensor],
        present: Present,
    ) -> Float[Tensor, "batch width"]:
        """What one modality gathered from the others, at its last real token."""
        others = [m for m in self.modalities if m != modality]
        there = present[modality]
        if modality not in states:
            return torch.zeros(len(there), self.dim * max(1, len(others)), device=there.device)
        own = states[modality]
        read = [self._from(m, modality, own, states, masks) for m in others] or [own]
        memory = self.memory[modality](torch.cat(read, -1), None, masks[modality])
        return last(memory, masks[modality])

    def _from(
        self,
        source: Modality,
        target: Modality,
        own: Tensor,
        states: Mapping[Modality, Tensor],
        masks: Mapping[Modality, Tensor],
    ) -> Float[Tensor, "batch time dim"]:
        if source not in states:
            return torch.zeros_like(own)
        there = masks[source].any(1)[:, None, None]
        return self.cross[f"{source}_to_{target}"](own, states[source], masks[source]).masked_fill(~there, 0.0)


def last(states: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time"]) -> Float[Tensor, "batch dim"]:
    """The state of each row's last real token; zero where it has none."""
    steps = torch.arange(mask.shape[1], device=mask.device)
    place = torch.where(mask, steps, 0).amax(1)
    chosen = states[torch.arange(len(states), device=mask.device), place]
    return chosen.masked_fill(~mask.any(1)[:, None], 0.0)
