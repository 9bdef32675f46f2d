"""The fusion transformer: one latent query per task, cross-attending to the tokens of all modalities.

Legend of shapes: B batch, T tokens of one modality, K tokens of all modalities, Q queries, D fusion width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from emofuse.modalities import Modality
from emofuse.model.config import FusionConfig
from emofuse.model.method import Method
from emofuse.types import Tokens

SLOWEST, FASTEST = 120.0, 0.05
"""Periods, in seconds, between which the time encoding's sinusoids are spread."""


def time_encoding(times: Float[Tensor, "batch time"], dim: int) -> Float[Tensor, "batch time {dim}"]:
    """Sinusoids of seconds (Vaswani et al. 2017, §3.5, with periods in seconds in place of positions)."""
    steps = torch.linspace(math.log(FASTEST), math.log(SLOWEST), dim // 2, dtype=torch.float32, device=times.device)
    angles = times[..., None].float() * (2 * math.pi / steps.exp())
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class Attention(nn.Module):
    """Multi-head attention of queries to keys under a mask; `scaled_dot_product_attention` inside."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(
        self,
        queries: Float[Tensor, "batch q dim"],
        keys: Float[Tensor, "batch k dim"],
        mask: Bool[Tensor, "batch k"] | None = None,
    ) -> Float[Tensor, "batch q dim"]:
        q = self.query(queries).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in self.key_value(keys).chunk(2, dim=-1))
        attended = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=None if mask is None else mask[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.out(attended.transpose(1, 2).flatten(2))


class FusionLayer(nn.Module):
    """Pre-norm cross-attention to the tokens, self-attention among the queries, feed-forward (Jaegle et al. 2021)."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        dim, hidden = config.dim, config.dim * config.feedforward
        self.cross_norm, self.self_norm, self.forward_norm = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.cross = Attention(dim, config.heads, config.dropout)
        self.among = Attention(dim, config.heads, config.dropout)
        self.feedforward = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(hidden, dim)
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        queries: Float[Tensor, "batch q dim"],
        tokens: Float[Tensor, "batch k dim"],
        mask: Bool[Tensor, "batch k"],
    ) -> Float[Tensor, "batch q dim"]:
        queries = queries + self.dropout(self.cross(self.cross_norm(queries), tokens, mask))
        normed = self.self_norm(queries)
        queries = queries + self.dropout(self.among(normed, normed))
        return queries + self.dropout(self.feedforward(self.forward_norm(queries)))


class FusionTransformer(Method):
    """Tokens of any subset of modalities → one state a task; linear in the number of tokens.

    A modality that a row lacks is masked out and one learned `absent` token takes its place, so there is always
    something to attend to.
    """

    role = "corrects"

    def __init__(self, config: FusionConfig, dims: Mapping[Modality, int], tasks: tuple[str, ...]) -> None:
        super().__init__(config, dims, tasks)
        self.project = nn.ModuleDict(
            {m: nn.Sequential(nn.LayerNorm(d), nn.Linear(d, config.dim)) for m, d in dims.items()}
        )
        self.kind = nn.ParameterDict({m: nn.Parameter(torch.randn(config.dim) * 0.02) for m in dims})
        self.absent = nn.ParameterDict({m: nn.Parameter(torch.randn(config.dim) * 0.02) for m in dims})
        self.queries = nn.Parameter(torch.randn(len(tasks), config.dim) * 0.02)
        self.layers = nn.ModuleList(FusionLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)
        self.token_norm = nn.LayerNorm(config.dim)

    def forward(
        self, tokens: Mapping[Modality, Tokens], present: Mapping[Modality, Bool[Tensor, " batch"]]
    ) -> Float[Tensor, "batch q dim"]:
        """One state a task, in the order of `tasks`; `tokens` may lack modalities that no row has."""
        states, masks = [], []
        for modality in self.modalities:
            there = present[modality]
            slot = self.absent[modality].expand(there.shape[0], 1, -1)
            states.append(slot + self.kind[modality])
            masks.append(~there[:, None])
            if modality in tokens:
                given = tokens[modality]
                states.append(self._embed(modality, given))
                masks.append(given.mask & there[:, None])
        keys, mask = self.token_norm(torch.cat(states, 1)), torch.cat(masks, 1)
        queries = self.queries.expand(keys.shape[0], -1, -1)
        for layer in self.layers:
            queries = layer(queries, keys, mask)
        return self.norm(queries)

    def _embed(self, modality: Modality, tokens: Tokens) -> Float[Tensor, "batch time dim"]:
        return self.project[modality](tokens.states) + self.kind[modality] + time_encoding(tokens.times, self.dim)
