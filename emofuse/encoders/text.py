"""The text encoder: words to states of a BERT or a decoder with seconds, the lexicon joined."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from emofuse.encoders import hf
from emofuse.encoders.config import TextConfig
from emofuse.encoders.decoder import positions, settled, takes_positions, width, with_padding
from emofuse.encoders.dialogue import with_rows, with_speakers
from emofuse.encoders.encoder import Encoder, Inputs
from emofuse.encoders.four_bit import quantise
from emofuse.encoders.hf import described
from emofuse.encoders.lexicon import LEXICON_FEATURES
from emofuse.encoders.processors.text import TextProcessor
from emofuse.encoders.sources import resolve_source
from emofuse.errors import CheckpointError, RecipeError
from emofuse.modalities import Modality
from emofuse.tasks import EMOTIONS
from emofuse.types import Segment, Tokens, Word

VIRTUAL = "virtual_tokens"
"""Where an architecture says which learned tokens stand before the words."""
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "tokenizer_config.json")
_PROBE = "a \U00013000"
"""A letter, and a hieroglyph that hardly a vocabulary has."""


class TextEncoder(Encoder):
    """A BERT-family backbone or a decoder, and the lexicon's projection, zero at first (Zhang et al. 2023, ControlNet,
    §3.1)."""

    Config = TextConfig
    modality: Modality = "text"
    has_lean = True
    continuous = ("inputs_embeds", "lexicon")
    input_fields = (
        *("max_length", "context_turns", "future_turns", "layout", "speakers", "prompt"),
        *("lexicon", "valences", "affinities"),
    )
    starts_at_zero = ("own_words.",)
    input_shape = ("vocab_size",)

    def __init__(self, config: TextConfig, checkpoint: Path | None = None, lean: bool = False) -> None:
        super().__init__()
        architecture = dict(config.architecture or {})
        virtual = architecture.pop(VIRTUAL, None)
        dtype = "float32" if checkpoint is not None or config.weights == "float32" else "bfloat16"
        if checkpoint is not None:
            # virtual tokens stand in a transformers backbone's cache
            backbone = hf.loadable(architecture, lean and virtual is None)
            tokenizer = _fitting(hf.tokenizer(checkpoint, lean=lean), backbone, checkpoint)
        elif config.source is not None:
            source = resolve_source(config.source)
            backbone = hf.pretrained(source, config.revision, dtype)
            own = config.tokenizer is None  # the revision is of the source's repository
            tokenizer = hf.tokenizer(
                resolve_source(config.tokenizer or config.source), config.revision if own else None
            )
        else:
            if config.tokenizer is None:
                raise ValueError("a text encoder from scratch needs tokenizer: a hub id or a folder")
            backbone = hf.backbone(architecture, dtype)
            tokenizer = hf.tokenizer(resolve_source(config.tokenizer))
        _drop_pooler(backbone)
        self.dim = width(backbone)
        if checkpoint is None:
            config = settled(config, backbone)
            _complete(config, tokenizer, backbone)
        config = config.model_copy(update={"pool": config.pool or "attention"})
        self.config = config.model_copy(update={"architecture": described(backbone.config)})
        self.backbone = backbone
        self.places = takes_positions(backbone)
        self.processor = TextProcessor(self.config, tokenizer)
        self.lexicon = nn.Linear(len(LEXICON_FEATURES), self.dim) if config.lexicon else None
        if self.lexicon is not None:
            nn.init.zeros_(self.lexicon.weight)
            nn.init.zeros_(self.lexicon.bias)
        self.own_words = nn.Linear(len(EMOTIONS), self.dim, bias=False) if config.affinities else None
        if self.own_words is not None:
            nn.init.zeros_(self.own_words.weight)
        if virtual is not None:
            self.add_virtual_tokens(virtual["kind"], virtual["tokens"])

    def shrink(self) -> None:
        """bfloat16 or 4 bits where `weights` says so. Raises MissingExtraError: see `quantise`."""
        if self.config.weights != "float32":
            for parameter in self.backbone.parameters():  # and not the waves of positions, which are buffers
                parameter.data = parameter.data.bfloat16()
        if self.config.weights == "4bit":
            quantise(self.backbone)

    @classmethod
    def assets_in(cls, folder: Path) -> dict[str, Any]:
        """The folder's tokenizer."""
        return {"tokenizer": str(folder)}

    @classmethod
    def shape_in(cls, folder: Path, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """From the folder's config.json and its tokenizer, unless `values` name another."""
        if "tokenizer" not in values and not any((folder / name).is_file() for name in _TOKENIZERS):
            return None
        architecture = json.loads((folder / "config.json").read_text("utf-8"))
        return ({} if "tokenizer" in values else cls.assets_in(folder)) | {"architecture": architecture}

    def takes_virtual_tokens(self, kind: Literal["prompt", "prefix"]) -> bool:
        """Whether the backbone reads what virtual tokens of this kind are."""
        from emofuse.encoders.virtual import takes

        return takes(self.backbone, kind)

    def add_virtual_tokens(self, kind: Literal["prompt", "prefix"], tokens: int) -> None:
        """Let the backbone attend to learned tokens as well; the configuration says so, for a checkpoint to load."""
        from emofuse.encoders.virtual import VirtualTokens, room

        limit, longest = room(self.backbone), self.config.max_length
        if limit is not None and tokens + longest > limit:
            raise RecipeError(
                f"{tokens} virtual tokens and {longest} word pieces are more than the {limit} positions of this "
                f"encoder; set model.encoders.{self.modality}.max_length={limit - tokens}"
            )
        self.backbone = VirtualTokens(self.backbone, kind, tokens)
        architecture = dict(self.config.architecture or {}) | {VIRTUAL: {"kind": kind, "tokens": tokens}}
        self.config = self.config.model_copy(update={"architecture": architecture})

    def prepare(self, segment: Segment) -> dict[str, np.ndarray] | None:
        """See TextProcessor; None when the segment has no words."""
        return self.processor(segment)

    def feed(self, inputs: Inputs) -> dict[str, Tensor]:
        """`inputs_embeds` [batch, pieces, dim] may stand in for `input_ids` (attribution, adversarial training)."""
        pieces = "inputs_embeds" if "inputs_embeds" in inputs else "input_ids"
        return {name: inputs[name] for name in (pieces, "mask", "token_type_ids") if name in inputs}

    def states(self, fed: Inputs) -> Tensor:
        """Of the backbone, before the lexicon is added."""
        named = {name: values for name, values in fed.items() if name != "mask"}
        if self.places:
            named["position_ids"] = positions(fed["mask"])
        return self.backbone(**named, attention_mask=fed["mask"].long()).last_hidden_state

    def tokens(self, states: Tensor, fed: Inputs, inputs: Inputs) -> Tokens:
        """The lexicon's features added; the context's pieces have been read and are handed on no further."""
        if self.lexicon is not None:
            states = states + self._of_words(inputs["lexicon"].to(self.lexicon.weight.dtype))
        return Tokens(states.float(), inputs["mask"] & inputs["own"], inputs["times"])

    def _of_words(self, features: Tensor) -> Tensor:
        """States [batch, pieces, dim] of the lexicon's features, and of the strengths of emotions in words of one's
        own."""
        assert self.lexicon is not None
        if self.own_words is None:
            return self.lexicon(features)
        known = len(LEXICON_FEATURES)
        return self.lexicon(features[..., :known]) + self.own_words(features[..., known:])

    def continuous_inputs(self, inputs: Inputs) -> dict[str, Tensor]:
        """Word-piece embeddings, and the lexicon's features."""
        return super().continuous_inputs({**inputs, "inputs_embeds": self.embed(inputs["input_ids"]).detach()})

    def baseline(self, inputs: Inputs) -> dict[str, Tensor]:
        """Padding in place of word pieces (markers like [CLS] stay), and no lexicon."""
        ids, tokenizer = inputs["input_ids"], self.processor.tokenizer
        marker = torch.isin(ids, torch.tensor(tokenizer.all_special_ids, device=ids.device))
        padding = torch.where(marker, ids, torch.full_like(ids, int(tokenizer.pad_token_id or 0)))
        return super().baseline(inputs) | {"inputs_embeds": self.embed(padding).detach()}

    @property
    def embedding_site(self) -> nn.Module:
        """The word embeddings."""
        return self.backbone.get_input_embeddings()

    @property
    def front(self) -> tuple[nn.Module, ...]:
        """The word embeddings."""
        return (self.embedding_site,)

    def embed(self, input_ids: Tensor) -> Tensor:
        """Word-piece embeddings [batch, pieces, dim], before positions are added."""
        return self.backbone.get_input_embeddings()(input_ids)

    def save_assets(self, folder: Path) -> None:
        """Write the tokenizer's files beside the weights."""
        self.processor.tokenizer.save_pretrained(folder)

    def fingerprint(self) -> str:
        """The configuration, and the tokenizer's vocabulary and rules."""
        tokenizer = self.processor.tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is not None:
            return f"{super().fingerprint()} {backend.to_str()}"
        return f"{super().fingerprint()} {sorted(tokenizer.get_vocab().items())} {tokenizer.init_kwargs!r}"

    def reads_at_once(self, words: Sequence[Word]) -> bool:
        """Whether their word pieces are at most `max_length`."""
        return self.processor.reads_at_once(words)

    @property
    def context_turns(self) -> int:
        """As configured."""
        return self.config.context_turns

    @property
    def future_turns(self) -> int:
        """As configured."""
        return self.config.future_turns

    def foreign(self, words: Sequence[Word]) -> bool:
        """See `TextProcessor.foreign`."""
        return self.processor.foreign(words)


def _fitting(tokenizer: Any, backbone: nn.Module, folder: Path) -> Any:
    """The tokenizer of a checkpoint, once it has read a text; raises CheckpointError for a piece beyond the weights."""
    read = tokenizer(_PROBE, text_pair=_PROBE, truncation="only_second", max_length=16, return_offsets_mapping=True)
    if not read["input_ids"]:
        raise CheckpointError(f"{folder}: the tokenizer makes nothing of a text: it is damaged; fetch or save it again")
    largest = max(tokenizer.get_vocab().values(), default=0)
    rows = backbone.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
    if largest >= rows:
        raise CheckpointError(
            f"{folder}: the tokenizer knows a piece of number {largest:,}, the model has {rows:,}: one of them is "
            "damaged or of another model; fetch or save it again"
        )
    return tokenizer


def _complete(config: TextConfig, tokenizer: Any, backbone: nn.Module) -> None:
    """What a published tokenizer and backbone lack of what the configuration asks for."""
    with_padding(tokenizer)
    with_rows(tokenizer, backbone)
    if config.speakers == "tokens":
        with_speakers(tokenizer, backbone)


def _drop_pooler(backbone: nn.Module) -> None:
    """BERT's pooler is never used here; left in, it would be a parameter without gradient."""
    if isinstance(getattr(backbone, "pooler", None), nn.Module):
        backbone.register_module("pooler", None)
