"""Decoders as text encoders: GPT-2, OPT, Llama, Qwen, Gemma and their like, which read from left to right.

A piece has seen what stands before it and nothing after it. So a dialogue is read in the order in which it was said,
the utterance (or the prompt) last, and what a decoder says of it is the state of the last piece.
"""

from __future__ import annotations

import inspect
from typing import Any

from jaxtyping import Bool, Int
from torch import Tensor, nn

from emofuse.encoders.config import TextConfig
from emofuse.errors import RecipeError

_BOTH_WAYS = {"xlnet", "bert-generation"}
"""Model types that transformers lists as language models from left to right alone, and that read both ways."""


def is_decoder(backbone: nn.Module) -> bool:
    """Whether each piece attends only to those before it."""
    config: Any = getattr(backbone, "config", None)
    if config is None or getattr(config, "is_encoder_decoder", False):
        return False
    told = [m.is_causal for m in backbone.modules() if hasattr(m, "is_causal")]
    return any(told) if told else _generates_only(getattr(config, "model_type", ""))


def _generates_only(model_type: str) -> bool:
    """Whether transformers knows a type for writing on from a text, and not for filling gaps in one."""
    from transformers.models.auto import modeling_auto as known

    writes = model_type in known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    return writes and model_type not in known.MODEL_FOR_MASKED_LM_MAPPING_NAMES and model_type not in _BOTH_WAYS


def takes_positions(backbone: nn.Module) -> bool:
    """Whether a decoder is told the place of each piece."""
    return "position_ids" in inspect.signature(backbone.forward).parameters and is_decoder(backbone)


def positions(mask: Bool[Tensor, "batch time"]) -> Int[Tensor, "batch time"]:
    """The place of each piece among the real ones of its row, wherever its padding stands."""
    return (mask.long().cumsum(1) - 1).clamp(min=0)


def settled(config: TextConfig, backbone: nn.Module) -> TextConfig:
    """The configuration with what it leaves open: how tokens are pooled and, of a decoder, the order of the turns.

    Raises RecipeError for what a decoder cannot do.
    """
    if not is_decoder(backbone):
        return config.model_copy(update={"pool": config.pool or "attention"})
    from emofuse.encoders.virtual import room  # which loads transformers

    name, limit = type(backbone).__name__, room(backbone)
    if config.future_turns:
        raise RecipeError(
            f"model.encoders.text.future_turns is {config.future_turns}: {name} reads from left to right, and later "
            "turns would stand behind the utterance; set it to 0, or use an encoder that reads both ways (RoBERTa)"
        )
    if limit is not None and config.max_length > limit:
        raise RecipeError(
            f"model.encoders.text.max_length is {config.max_length}: {name} has {limit} positions; "
            f"set it to {limit} at most"
        )
    return config.model_copy(update={"pool": config.pool or "last", "layout": "dialogue"})


def with_padding(tokenizer: Any) -> None:
    """Give a tokenizer that has no padding piece, as GPT-2's and Llama's have none, another marker for it.

    Which one does not matter to the answer: padding is masked.
    """
    if tokenizer.pad_token_id is None:
        marks = (tokenizer.eos_token, tokenizer.bos_token, tokenizer.unk_token)
        tokenizer.pad_token = next((mark for mark in marks if mark is not None), None)


def width(backbone: nn.Module) -> int:
    """Width of a backbone's states; raises RecipeError for one that is no backbone of words alone."""
    config: Any = backbone.config
    found = getattr(config, "word_embed_proj_dim", None) or getattr(config, "hidden_size", None)
    if found is None:
        raise RecipeError(
            f"model.encoders.text: {type(backbone).__name__} ({config.model_type}) reads more than words; "
            "give a model of text alone, for example google/gemma-3-1b-pt in place of a larger Gemma 3"
        )
    return int(found)
