"""The exported functions: each encoder whole, and the fusion with its heads and their calibration."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emofuse.batch import Batch
from emofuse.encoders.encoder import EncoderGraph
from emofuse.errors import EmofuseError
from emofuse.modalities import Modality
from emofuse.model.model import EmotionModel
from emofuse.runtime.export.layout import FUSION, TOKENS, fusion_inputs, fusion_outputs
from emofuse.types import Tokens


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
    """Tokens of every modality, present or not → calibrated answers of every task, fused and by modality, how unlike
    training each modality is where that is known, and the fused state.

    All subsets go through one graph: a modality that no row has is one token that is masked.
    """

    def __init__(self, model: EmotionModel) -> None:
        super().__init__()
        self.fusion, self.heads, self.modality_heads = model.fusion, model.heads, model.modality_heads
        if model.fusion.role != "answers":
            self.pools = model.pools if model.config.fusion.pool == "mean" else model.pool_weights
        self.familiarity = model.familiarity
        self.model = [model]  # in a list: its encoders are no part of this graph

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """In the order of `fusion_outputs`."""
        model = self.model[0]
        tokens: dict[Modality, Tokens] = {}
        present: dict[Modality, Tensor] = {}
        for i, modality in enumerate(model.modalities):
            states, mask, times, there = tensors[4 * i : 4 * i + 4]
            tokens[modality], present[modality] = Tokens(states, mask, times), there
        out = model.fuse(tokens, present)
        found = model.calibrated(out, present)
        unimodal = (found.by_modality[m][task.name] for m in model.modalities for task in model.tasks)
        strange = (found.unfamiliarity[m] for m in model.modalities if m in found.unfamiliarity)
        return *(found.tasks[task.name] for task in model.tasks), *unimodal, *strange, out.state


@torch.no_grad()
def graphs(model: EmotionModel, batch: Batch, whole: bool = True) -> list[Graph]:
    """The parts of a model, with the first rows of `batch` (which must have every modality) as examples.

    Not `whole`: of each encoder the network alone, as which rows are real decides shapes before and after it.
    """
    found = []
    for modality in model.modalities:
        encoder = model.encoder(modality)
        if encoder.reads_media and modality not in batch.inputs:
            raise EmofuseError(f"an example of {modality} is needed to export its encoder")
        graph = encoder.graph(batch.inputs.get(modality, {}), whole)
        found.append(_encoder_graph(modality, graph, TOKENS if whole else TOKENS[:1]))
    tokens = model.encode(batch)
    inputs = fusion_inputs(model.modalities)
    outputs = fusion_outputs(model.modalities, [task.name for task in model.tasks], model.familiarity)
    example = [t for m in model.modalities for t in (*vars(tokens[m]).values(), batch.present[m])]
    axes = {n: {0: "batch"} if n.endswith("present") else {0: "batch", 1: n.split("_")[0]} for n in inputs}
    made = {name: {0: "batch"} for name in outputs}
    return [*found, Graph(FUSION, FusionGraph(model).eval(), inputs, outputs, tuple(example), axes, made)]


def _encoder_graph(modality: Modality, graph: EncoderGraph, outputs: tuple[str, ...]) -> Graph:
    axes = {name: {0: "batch", 1: "time"} if given.ndim > 1 else {0: "batch"} for name, given in graph.example.items()}
    made = {name: {0: "batch", 1: "tokens"} for name in outputs}
    return Graph(modality, graph.module, tuple(graph.example), outputs, tuple(graph.example.values()), axes, made)
