"""transformers' Whisper encoder, made to take sound of any length and to leave padding out."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from emofuse.encoders.backbones.whisper import convolved


def pretrained_whisper(source: str, revision: str | None) -> nn.Module:
    """With its weights, from a hub id or a folder of a whole Whisper or of its encoder alone."""
    encoder: Any = trimmed_whisper()
    return encoder.from_pretrained(source, revision=revision or "main", key_mapping={r"^(model\.)?encoder\.": ""})


@cache
def trimmed_whisper() -> type[nn.Module]:
    """The class; made here because importing the one below it changes the environment."""
    from transformers.modeling_outputs import BaseModelOutput
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    class TrimmedWhisper(WhisperEncoder):
        """The published encoder wants exactly 30 s, silence included; most utterances last 3.

        Positions are cut to the sound's length and attention does not see padding, so a row is the same alone and in
        a batch. Weights, names, dropout and adapters are those of the class above.
        """

        _keys_to_ignore_on_load_unexpected: ClassVar = [r"decoder\.", r"proj_out\."]

        def forward(  # type: ignore[override]
            self,
            input_features: Float[Tensor, "batch frames bins"],
            attention_mask: Int[Tensor, "batch frames"],
            output_hidden_states: bool = False,
        ) -> BaseModelOutput:
            """`last_hidden_state` [batch, ⌈frames / 2⌉, dim]; `hidden_states` before each layer and after the last."""
            states, mask = convolved(self, input_features, attention_mask.bool())
            states = nn.functional.dropout(states, self.dropout, self.training)
            bias = torch.zeros_like(mask, dtype=states.dtype).masked_fill(~mask, torch.finfo(states.dtype).min)
            hidden = [states]
            for layer in self.layers:
                states = layer(states, bias[:, None, None])
                hidden.append(states)
            hidden[-1] = self.layer_norm(states)
            return BaseModelOutput(hidden[-1], tuple(hidden) if output_hidden_states else None)

    return TrimmedWhisper
