"""wav2vec2 backbone (Baevski et al. 2020) with transformers' parameter names."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from emofuse.encoders.backbones.layers import ACTIVATIONS, Conv1d, Described, Linear, attend, has_described

NEEDS = {
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "conv_dim",
    "conv_kernel",
    "conv_stride",
    "conv_bias",
    "feat_extract_norm",
    "feat_extract_activation",
    "do_stable_layer_norm",
    "num_conv_pos_embeddings",
    "num_conv_pos_embedding_groups",
    "layer_norm_eps",
    "hidden_act",
}


def supports(architecture: dict[str, Any]) -> bool:
    """Whether an architecture is one that this module computes like transformers."""
    return (
        has_described(architecture, "wav2vec2", NEEDS, ("hidden_act", "feat_extract_activation"))
        and not architecture.get("add_adapter")
        and architecture.get("adapter_attn_dim") is None
    )


class Wav2Vec2(nn.Module):
    """Waveform → states; see transformers' Wav2Vec2Model."""

    def __init__(self, architecture: dict[str, Any]) -> None:
        super().__init__()
        c = self.config = Described(**architecture)
        self.feature_extractor = nn.ModuleDict(
            {"conv_layers": nn.ModuleList(_ConvLayer(c, i) for i in range(len(c.conv_dim)))}
        )
        self.feature_projection = nn.ModuleDict(
            {
                "layer_norm": nn.LayerNorm(c.conv_dim[-1], c.layer_norm_eps),
                "projection": Linear(c.conv_dim[-1], c.hidden_size),
            }
        )
        if architecture.get("mask_time_prob", 0) > 0 or architecture.get("mask_feature_prob", 0) > 0:
            self.masked_spec_embed = nn.Parameter(torch.empty(c.hidden_size))  # of SpecAugment in training: unused
        self.encoder = _Encoder(c)

    def _get_feat_extract_output_lengths(self, lengths: Tensor) -> Tensor:
        """Frames that `lengths` samples yield, under transformers' name."""
        for kernel, stride in zip(self.config.conv_kernel, self.config.conv_stride, strict=True):
            lengths = (lengths - kernel) // stride + 1
        return lengths

    def forward(self, input_values: Tensor, attention_mask: Tensor) -> Described:
        """`last_hidden_state` [batch, frames, dim]."""
        states = input_values[:, None]
        for layer in self.feature_extractor["conv_layers"]:  # type: ignore[union-attr]
            states = layer(states)
        states = states.transpose(1, 2)
        parts = self.feature_projection
        states = parts["projection"](parts["layer_norm"](states))
        frames = self._get_feat_extract_output_lengths(attention_mask.sum(1))
        mask = torch.arange(states.shape[1], device=states.device) < frames[:, None]
        return Described(last_hidden_state=self.encoder(states.masked_fill(~mask[..., None], 0.0), mask))


class _ConvLayer(nn.Module):
    def __init__(self, c: Described, index: int) -> None:
        super().__init__()
        before, out = (c.conv_dim[index - 1] if index else 1), c.conv_dim[index]
        self.activation = ACTIVATIONS[c.feat_extract_activation]
        self.conv = Conv1d(before, out, c.conv_kernel[index], c.conv_stride[index], bias=c.conv_bias)
        self.by_frame = c.feat_extract_norm == "layer"
        if self.by_frame:
            self.layer_norm: nn.Module | None = nn.LayerNorm(out)
        else:
            self.layer_norm = nn.GroupNorm(out, out) if index == 0 else None

    def forward(self, states: Tensor) -> Tensor:
        states = self.conv(states)
        if self.layer_norm is not None:
            normed = self.layer_norm(states.transpose(1, 2)).transpose(1, 2) if self.by_frame else None
            states = self.layer_norm(states) if normed is None else normed
        return self.activation(states)


class _Encoder(nn.Module):
    def __init__(self, c: Described) -> None:
        super().__init__()
        kernel = c.num_conv_pos_embeddings
        conv = nn.Conv1d(
            c.hidden_size, c.hidden_size, kernel, padding=kernel // 2, groups=c.num_conv_pos_embedding_groups
        )
        self.pos_conv_embed = nn.ModuleDict({"conv": weight_norm(conv, dim=2)})
        self._normed: tuple[tuple[int, ...], Tensor] | None = None
        self.layer_norm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)
        self.layers = nn.ModuleList(_Layer(c) for _ in range(c.num_hidden_layers))
        self.stable, self.activation = c.do_stable_layer_norm, ACTIVATIONS[c.feat_extract_activation]

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        places = self._placed(states.transpose(1, 2))[..., : states.shape[1]]
        states = states + self.activation(places).transpose(1, 2)
        if not self.stable:
            states = self.layer_norm(states)
        for layer in self.layers:
            states = layer(states, mask)
        return self.layer_norm(states) if self.stable else states

    def _placed(self, states: Tensor) -> Tensor:
        """Through the convolution; its weight is normed once for as long as it stays what it is, not at every call."""
        conv: Any = self.pos_conv_embed["conv"]
        if torch.is_grad_enabled():
            return conv(states)
        made_of = tuple(part._version for part in conv.parametrizations.weight.parameters())
        if self._normed is None or self._normed[0] != made_of or self._normed[1].device != states.device:
            self._normed = made_of, conv.weight.detach()
        return F.conv1d(states, self._normed[1], conv.bias, padding=conv.padding, groups=conv.groups)


class _Layer(nn.Module):
    def __init__(self, c: Described) -> None:
        super().__init__()
        dim = c.hidden_size
        self.heads, self.stable, self.activation = (
            c.num_attention_heads,
            c.do_stable_layer_norm,
            ACTIVATIONS[c.hidden_act],
        )
        self.attention = nn.ModuleDict({f"{name}_proj": Linear(dim, dim) for name in ("k", "v", "q", "out")})
        self.layer_norm = nn.LayerNorm(dim, c.layer_norm_eps)
        self.feed_forward = nn.ModuleDict(
            {
                "intermediate_dense": Linear(dim, c.intermediate_size),
                "output_dense": Linear(c.intermediate_size, dim),
            }
        )
        self.final_layer_norm = nn.LayerNorm(dim, c.layer_norm_eps)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        if self.stable:
            states = states + self._attended(self.layer_norm(states), mask)
            return states + self._fed(self.final_layer_norm(states))
        states = self.layer_norm(states + self._attended(states, mask))
        return self.final_layer_norm(states + self._fed(states))

    def _attended(self, states: Tensor, mask: Tensor) -> Tensor:
        own = self.attention
        query, key, value = own["q_proj"](states), own["k_proj"](states), own["v_proj"](states)
        return own["out_proj"](attend(query, key, value, mask, self.heads))

    def _fed(self, states: Tensor) -> Tensor:
        inner = self.activation(self.feed_forward["intermediate_dense"](states))
        return self.feed_forward["output_dense"](inner)
