"""`Encoder`: what a modality's encoder declares, and all that the rest of the package asks of one."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from emofuse.encoders.config import EncoderConfig
from emofuse.errors import EmofuseError
from emofuse.modalities import Modality
from emofuse.types import Segment, Tokens, Word

Inputs = Mapping[str, Tensor]
"""What `prepare` gave, collated: arrays [batch, time, …] (or [batch]) by name, a bool `mask` among them."""
LAYER = re.compile(r"(?:^|\.)(?:blocks|layers?)\.\d+$")
"""What the name of a layer ends in, in transformers and timm."""
_NO_LAYER = re.compile(r"(?:^|\.)(?:adapter|pos_conv_embed|downsample)(?:\.|$)")
"""What is numbered like layers and holds none: adapters above them, convolutions of positions, steps between stages."""
_ABOVE = re.compile(r"(?:^|\.)(?:norm|fc_norm|final_layer_norm|ln_f|norm_f|project_out|head|adapter|pooler)(?:\.|$)")


@dataclass(frozen=True, eq=False)
class EncoderGraph:
    """An encoder as a module of positional tensors, with an example."""

    module: nn.Module
    example: dict[str, Tensor]


class Encoder(nn.Module, ABC):
    """A modality's way from a segment to tokens.

    One must say `Config`, `modality`, `dim`, `prepare` and `states`; the rest has defaults that fit an encoder whose
    tokens stand at its input's own times. `forward` is `feed` → `states` → `tokens`.
    """

    Config: ClassVar[type[EncoderConfig]]
    """Its configuration, whose `kind` is the name it is registered by."""
    modality: Modality
    """On the class; an encoder of any modality sets it on the instance."""
    dim: int
    """Width of its tokens."""
    config: Any
    """The configuration, completed by what the source of the weights says."""
    backbone: Any
    """The transformer that adapters are put into; None where there is none."""
    continuous: ClassVar[tuple[str, ...]] = ()
    """Names of the inputs that a gradient can be taken of, the main one first."""
    reads_media: ClassVar[bool] = True
    """False where features that someone else extracted come in place of media."""
    has_lean: ClassVar[bool] = False
    """Whether it is also built without the libraries that its weights come from."""
    depth_keys: ClassVar[tuple[str, ...]] = ("num_hidden_layers", "encoder_layers", "n_layer")
    """What an architecture may call its number of layers, its usual name first."""
    input_fields: ClassVar[tuple[str, ...]] = ()
    """Fields of the configuration that decide what `prepare` gives …"""
    input_shape: ClassVar[tuple[str, ...]] = ()
    """… and those of its architecture."""
    starts_at_zero: ClassVar[tuple[str, ...]] = ()
    """Beginnings of names of weights that add nothing before they learn: a checkpoint to start from may lack them."""
    still: tuple[Literal["front", "backbone"], ...] = ()
    """Parts that stay in evaluation mode while it trains: those that a strategy has frozen."""
    exports: ClassVar[bool] = True
    """Whether it can be a graph for other runtimes, of any batch and any length."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = None

    @classmethod
    def build(cls, modality: Modality, config: Any, checkpoint: Path | None = None, lean: bool = False) -> Encoder:
        """Weights from the configured source, or, given a `checkpoint` folder, the shape alone (weights come after).

        `lean`: without transformers and timm where a `checkpoint` holds a plain architecture; see `backbones.layers`.
        """
        return cls(config, checkpoint, lean) if cls.has_lean else cls(config, checkpoint)  # type: ignore[call-arg]

    @classmethod
    def encodes(cls, modality: Modality) -> bool:
        """Whether it can be this modality's encoder."""
        return getattr(cls, "modality", modality) == modality

    # from a segment to tokens

    @abstractmethod
    def prepare(self, segment: Segment) -> dict[str, np.ndarray] | None:
        """Arrays of one segment, None where the modality is absent; runs in workers, without weights.

        Arrays of one or more dimensions share their first axis, time; `mask` (bool) is among them, and `times`
        (float32, seconds from the segment's start) unless `tokens` is overridden.
        """

    @abstractmethod
    def states(self, fed: Inputs) -> Tensor:
        """States [batch, time, dim] of what `feed` gave; padding must not change them."""

    def feed(self, inputs: Inputs) -> dict[str, Tensor]:
        """What `states` is given: the main continuous input and the mask."""
        return {name: inputs[name] for name in (self.continuous[0], "mask")}

    def tokens(self, states: Tensor, fed: Inputs, inputs: Inputs) -> Tokens:
        """States with their mask and times."""
        return Tokens(states.float(), inputs["mask"], inputs["times"])

    def forward(self, inputs: Inputs) -> Tokens:
        """Tokens of a batch in which every row has the modality."""
        fed = self.feed(inputs)
        return self.tokens(self.states(fed), fed, inputs)

    # gradients

    def continuous_inputs(self, inputs: Inputs) -> dict[str, Tensor]:
        """The inputs that a gradient can be taken of, by the name that `forward` reads them under."""
        return {name: inputs[name].float() for name in self.continuous if name in inputs}

    def baseline(self, inputs: Inputs) -> dict[str, Tensor]:
        """Inputs of the same names and shapes that say nothing."""
        return {name: torch.zeros_like(values) for name, values in self.continuous_inputs(inputs).items()}

    def input_times(self, inputs: Inputs) -> Tensor:
        """Seconds [batch, time] from the segment's start of each step of the main continuous input."""
        return inputs["times"]

    @property
    def embedding_site(self) -> nn.Module:
        """The module after which an input has become vectors: where adversarial training perturbs."""
        raise EmofuseError(f"the {self.modality} encoder names no embedding_site: train it without loss.adversarial")

    # layers

    @property
    def front(self) -> tuple[nn.Module, ...]:
        """What the input meets first, which `freeze: front` keeps as it is; () for an encoder that names nothing."""
        return ()

    def train(self, mode: bool = True) -> Encoder:
        """Training mode, but for the parts that are `still`."""
        super().train(mode)
        parts = (*(self.front if "front" in self.still else ()), *([self.backbone] if "backbone" in self.still else []))
        for part in parts:
            part.eval()
        return self

    @property
    def layers(self) -> tuple[nn.Module, ...]:
        """The transformer layers, from the input on; () for an encoder without."""
        return tuple(transformer_layers(self.backbone).values()) if isinstance(self.backbone, nn.Module) else ()

    def depths(self) -> dict[str, int]:
        """Parameter → 0 for embeddings and front ends, i + 1 for layer i, n + 1 for what stands above the n layers.

        What stands between two layers, as hierarchical backbones have it, goes with the later one.
        """
        owner = {id(p): i + 1 for i, layer in enumerate(self.layers) for p in layer.parameters()}
        top = len(self.layers) + 1
        found = {n: owner.get(id(p), top if self._above(n) else 0) for n, p in self.named_parameters()}
        names = list(found)
        inside = [i for i, n in enumerate(names) if 0 < found[n] < top]
        later = top
        for name in reversed(names[inside[0] : inside[-1]] if inside else []):
            later = found[name] = found[name] or later
        return found

    def _above(self, name: str) -> bool:
        """Whether a parameter outside the layers stands above them; virtual tokens act in all and count as above."""
        inside = name.removeprefix("backbone.")
        if inside == name or inside == "learned" or not self.layers:
            return True
        return _ABOVE.search(inside.removeprefix("encoder.")) is not None

    @classmethod
    def depth_key(cls, architecture: Mapping[str, Any]) -> str:
        """What this architecture calls its number of layers."""
        return next((key for key in cls.depth_keys if key in architecture), cls.depth_keys[0])

    def takes_virtual_tokens(self, kind: Literal["prompt", "prefix"]) -> bool:
        """Whether `add_virtual_tokens` can put learned tokens of this kind beside the input's."""
        return False

    def add_virtual_tokens(self, kind: Literal["prompt", "prefix"], tokens: int) -> None:
        """Let the backbone attend to learned tokens as well; raises RecipeError where they do not fit."""
        raise EmofuseError(f"the {self.modality} encoder takes no {kind} tokens")

    def shrink(self) -> None:
        """Keep the backbone's weights, once they are there, in as little memory as the configuration says."""

    # files

    def save_assets(self, folder: Path) -> None:
        """Write what `prepare` needs and the configuration does not hold (a tokenizer) beside the weights."""

    @classmethod
    def assets_in(cls, folder: Path) -> dict[str, Any]:
        """Fields of the configuration by which a folder's assets are found when it is built without a checkpoint."""
        return {}

    @classmethod
    def shape_in(cls, folder: Path, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """Fields that, beside `values`, give the shape of a folder's weights from scratch; None where it lacks them."""
        return None

    def reading(self) -> dict[str, Any]:
        """What of the configuration decides what `prepare` gives: equal where two encoders can be fed the same."""
        values = self.config.model_dump()
        architecture = values.get("architecture") or {}
        shape = {k: architecture[k] for k in self.input_shape if k in architecture}
        return {k: values[k] for k in self.input_fields if k in values} | shape

    def fingerprint(self) -> str:
        """Text that differs where `prepare` would give something else for the same segment."""
        return self.config.model_dump_json()

    # other runtimes

    def graph(self, inputs: Inputs, whole: bool = True) -> EncoderGraph:
        """`forward` for export, with `inputs` as its example; not `whole`: `states`, with what `feed` makes of them."""
        if not self.exports or not self.reads_media:
            raise EmofuseError(
                f"the {self.modality} encoder reads ready-made features: only models that read media are exported"
            )
        if whole:
            return EncoderGraph(_Forward(self, tuple(inputs)).eval(), dict(inputs))
        fed = self.feed(inputs)
        return EncoderGraph(_States(self, tuple(fed)).eval(), fed)

    def filled(self, inputs: Inputs) -> Inputs:
        """Inputs in which every row feeds as much as the longest; for encoders whose `feed` leaves padding out."""
        return inputs

    def left_out(self, segment: Segment) -> float:
        """Seconds of a segment that are there and not read, because it is longer than what is read at once."""
        return 0.0

    # words

    def reads_at_once(self, words: Sequence[Word]) -> bool:
        """Whether the words are read whole, none of them cut off."""
        return True

    @property
    def context_turns(self) -> int:
        """Earlier turns of a dialogue that it reads beside the utterance."""
        return 0

    @property
    def future_turns(self) -> int:
        """Later turns of a dialogue that it reads, too: another task than reading earlier ones alone."""
        return 0

    def foreign(self, words: Sequence[Word]) -> bool:
        """Whether words are in a script that the encoder cannot read."""
        return False


def transformer_layers(backbone: nn.Module) -> dict[str, nn.Module]:
    """The transformer layers of a backbone by name, from the input on; {} where it has none that are known.

    Known are the names of LAYER, the innermost where a stage holds layers, and else the classes that transformers keeps
    whole on a device (`_no_split_modules`).
    """
    named = list(backbone.named_modules())
    found = {n: m for n, m in named if LAYER.search(n) and not _NO_LAYER.search(n)}
    if found:
        return {n: m for n, m in found.items() if not any(other.startswith(f"{n}.") for other in found)}
    whole = set(getattr(backbone, "_no_split_modules", None) or ())
    return {n: m for n, m in named if type(m).__name__ in whole and n.rpartition(".")[2].isdigit()}


class _Positional(nn.Module):
    """An encoder as a function of positional tensors."""

    def __init__(self, encoder: Encoder, names: tuple[str, ...]) -> None:
        super().__init__()
        self.encoder, self.names = encoder, names


class _Forward(_Positional):
    """`Encoder.forward`: states, mask and times of its tokens."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        tokens = self.encoder(dict(zip(self.names, tensors, strict=True)))
        return tokens.states, tokens.mask, tokens.times


class _States(_Positional):
    """`Encoder.states`."""

    def forward(self, *tensors: Tensor) -> Tensor:
        return self.encoder.states(dict(zip(self.names, tensors, strict=True)))
