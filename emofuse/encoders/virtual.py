"""Virtual tokens: learned prompts before a text backbone, or learned keys and values in each layer."""

from __future__ import annotations

import inspect
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.modeling_outputs import BaseModelOutput

Kind = Literal["prompt", "prefix"]
NEEDS = {"prompt": "inputs_embeds", "prefix": "past_key_values"}
"""The argument a backbone must take."""


class VirtualTokens(nn.Module):
    """A text backbone that also attends to `tokens` learned ones; its states stay those of the given tokens.

    `prompt`: embeddings before the input's own (Lester et al. 2021, §2). `prefix`: keys and values before those of
    every layer (Li and Liang 2021, §4.2, without reparametrisation), as P-tuning v2 has them for encoders. The learned
    parameter has peft's shape, [tokens, embedding] or [tokens, layers · 2 · heads · width] with the heads of keys and
    values, so that peft reads what is saved.
    """

    def __init__(self, inner: nn.Module, kind: Kind, tokens: int) -> None:
        super().__init__()
        config: Any = inner.config
        heads, each = key_value_shape(config)
        prefix = 2 * config.num_hidden_layers * heads * each
        width = inner.get_input_embeddings().embedding_dim if kind == "prompt" else prefix  # type: ignore[operator]
        self.inner = inner
        self.kind: Kind = kind
        self.learned = nn.Parameter(torch.randn(tokens, width) * getattr(config, "initializer_range", 0.02))

    @property
    def config(self) -> Any:
        """The inner backbone's configuration."""
        return self.inner.config

    @property
    def _no_split_modules(self) -> Any:
        """The inner backbone's, which tell its layers."""
        return getattr(self.inner, "_no_split_modules", None)

    def get_input_embeddings(self) -> nn.Module:
        """The inner backbone's word embeddings."""
        return self.inner.get_input_embeddings()

    def forward(
        self,
        *,
        attention_mask: Int[Tensor, "batch time"],
        input_ids: Int[Tensor, "batch time"] | None = None,
        inputs_embeds: Float[Tensor, "batch time dim"] | None = None,
        token_type_ids: Int[Tensor, "batch time"] | None = None,
        position_ids: Int[Tensor, "batch time"] | None = None,
    ) -> BaseModelOutput:
        """`last_hidden_state` [batch, time, dim] of the given tokens, which stand behind the virtual ones."""
        embedded: Tensor = self.get_input_embeddings()(input_ids) if inputs_embeds is None else inputs_embeds
        count, batch = len(self.learned), len(embedded)
        mask = torch.cat([attention_mask.new_ones(batch, count), attention_mask], 1)
        fed: dict[str, Any] = {"attention_mask": mask}
        if self.kind == "prompt":
            prompts = self.learned.to(embedded.dtype).expand(batch, -1, -1)
            fed["inputs_embeds"] = torch.cat([prompts, embedded], 1)
            if token_type_ids is not None:
                fed["token_type_ids"] = torch.cat([token_type_ids.new_zeros(batch, count), token_type_ids], 1)
        else:
            fed |= {"inputs_embeds": embedded, "past_key_values": self._cache(batch, embedded.dtype)}
            if token_type_ids is not None:
                fed["token_type_ids"] = token_type_ids
        if position_ids is not None:
            fed["position_ids"] = self._behind(position_ids)
        states = self.inner(**fed).last_hidden_state
        return BaseModelOutput(last_hidden_state=states[:, -embedded.shape[1] :])

    def _behind(self, places: Int[Tensor, "batch time"]) -> Int[Tensor, "batch all"]:
        """Places of the given tokens, and of the prompt's before them, which are among the input."""
        count = len(self.learned)
        if self.kind == "prefix":
            return places + count
        before = torch.arange(count, device=places.device).expand(len(places), -1)
        return torch.cat([before, places + count], 1)

    def _cache(self, batch: int, dtype: torch.dtype) -> DynamicCache:
        heads, _ = key_value_shape(self.config)
        layers = self.learned.to(dtype).unflatten(1, (2 * self.config.num_hidden_layers, heads, -1))
        layers = layers.permute(1, 2, 0, 3)[:, None].expand(-1, batch, -1, -1, -1)
        cache = DynamicCache()
        for index in range(self.config.num_hidden_layers):
            cache.update(layers[2 * index], layers[2 * index + 1], index)
        return cache


def takes(backbone: nn.Module, kind: Kind) -> bool:
    """Whether a backbone has what virtual tokens of this kind need; one that has some already takes no more."""
    if isinstance(backbone, VirtualTokens):
        return False
    text = hasattr(backbone, "get_input_embeddings") and hasattr(backbone, "config")
    if text and kind == "prefix" and _own_keys(backbone.config):
        return False
    return text and NEEDS[kind] in inspect.signature(backbone.forward).parameters


def _own_keys(config: Any) -> bool:
    """Whether keys are of a shape that `key_value_shape` does not tell, as Falcon's and Gemma 4's."""
    values = config.to_dict() if hasattr(config, "to_dict") else {}
    return any(values.get(name) for name in ("multi_query", "per_layer_config", "num_kv_heads"))


def key_value_shape(config: Any) -> tuple[int, int]:
    """Heads of the keys and values of a layer, which several heads of queries may share, and the width of each."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return heads, getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def room(backbone: nn.Module) -> int | None:
    """Positions that the backbone has, virtual tokens included; None where it has no limit."""
    config: Any = backbone.config
    positions = getattr(config, "max_position_embeddings", None)
    offset = 2 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0
    return positions - offset if isinstance(positions, int) and positions > 0 else None
