"""What an exported folder holds, and what its graphs are given and give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from emofuse.modalities import Modality

ENDINGS: dict[str, str] = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
"""Format → ending of a graph's file; the graphs lie in a folder of the format's name."""
MANIFEST = "export.json"
"""Beside the graphs: their inputs and outputs, the subsets that each task was taught, and where weights lie."""
FUSION = "fusion"
"""The name of the graph that follows those of the encoders."""
TOKENS = ("states", "token_mask", "token_times")
"""What an encoder's graph gives."""
PARTS = ("states", "mask", "times", "present")
"""What the fusion graph is given of each modality."""
STATE = "state"


def fusion_inputs(modalities: Sequence[Modality]) -> tuple[str, ...]:
    """Names of the fusion graph's inputs."""
    return tuple(f"{m}_{part}" for m in modalities for part in PARTS)


def fusion_outputs(modalities: Sequence[Modality], tasks: Sequence[str], known: Iterable[Modality]) -> tuple[str, ...]:
    """Names of its outputs; `known` are the modalities of which it is known what the model is familiar with."""
    unimodal = (f"{m}_{task}" for m in modalities for task in tasks)
    return (*tasks, *unimodal, *(unfamiliarity(m) for m in modalities if m in set(known)), STATE)


def unfamiliarity(modality: Modality) -> str:
    """The name of a modality's unfamiliarity among the outputs."""
    return f"{modality}_unfamiliarity"
