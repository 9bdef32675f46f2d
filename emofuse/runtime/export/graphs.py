"""The exported functions: each encoder's backbone, and the fusion with its heads, over tensors unimodal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emofuse.batch import Batch
from emofuse.encoders.encoder import EncoderGraph
from emofuse.errors import EmofuseError
from emofuse.modalities import Modality
from emofuse.model.model import EmotionModel
from emofuse.types import Tokens

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
    made: dict[str, dict[int, str]]
    """The same of the outputs."""


class FusionGraph(nn.Module):
    """Tokens of every modality, present or not → logits of every task, fused and by modality, distances from training
    where they are known, and the fused state.

    All subsets go through one graph: a modality that no row has is one token that is masked.
    """

    def __init__(self, model: EmotionModel) -> None:
        super().__init__()
        self.fusion, self.heads, self.modality_heads = model.fusion, model.heads, model.modality_heads
        self.pools = model.pools if model.config.fusion.pool == "mean" else model.pool_weights
        self.familiarity = model.familiarity
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
        unimodal = (out.by_modality[m][task.name] for m in model.modalities for task in model.tasks)
        distances = (out.distance[m] for m in model.modalities if m in model.familiarity)
        return *(out.logits[task.name] for task in model.tasks), *unimodal, *distances, out.state


def fusion_names(model: EmotionModel) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the fusion graph's inputs and outputs."""
    inputs = tuple(f"{m}_{part}" for m in model.modalities for part in PARTS)
    tasks = [task.name for task in model.tasks]
    unimodal = (f"{m}_{task}" for m in model.modalities for task in tasks)
    return inputs, (*tasks, *unimodal, *(f"{m}_distance" for m in model.modalities if m in model.familiarity), "state")


@torch.no_grad()
def graphs(model: EmotionModel, batch: Batch) -> list[Graph]:
    """The parts of a model, with the first rows of `batch` (which must have every modality) as examples."""
    found = []
    for modality in model.modalities:
        encoder = model.encoder(modality)
        if encoder.reads_media and modality not in batch.inputs:
            raise EmofuseError(f"an example of {modality} is needed to export its encoder")
        found.append(_encoder_graph(modality, encoder.graph(batch.inputs.get(modality, {}))))
    tokens = model.encode(batch)
    inputs, outputs = fusion_names(model)
    example = [t for m in model.modalities for t in (*vars(tokens[m]).values(), batch.present[m])]
    axes = {n: {0: "batch"} if n.endswith("present") else {0: "batch", 1: n.split("_")[0]} for n in inputs}
    made = {name: {0: "batch"} for name in outputs}
    return [*found, Graph(FUSION, FusionGraph(model).eval(), inputs, outputs, tuple(example), axes, made)]


def _encoder_graph(modality: Modality, graph: EncoderGraph) -> Graph:
    names = tuple(graph.example)
    states = dict(list(graph.axes.items())[:1]) | ({1: "states"} if len(graph.axes) > 1 else {})
    axes = dict.fromkeys(names, graph.axes)
    return Graph(modality, graph.module, names, ("states",), tuple(graph.example.values()), axes, {"states": states})
