"""The speech encoder: waveform to wav2vec2-family or Whisper states with seconds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emofuse.encoders import hf
from emofuse.encoders.config import CONFORMER, WHISPER, SpeechConfig
from emofuse.encoders.encoder import Encoder, Inputs
from emofuse.encoders.hf import described
from emofuse.encoders.masked_norm import mask_group_norm
from emofuse.encoders.masked_positions import mask_positions
from emofuse.encoders.mel import HOP, WINDOW
from emofuse.encoders.mel_stem import MelStem
from emofuse.encoders.processors.speech import SpeechProcessor
from emofuse.encoders.sources import resolve_source
from emofuse.encoders.spec_augment import SpecAugmentHook, masked
from emofuse.errors import CheckpointError
from emofuse.modalities import Modality
from emofuse.types import SAMPLE_RATE, Segment, Tokens

_LAST_NORM = re.compile(r"(?:^|\.)backbone\.(?:base_model\.model\.)?(?:encoder\.)?layer_norm\.\w+$")


class SpeechEncoder(Encoder):
    """wav2vec2, HuBERT, WavLM, data2vec, wav2vec2-BERT or Whisper's encoder; padding never changes a row."""

    Config = SpeechConfig
    modality: Modality = "speech"
    has_lean = True
    continuous = ("values",)
    input_fields = ("normalize", "trim", "max_seconds")
    input_shape = ("feature_projection_input_dim",)

    def __init__(self, config: SpeechConfig, checkpoint: Path | None = None, lean: bool = False) -> None:
        super().__init__()
        normalize = config.normalize
        if checkpoint is None and config.source is not None:
            source = resolve_source(config.source)
            self.backbone = hf.pretrained(source, config.revision)
            if normalize is None:
                normalize = self._normalizes(source, config.revision)
        else:
            plain = not (config.layer_sum or config.last_layers > 1)
            whisper = (config.architecture or {}).get("model_type") == WHISPER
            self.backbone = hf.loadable(config.architecture, lean and checkpoint is not None and (plain or whisper))
        normalize = True if normalize is None else normalize
        shape: Any = self.backbone.config
        # SpecAugment inside the backbone would draw from NumPy's global state, which no resumable state holds.
        shape.apply_spec_augment = False
        if config.layer_sum or config.last_layers > 1:
            shape.layerdrop = 0.0  # a layer that is left out has no state to be read
        self.config = config.model_copy(update={"architecture": described(shape), "normalize": normalize})
        self.shape = shape
        self.whisper = self._is_whisper()
        self.dim: int = (shape.d_model if self.whisper else shape.hidden_size) * config.last_layers
        self.spectral = self.whisper or shape.model_type == CONFORMER
        self.stem = self._stem(config, shape.feature_projection_input_dim) if config.stem else None
        self.processor = SpeechProcessor(self.config)
        stride = self.processor.stride
        self.group_norm = [mask_group_norm(self.backbone)]  # in a list: it is the backbone's module, not ours
        self.positions = [mask_positions(self.backbone)]
        layers = shape.encoder_layers if self.whisper else shape.num_hidden_layers
        self.layer_weights = nn.Parameter(torch.zeros(layers + 1)) if config.layer_sum else None
        self.masking = SpecAugmentHook(config.spec_augment) if config.spec_augment else None
        if self.masking is not None and not self.whisper:
            self.backbone.feature_projection.register_forward_hook(self.masking)
        self._hop, self._window = self._frame(stride)
        self.input_hop = stride * HOP / SAMPLE_RATE if self.spectral else 1 / SAMPLE_RATE
        """Seconds from one of the `values` to the next."""
        if self.stem is not None:
            self._hop *= self.stem.stride

    def _normalizes(self, source: str, revision: str | None) -> bool:
        """What the source's feature extractor says; raises CheckpointError where it has none."""
        hf.need_transformers()
        from transformers import AutoFeatureExtractor

        try:
            extractor = AutoFeatureExtractor.from_pretrained(source, revision=revision)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{source} holds no preprocessor_config.json to say whether its sound is normalised; "
                "set model.encoders.speech.normalize to true (wav2vec2, HuBERT) or false (WavLM base)"
            ) from error
        return bool(getattr(extractor, "do_normalize", not self._is_whisper()))

    def _is_whisper(self) -> bool:
        return self.backbone.config.model_type == WHISPER

    @classmethod
    def shape_in(cls, folder: Path, values: Mapping[str, Any]) -> dict[str, Any]:
        """From the folder's config.json."""
        return {"architecture": json.loads((folder / "config.json").read_text("utf-8"))}

    @staticmethod
    def _stem(config: SpeechConfig, width: int) -> MelStem:
        stem = MelStem(config.stem)
        if stem.width != width:
            raise ValueError(
                f"this stem makes {stem.width} features: set feature_projection_input_dim to it, not {width}"
            )
        return stem

    def prepare(self, segment: Segment) -> dict[str, np.ndarray] | None:
        """See SpeechProcessor; None when the segment has no waveform."""
        return self.processor(segment)

    def left_out(self, segment: Segment) -> float:
        """Seconds of the voice past `max_seconds`."""
        return self.processor.left_out(segment)

    def feed(self, inputs: Inputs) -> dict[str, Tensor]:
        """`values` [batch, frames, mel] or [batch, samples], and `mask` on the same axis, past any stem."""
        values, mask = inputs["values"], inputs["mask"]
        values, mask = (values, mask) if self.stem is None else self.stem(values, mask)
        return {"values": values, "mask": mask}

    def states(self, fed: Inputs) -> Tensor:
        """One a backbone frame, layers summed where the configuration says so."""
        values, mask, norm, positions = fed["values"], fed["mask"], self.group_norm[0], self.positions[0]
        if norm is not None:
            norm.lengths = self._convolved(mask.sum(1), layers=1)
        if positions is not None:
            positions.lengths = self._convolved(mask.sum(1))
        states = self._layers(self._masked(values, mask), mask)
        for part in (norm, positions):
            if part is not None:
                part.lengths = None
        if self.masking is not None:
            self.masking.end()
        return states

    def _masked(self, values: Tensor, mask: Tensor) -> Tensor:
        """Of Whisper, the spectrogram with SpecAugment; of others, the hook masks what is made of `values`."""
        if self.masking is None or not self.training:
            return values
        if self.whisper:
            return masked(values, mask.sum(1), self.masking.options)
        frames = mask.sum(1) if self.spectral else self._convolved(mask.sum(1))
        self.masking.begin(frames, getattr(self.backbone, "masked_spec_embed", None))
        return values

    def tokens(self, states: Tensor, fed: Inputs, inputs: Inputs) -> Tokens:
        """The frames that real input reaches, each at its middle."""
        frames = self._frames(fed["mask"].sum(1))
        index = torch.arange(states.shape[1], device=states.device)
        times = inputs["offset"][:, None] + index.float() * self._hop + self._window / 2
        return Tokens(states.float(), index < frames[:, None], times)

    def input_times(self, inputs: Inputs) -> Tensor:
        """Middles of the steps of `values`, from the segment's start."""
        steps = torch.arange(inputs["values"].shape[1], device=inputs["offset"].device, dtype=torch.float64)
        return inputs["offset"].double()[:, None] + (steps + 0.5) * self.input_hop

    @property
    def token_hop(self) -> float:
        """Seconds from one token to the next."""
        return self._hop

    @property
    def embedding_site(self) -> nn.Module:
        """The projection of frames of sound; Whisper's second convolution."""
        return self.backbone.conv2 if self.whisper else self.backbone.feature_projection

    @property
    def front(self) -> tuple[nn.Module, ...]:
        """The convolutions that sound meets first; of wav2vec2-BERT, which has none, the projection of frames."""
        if self.whisper:
            return self.backbone.conv1, self.backbone.conv2
        if self.spectral:
            return (self.backbone.feature_projection, *((self.stem,) if self.stem is not None else ()))
        return (self.backbone.feature_extractor,)

    def _above(self, name: str) -> bool:
        """Whisper, and wav2vec2-large with stable norms, end in a norm that smaller wav2vec2 begin with."""
        last = self.whisper or getattr(self.shape, "do_stable_layer_norm", False)
        return (last and _LAST_NORM.search(name) is not None) or super()._above(name)

    def _layers(self, values: Tensor, mask: Tensor) -> Tensor:
        key = "input_features" if self.spectral else "input_values"
        fed = {key: values, "attention_mask": mask.long()}
        if self.layer_weights is None and self.config.last_layers == 1:
            return self.backbone(**fed).last_hidden_state
        out = self.backbone(**fed, output_hidden_states=True)
        if self.layer_weights is None:
            return torch.cat(out.hidden_states[-self.config.last_layers :], -1)
        weights = self.layer_weights.softmax(0)
        return torch.einsum("l,lbtd->btd", weights, torch.stack(out.hidden_states))

    def _frames(self, lengths: Tensor) -> Tensor:
        """Backbone frames that `lengths` inputs yield."""
        if self.whisper:
            return (lengths + 1) // 2
        if self.spectral:
            return lengths
        lengths = self._convolved(lengths)
        added = self.shape.num_adapter_layers if getattr(self.shape, "add_adapter", False) else 0
        for _ in range(added):
            lengths = (lengths - 1) // self.shape.adapter_stride + 1
        return lengths

    def _convolved(self, lengths: Tensor, layers: int | None = None) -> Tensor:
        """Frames that `lengths` samples yield behind the first `layers` convolutions of the front end; None = all."""
        for kernel, stride in list(zip(self.shape.conv_kernel, self.shape.conv_stride, strict=True))[:layers]:
            lengths = (lengths - kernel) // stride + 1
        return lengths

    def _frame(self, stride: int) -> tuple[float, float]:
        """Hop and receptive field of a backbone frame, in seconds; Whisper's first is centred on the start."""
        if self.whisper:
            return 2 * HOP / SAMPLE_RATE, 0.0
        if self.spectral:
            return stride * HOP / SAMPLE_RATE, ((stride - 1) * HOP + WINDOW) / SAMPLE_RATE
        hop, window = 1, 1
        for kernel, step in zip(self.shape.conv_kernel, self.shape.conv_stride, strict=True):
            window += (kernel - 1) * hop
            hop *= step
        return hop / SAMPLE_RATE, window / SAMPLE_RATE
