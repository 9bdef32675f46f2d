"""What is exported: each encoder's backbone and the fusion with its heads, as functions of tensors alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from emofuse.batch import Batch
from emofuse.errors import EmofuseError
from emofuse.model.model import EmotionModel
from emofuse.types import Modality, Tokens

FUSION = "fusion"
PARTS = ("states", "mask", "times", "present")
"""What the fusion graph is given of each modality."""


@dataclass(frozen=True, eq=False)
class Graph:
    """A module of positional tensors, with names, an example, and the axes that may vary."""

    name: str
    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    example: tuple[Tensor, ...]
    axes: dict[str, dict[int, str]]
    """Input → axis → the name of its length."""


class TextGraph(nn.Module):
    """Word pieces → states, before the lexicon is added."""

    def __init__(self, encoder: Any, kinds: bool) -> None:
        super().__init__()
        self.backbone, self.kinds = encoder.backbone, kinds

    def forward(self, input_ids: Tensor, mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """[batch, pieces, dim]."""
        fed = {"token_type_ids": token_type_ids} if self.kinds else {}
        return self.backbone(input_ids=input_ids, attention_mask=mask.long(), **fed).last_hidden_state


class SpeechGraph(nn.Module):
    """Mel frames or samples → states, layers summed where the encoder does."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """[batch, frames, dim]."""
        norm = self.encoder.group_norm[0]
        if norm is not None:
            shape = self.encoder.backbone.config
            norm.lengths = (mask.sum(1) - shape.conv_kernel[0]) // shape.conv_stride[0] + 1
        states = self.encoder._states(values, mask)
        if norm is not None:
            norm.lengths = None
        return states


class FaceGraph(nn.Module):
    """Normalised pictures [frames, 3, size, size] → one state each."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.backbone = encoder.backbone

    def forward(self, pictures: Tensor) -> Tensor:
        """[frames, dim]."""
        return self.backbone.forward_head(self.backbone.forward_features(pictures), pre_logits=True)


class FusionGraph(nn.Module):
    """Tokens of every modality, present or not → logits of every task, fused and by modality, and the fused state.

    All subsets go through one graph: a modality that no row has is one token that is masked.
    """

    def __init__(self, model: EmotionModel) -> None:
        super().__init__()
        self.fusion, self.heads, self.modality_heads = model.fusion, model.heads, model.modality_heads
        self.pool_weights = model.pool_weights
        self.model = [model]  # in a list: its encoders are no part of this graph

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """In the order of `fusion_names`."""
        model = self.model[0]
        tokens: dict[Modality, Tokens] = {}
        present: dict[Modality, Tensor] = {}
        for i, modality in enumerate(model.modalities):
            states, mask, times, there = tensors[4 * i : 4 * i + 4]
            tokens[modality], present[modality] = Tokens(states, mask, times), there
        out = EmotionModel.fuse(model, tokens, present)
        alone = (out.by_modality[m][task.name] for m in model.modalities for task in model.tasks)
        return *(out.logits[task.name] for task in model.tasks), *alone, out.state


def fusion_names(model: EmotionModel) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the fusion graph's inputs and outputs."""
    inputs = tuple(f"{m}_{part}" for m in model.modalities for part in PARTS)
    tasks = [task.name for task in model.tasks]
    return inputs, (*tasks, *(f"{m}_{task}" for m in model.modalities for task in tasks), "state")


def graphs(model: EmotionModel, batch: Batch) -> list[Graph]:
    """The parts of a model, with the first rows of `batch` (which must have every modality) as examples."""
    found = []
    for modality in model.modalities:
        encoder: Any = model.encoders[modality]
        if not hasattr(encoder, "backbone"):
            raise EmofuseError(
                f"the {modality} encoder reads ready-made features: only models that read media are exported"
            )
        if modality not in batch.inputs:
            raise EmofuseError(f"an example of {modality} is needed to export its encoder")
        found.append(_encoder_graph(modality, model, batch.inputs[modality]))
    with torch.no_grad():
        tokens = model.encode(batch)
    inputs, outputs = fusion_names(model)
    example = [t for m in model.modalities for t in (*vars(tokens[m]).values(), batch.present[m])]
    axes = {n: {0: "batch"} if n.endswith("present") else {0: "batch", 1: n.split("_")[0]} for n in inputs}
    return [*found, Graph(FUSION, FusionGraph(model).eval(), inputs, outputs, tuple(example), axes)]


@torch.no_grad()
def feeds(modality: Modality, model: EmotionModel, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A graph's inputs by name from an encoder's: what stands before the backbone (a stem, a scale) is done here."""
    encoder: Any = model.encoders[modality]
    if modality == "face":
        return {"pictures": encoder.normalised(inputs["pixels"], inputs["mask"]).contiguous()}
    if modality == "speech":
        values, mask = inputs["values"], inputs["mask"]
        return dict(
            zip(("values", "mask"), encoder.stem(values, mask) if encoder.stem else (values, mask), strict=True)
        )
    return {name: inputs[name] for name in ("input_ids", "mask", "token_type_ids") if name in inputs}


def _encoder_graph(modality: Modality, model: EmotionModel, inputs: Mapping[str, Tensor]) -> Graph:
    encoder: Any = model.encoders[modality]
    example = feeds(modality, model, inputs)
    module: nn.Module
    if modality == "face":
        module, axes = FaceGraph(encoder), {0: "frames"}
    elif modality == "speech":
        module, axes = SpeechGraph(encoder), {0: "batch", 1: "time"}
    else:
        module, axes = TextGraph(encoder, "token_type_ids" in inputs), {0: "batch", 1: "pieces"}
    names = tuple(example)
    return Graph(modality, module.eval(), names, ("states",), tuple(example.values()), dict.fromkeys(names, axes))
