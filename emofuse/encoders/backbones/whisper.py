"""Whisper's encoder (Radford et al. 2023) on sound of any length, with transformers' parameter names."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from emofuse.encoders.backbones.layers import ACTIVATIONS, Conv1d, Described, Embedding, Linear, attend, has_described

NEEDS = {
    "d_model",
    "encoder_layers",
    "encoder_attention_heads",
    "encoder_ffn_dim",
    "num_mel_bins",
    "max_source_positions",
    "activation_function",
}


def supports(architecture: dict[str, Any]) -> bool:
    """Whether an architecture is one that this module computes like transformers."""
    return has_described(architecture, "whisper", NEEDS, ("activation_function",))


def convolved(
    encoder: Any, features: Float[Tensor, "batch frames bins"], mask: Bool[Tensor, "batch frames"]
) -> tuple[Float[Tensor, "batch halved dim"], Bool[Tensor, "batch halved"]]:
    """Log-mel frames through the two convolutions, with positions: the states that enter the first layer, their mask.

    What lies behind a row's end is zero before each convolution, as it is for the row alone. Sound past the last
    learnt position (30 s) keeps that position.
    """
    states = F.gelu(encoder.conv1(features.transpose(1, 2))) * mask[:, None]
    states = F.gelu(encoder.conv2(states)).transpose(1, 2)
    mask = mask[:, ::2]
    places = torch.arange(states.shape[1], device=states.device).clamp(max=encoder.embed_positions.num_embeddings - 1)
    return (states + encoder.embed_positions(places)) * mask[..., None], mask


class Whisper(nn.Module):
    """Log-mel frames → states, two frames one state; see transformers' WhisperEncoder, which takes 30 s and no less."""

    def __init__(self, architecture: dict[str, Any]) -> None:
        super().__init__()
        c = self.config = Described(**architecture)
        self.conv1 = Conv1d(c.num_mel_bins, c.d_model, 3, padding=1)
        self.conv2 = Conv1d(c.d_model, c.d_model, 3, stride=2, padding=1)
        self.embed_positions = Embedding(c.max_source_positions, c.d_model)
        self.layers = nn.ModuleList(_Layer(c) for _ in range(c.encoder_layers))
        self.layer_norm = nn.LayerNorm(c.d_model)

    def forward(
        self,
        input_features: Float[Tensor, "batch frames bins"],
        attention_mask: Int[Tensor, "batch frames"],
        output_hidden_states: bool = False,
    ) -> Described:
        """`last_hidden_state` [batch, ⌈frames / 2⌉, dim]; `hidden_states` before each layer and after the last."""
        states, mask = convolved(self, input_features, attention_mask.bool())
        hidden = [states]
        for layer in self.layers:
            hidden.append(layer(hidden[-1], mask))
        hidden[-1] = self.layer_norm(hidden[-1])
        return Described(last_hidden_state=hidden[-1], hidden_states=tuple(hidden) if output_hidden_states else None)


class _Layer(nn.Module):
    def __init__(self, c: Described) -> None:
        super().__init__()
        dim = c.d_model
        self.heads, self.activation = c.encoder_attention_heads, ACTIVATIONS[c.activation_function]
        self.self_attn = nn.ModuleDict({f"{n}_proj": Linear(dim, dim, bias=n != "k") for n in ("q", "k", "v", "out")})
        self.self_attn_layer_norm = nn.LayerNorm(dim)
        self.fc1, self.fc2 = Linear(dim, c.encoder_ffn_dim), Linear(c.encoder_ffn_dim, dim)
        self.final_layer_norm = nn.LayerNorm(dim)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        own, normed = self.self_attn, self.self_attn_layer_norm(states)
        query, key, value = own["q_proj"](normed), own["k_proj"](normed), own["v_proj"](normed)
        states = states + own["out_proj"](attend(query, key, value, mask, self.heads))
        return states + self.fc2(self.activation(self.fc1(self.final_layer_norm(states))))
