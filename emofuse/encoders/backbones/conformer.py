"""wav2vec2-BERT's conformer (Chung et al. 2021; Barrault et al. 2023) with transformers' parameter names."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emofuse.encoders.backbones.layers import ACTIVATIONS, Conv1d, Described, Linear, attend, has_described

NEEDS = {
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "feature_projection_input_dim",
    "conv_depthwise_kernel_size",
    "layer_norm_eps",
    "hidden_act",
}


def supports(architecture: dict[str, Any]) -> bool:
    """Whether an architecture is one that this module computes like transformers: rotary or no positions."""
    return (
        has_described(architecture, "wav2vec2-bert", NEEDS, ("hidden_act",))
        and architecture.get("position_embeddings_type") in ("rotary", None)
        and not architecture.get("add_adapter")
        and not architecture.get("use_intermediate_ffn_before_adapter")
    )


class Conformer(nn.Module):
    """Stacked log-mel frames → states; see transformers' Wav2Vec2BertModel."""

    def __init__(self, architecture: dict[str, Any]) -> None:
        super().__init__()
        c = self.config = Described(**architecture)
        self.feature_projection = nn.ModuleDict(
            {
                "layer_norm": nn.LayerNorm(c.feature_projection_input_dim, c.layer_norm_eps),
                "projection": Linear(c.feature_projection_input_dim, c.hidden_size),
            }
        )
        if architecture.get("mask_time_prob", 0) > 0 or architecture.get("mask_feature_prob", 0) > 0:
            self.masked_spec_embed = nn.Parameter(torch.empty(c.hidden_size))  # of SpecAugment in training: unused
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(_Layer(c) for _ in range(c.num_hidden_layers))})

    def forward(self, input_features: Tensor, attention_mask: Tensor) -> Described:
        """`last_hidden_state` [batch, frames, dim]."""
        mask = attention_mask.bool()
        parts = self.feature_projection
        states = parts["projection"](parts["layer_norm"](input_features)).masked_fill(~mask[..., None], 0.0)
        turn = self._rotation(states)
        for layer in self.encoder["layers"]:  # type: ignore[union-attr]
            states = layer(states, mask, turn)
        return Described(last_hidden_state=states)

    def _rotation(self, states: Tensor) -> tuple[Tensor, Tensor] | None:
        """Cosines and sines [time, 1, dim of a head] (Su et al. 2021)."""
        c = self.config
        if c.position_embeddings_type is None:
            return None
        dim = c.hidden_size // c.num_attention_heads
        steps = torch.arange(0, dim, 2, device=states.device, dtype=torch.float32) / dim
        frequency = 1.0 / (c.rotary_embedding_base**steps)
        angles = torch.arange(states.shape[1], device=states.device, dtype=torch.float32)[:, None] * frequency
        angles = torch.cat([angles, angles], -1)[:, None]
        return angles.cos().to(states.dtype), angles.sin().to(states.dtype)


class _Layer(nn.Module):
    def __init__(self, c: Described) -> None:
        super().__init__()
        dim, eps = c.hidden_size, c.layer_norm_eps
        self.heads = c.num_attention_heads
        self.ffn1_layer_norm, self.ffn1 = nn.LayerNorm(dim, eps), _FeedForward(c)
        self.self_attn_layer_norm = nn.LayerNorm(dim, eps)
        self.self_attn = nn.ModuleDict({f"linear_{name}": Linear(dim, dim) for name in ("q", "k", "v", "out")})
        self.conv_module = _Convolution(c)
        self.ffn2_layer_norm, self.ffn2 = nn.LayerNorm(dim, eps), _FeedForward(c)
        self.final_layer_norm = nn.LayerNorm(dim, eps)

    def forward(self, states: Tensor, mask: Tensor, turn: tuple[Tensor, Tensor] | None) -> Tensor:
        states = states + 0.5 * self.ffn1(self.ffn1_layer_norm(states))
        normed, own = self.self_attn_layer_norm(states), self.self_attn
        placed = normed if turn is None else self._turned(normed, *turn)
        query, key, value = own["linear_q"](placed), own["linear_k"](placed), own["linear_v"](normed)
        states = states + own["linear_out"](attend(query, key, value, mask, self.heads))
        states = states + self.conv_module(states, mask)
        states = states + 0.5 * self.ffn2(self.ffn2_layer_norm(states))
        return self.final_layer_norm(states)

    def _turned(self, states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Rotated before the projections, as this architecture has it."""
        heads = states.unflatten(-1, (self.heads, -1))
        first, second = heads.chunk(2, -1)
        return (heads * cosine + torch.cat([-second, first], -1) * sine).flatten(2)


class _FeedForward(nn.Module):
    def __init__(self, c: Described) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[c.hidden_act]
        self.intermediate_dense = Linear(c.hidden_size, c.intermediate_size)
        self.output_dense = Linear(c.intermediate_size, c.hidden_size)

    def forward(self, states: Tensor) -> Tensor:
        return self.output_dense(self.activation(self.intermediate_dense(states)))


class _Convolution(nn.Module):
    """The conformer's causal convolution (Gulati et al. 2020, §2.2); its pointwise parts are matrix products."""

    def __init__(self, c: Described) -> None:
        super().__init__()
        dim, kernel = c.hidden_size, c.conv_depthwise_kernel_size
        self.activation = ACTIVATIONS[c.hidden_act]
        self.layer_norm = nn.LayerNorm(dim, c.layer_norm_eps)
        self.pointwise_conv1 = Conv1d(dim, 2 * dim, 1, bias=False)
        self.depthwise_conv = Conv1d(dim, dim, kernel, groups=dim, bias=False)
        self.depthwise_layer_norm = nn.LayerNorm(dim, c.layer_norm_eps)
        self.pointwise_conv2 = Conv1d(dim, dim, 1, bias=False)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        states = self.layer_norm(states).masked_fill(~mask[..., None], 0.0)
        states = F.glu(F.linear(states, self.pointwise_conv1.weight.squeeze(-1)), -1).transpose(1, 2)
        states = self.depthwise_conv(F.pad(states, (self.depthwise_conv.kernel_size[0] - 1, 0)))
        states = self.activation(self.depthwise_layer_norm(states.transpose(1, 2)))
        return F.linear(states, self.pointwise_conv2.weight.squeeze(-1))
