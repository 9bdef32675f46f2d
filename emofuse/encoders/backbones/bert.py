"""BERT backbone (Devlin et al. 2019) with transformers' parameter names, without the pooler."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from emofuse.encoders.backbones.layers import ACTIVATIONS, Described, Embedding, Linear, attend, has_described

NEEDS = {
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
    "layer_norm_eps",
    "hidden_act",
}


def supports(architecture: dict[str, Any]) -> bool:
    """Whether an architecture is a plain encoder that this module computes like transformers."""
    return (
        has_described(architecture, "bert", NEEDS, ("hidden_act",))
        and architecture.get("position_embedding_type", "absolute") == "absolute"
        and not architecture.get("is_decoder")
        and not architecture.get("add_cross_attention")
    )


class Bert(nn.Module):
    """Word pieces → states; see transformers' BertModel."""

    def __init__(self, architecture: dict[str, Any]) -> None:
        super().__init__()
        c = self.config = Described(**architecture)
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": Embedding(c.vocab_size, c.hidden_size),
                "position_embeddings": Embedding(c.max_position_embeddings, c.hidden_size),
                "token_type_embeddings": Embedding(c.type_vocab_size, c.hidden_size),
                "LayerNorm": nn.LayerNorm(c.hidden_size, c.layer_norm_eps),
            }
        )
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer(c) for _ in range(c.num_hidden_layers))})

    def get_input_embeddings(self) -> nn.Module:
        """The table of word pieces."""
        return self.embeddings["word_embeddings"]

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
    ) -> Described:
        """`last_hidden_state` [batch, pieces, dim]."""
        parts = self.embeddings
        words = parts["word_embeddings"](input_ids) if inputs_embeds is None else inputs_embeds
        kinds = torch.zeros(words.shape[:2], dtype=torch.long, device=words.device)
        kinds = parts["token_type_embeddings"](kinds if token_type_ids is None else token_type_ids)
        places = parts["position_embeddings"](torch.arange(words.shape[1], device=words.device))
        states = parts["LayerNorm"](words + kinds + places)
        mask = None if attention_mask is None else attention_mask.bool()
        for layer in self.encoder["layer"]:  # type: ignore[union-attr]
            states = layer(states, mask)
        return Described(last_hidden_state=states)


class _Layer(nn.Module):
    def __init__(self, c: Described) -> None:
        super().__init__()
        dim, hidden = c.hidden_size, c.intermediate_size
        self.heads, self.activation = c.num_attention_heads, ACTIVATIONS[c.hidden_act]
        own = nn.ModuleDict({name: Linear(dim, dim) for name in ("query", "key", "value")})
        self.attention = nn.ModuleDict({"self": own, "output": _after(dim, dim, c.layer_norm_eps)})
        self.intermediate = nn.ModuleDict({"dense": Linear(dim, hidden)})
        self.output = _after(hidden, dim, c.layer_norm_eps)

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        own: Any = self.attention["self"]
        out: Any = self.attention["output"]
        attended = attend(own["query"](states), own["key"](states), own["value"](states), mask, self.heads)
        states = out["LayerNorm"](out["dense"](attended) + states)
        inner = self.activation(self.intermediate["dense"](states))
        return self.output["LayerNorm"](self.output["dense"](inner) + states)


def _after(width: int, dim: int, eps: float) -> nn.ModuleDict:
    return nn.ModuleDict({"dense": Linear(width, dim), "LayerNorm": nn.LayerNorm(dim, eps)})
