"""Masked words (Devlin et al. 2019, §3.1), those of the emotion lexicon more often than others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor

from emofuse.encoders.encoder import Encoder, Inputs
from emofuse.encoders.lexicon import lexicon_features
from emofuse.encoders.processors.text import TextProcessor
from emofuse.encoders.sources import resolve_source
from emofuse.errors import RecipeError
from emofuse.training.pretraining.objective import MaskedObjective
from emofuse.types import Segment

IGNORED = -100
"""The label of a piece that is not asked for."""
REPLACED, KEPT = 0.1, 0.1
"""Of the hidden words: those that become other pieces, and those that stay; the rest become the mask."""
_HEADS = ("cls", "lm_head")
"""What transformers' classes call the part that reads states and gives logits of the vocabulary."""


class MaskedWords(MaskedObjective):
    """Whole words are hidden, and transformers' own head of masked language models says their pieces.

    Words that the lexicon knows are hidden at a rate of their own, as sentiment words are in SKEP (Tian et al. 2020):
    what a text feels like stands in few of its words. Turns before the utterance are read and never hidden.
    """

    modality = "text"
    rate = 0.15
    unit = "nats a hidden word piece"

    def __init__(
        self,
        encoder: Encoder,
        rate: float | None = None,
        lexicon_rate: float = 0.5,
        source: str | None = None,
        revision: str | None = None,
    ) -> None:
        """`source`: where the backbone's weights came from, whose head is taken over where it has one.

        Raises RecipeError where the backbone's kind has no masked language model, or its tokenizer no mask.
        """
        super().__init__(encoder, rate)
        if not self.share <= lexicon_rate < 1:
            raise RecipeError(f"words of the lexicon are hidden at least as often as others, below 1: {lexicon_rate:g}")
        self.lexicon_rate = lexicon_rate
        tokenizer: Any = encoder.processor.tokenizer
        if tokenizer.mask_token_id is None:
            raise RecipeError("the tokenizer has no piece that stands for a hidden word; start from a BERT or RoBERTa")
        self.mask_id = int(tokenizer.mask_token_id)
        special = torch.tensor(sorted({*tokenizer.all_special_ids}))
        size = int(encoder.backbone.get_input_embeddings().weight.shape[0])
        ordinary = torch.ones(size, dtype=torch.bool)
        ordinary[special[special < size]] = False
        self.ordinary: Tensor
        self.register_buffer("ordinary", ordinary.nonzero().squeeze(1), persistent=False)
        self.lm = _language_model(encoder, source, revision)

    def arrays(self, segment: Segment) -> dict[str, np.ndarray] | None:
        """With `emotive`, bool [pieces]: of a word that the lexicon knows."""
        found = super().arrays(segment)
        if found is None:
            return None
        words = [w.text for w in segment.words or () if w.text.strip()]
        own = cast(TextProcessor, self.encoder.processor).own
        known = np.append(lexicon_features(words, own)[:, 0] != 0, False)
        return found | {"emotive": known[np.maximum(found["word"], -1)]}

    def forward(self, inputs: Inputs, rng: np.random.Generator) -> tuple[Tensor, int]:
        """See MaskedObjective; cross entropy."""
        hidden = self.hide(inputs, rng)
        ids, labels = self.replace(inputs["input_ids"], hidden, inputs["word"], rng)
        named = {"input_ids": ids, "attention_mask": inputs["mask"].long()}
        if "token_type_ids" in inputs:
            named["token_type_ids"] = inputs["token_type_ids"]
        logits = self._logits(named, hidden)
        return F.cross_entropy(logits.float(), labels[hidden]), int(hidden.sum())

    def hide(self, inputs: Inputs, rng: np.random.Generator) -> Bool[Tensor, "batch pieces"]:
        """Pieces of the words that are hidden: one at least of every row."""
        word, mask = inputs["word"], inputs["mask"] & (inputs["word"] >= 0)
        slots = int(word.max()) + 1
        chance = torch.from_numpy(rng.random((len(word), slots))).to(word.device)
        own = chance.gather(1, word.clamp(min=0))
        rates = torch.where(inputs["emotive"], self.lexicon_rate, self.share)
        ratio = (own / rates).masked_fill(~mask, torch.inf)
        nearest = ratio.min(1, keepdim=True).values
        return mask & (ratio <= nearest.clamp(min=1.0))

    def replace(
        self,
        ids: Int[Tensor, "batch pieces"],
        hidden: Bool[Tensor, "batch pieces"],
        word: Int[Tensor, "batch pieces"],
        rng: np.random.Generator,
    ) -> tuple[Int[Tensor, "batch pieces"], Int[Tensor, "batch pieces"]]:
        """What the backbone is given, and the pieces that it is to say, IGNORED elsewhere; a word is treated whole."""
        fate = torch.from_numpy(rng.random((len(ids), int(word.max()) + 1))).to(ids.device)
        fate = fate.gather(1, word.clamp(min=0))
        others = torch.from_numpy(rng.integers(0, len(self.ordinary), tuple(ids.shape))).to(ids.device)
        given = torch.where(hidden & (fate >= REPLACED + KEPT), self.mask_id, ids)
        given = torch.where(hidden & (fate < REPLACED), self.ordinary[others], given)
        return given, torch.where(hidden, ids, IGNORED)

    def _logits(self, named: dict[str, Tensor], hidden: Tensor) -> Tensor:
        """Of the hidden pieces, [hidden, vocabulary]: a head that is known by name reads them alone."""
        head = next((getattr(self.lm, name) for name in _HEADS if hasattr(self.lm, name)), None)
        if head is None:
            return self.lm(**named).logits[hidden]
        return head(self.encoder.backbone(**named).last_hidden_state[hidden])


def _language_model(encoder: Encoder, source: str | None, revision: str | None) -> Any:
    """transformers' masked language model around the encoder's own backbone, input and output embeddings tied."""
    from transformers import AutoModelForMaskedLM, PreTrainedModel

    backbone = encoder.backbone
    kind = getattr(getattr(backbone, "config", None), "model_type", type(backbone).__name__)
    if not isinstance(backbone, PreTrainedModel):
        raise RecipeError(f"the text encoder is a {kind} with tokens or layers of its own; start from one without")
    try:
        with _quietly():
            if source is None:
                model: Any = AutoModelForMaskedLM.from_config(backbone.config)
            else:
                model = AutoModelForMaskedLM.from_pretrained(resolve_source(source), revision=revision)
    except ValueError as error:
        raise RecipeError(
            f"transformers has no masked language model of kind {kind}, which reads from left to right or has no such "
            "head; start from an encoder such as BERT, RoBERTa, XLM-R or DeBERTa"
        ) from error
    if model.get_input_embeddings().weight.shape != backbone.get_input_embeddings().weight.shape:
        model.resize_token_embeddings(backbone.get_input_embeddings().weight.shape[0])
    setattr(model, model.base_model_prefix, backbone)
    model.tie_weights()
    return model


@contextmanager
def _quietly() -> Iterator[None]:
    """Without transformers' table of a head's weights that a source lacks."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
