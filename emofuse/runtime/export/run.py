"""The exported model: a pipeline's model whose encoders and fusion run in another runtime, without PyTorch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from emofuse.encoders.processors.processor import Processor
from emofuse.encoders.registry import build_processor
from emofuse.errors import CheckpointError, EmofuseError, first_line, require_package
from emofuse.modalities import Modality, Subset, bits, mask_of, named_subset
from emofuse.model.answering import Answering, Decoded
from emofuse.model.config import ModelConfig
from emofuse.model.conformal import ConformalTable
from emofuse.model.folder import read_config, read_conformal
from emofuse.prepared import PreparedSample, check_alike, padded
from emofuse.runtime.export.beside import checkpoint_arrays, small_hash
from emofuse.runtime.export.engines import Opened, open_graph
from emofuse.runtime.export.layout import ENDINGS, FUSION, MANIFEST, STATE, fusion_inputs, unfamiliarity
from emofuse.types import Segment


def load_exported(folder: Path, backend: str, device: str = "auto", threads: int | None = None) -> ExportedModel:
    """The model in a folder that `emofuse export` wrote, on so many threads (None = as the runtime likes).

    Raises CheckpointError when it holds no such graphs, or graphs of other weights.
    """
    if device not in ("auto", "cpu"):
        raise EmofuseError(f"the backend {backend} computes on the cpu here, not on {device!r}")
    require_package({"onnx": "onnxruntime"}.get(backend, backend), {"onnx": "onnx"}.get(backend, "export"))
    path = folder / backend / MANIFEST
    if not path.is_file():
        raise CheckpointError(
            f"{folder} holds no model for {backend}; write one with: emofuse export {folder} FOLDER --format {backend}"
        )
    config = read_config(folder)
    try:
        told = json.loads(path.read_text("utf-8"))
        arrays = _weights(folder, told)
        graphs = {
            name: open_graph(path.with_name(name + ENDINGS[backend]), graph, arrays, threads)
            for name, graph in told["graphs"].items()
        }
        supported = {task: [named_subset(name) for name in names] for task, names in told["supported"].items()}
        processors = {m: build_processor(m, c, folder) for m, c in config.encoders.items()}
        conformal = read_conformal(folder, config)
        return ExportedModel(config, processors, graphs, supported, conformal, int(told["parameters"]))
    except EmofuseError:
        raise
    except Exception as error:  # onnxruntime and tokenizers raise what they like
        raise CheckpointError(
            f"the graphs in {path.parent} cannot be read ({first_line(error)}); write them again with: emofuse export"
        ) from error


def _weights(folder: Path, told: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
    """What the graphs do not hold themselves. Raises CheckpointError where it is not what they were written for."""
    if "small" not in told:
        return {}
    arrays = checkpoint_arrays(folder)
    if small_hash(arrays) != told["small"]:
        raise CheckpointError(
            f"the graphs in {folder} are of other weights than those beside them; write them again with: emofuse export"
        )
    return arrays


class ExportedModel(Answering):
    """A model that predicts, and is neither trained nor explained by gradients."""

    def __init__(
        self,
        config: ModelConfig,
        processors: Mapping[Modality, Processor],
        graphs: Mapping[str, Opened],
        supported: Mapping[str, Sequence[Subset]],
        conformal: ConformalTable,
        parameters: int,
    ) -> None:
        """`graphs`: one a modality, and FUSION; `supported`: task → the subsets that its head was taught."""
        self.config, self.conformal = config, conformal
        self.tasks = tuple(task.task() for task in config.tasks)
        self.modalities = tuple(config.encoders)
        self._processors, self._graphs, self._parameters = processors, graphs, parameters
        self._supported = {task: {mask_of(s, self.modalities) for s in subsets} for task, subsets in supported.items()}

    @property
    def runs_on(self) -> str:
        """The only device there is."""
        return "cpu"

    @property
    def size(self) -> int:
        """How many weights the model had that was exported."""
        return self._parameters

    def eval(self) -> ExportedModel:
        """Itself: it knows no other mode."""
        return self

    def encoder(self, modality: Modality) -> Processor:
        """What stands before its network."""
        return self._processors[modality]

    def supports(self, task: str, subset: int) -> bool:
        """As the model that was exported."""
        return subset in self._supported[task]

    def prepare(self, segment: Segment, targets: Mapping[str, np.ndarray] | None = None) -> PreparedSample:
        """Arrays of every modality the segment has and the model reads."""
        return PreparedSample({m: self._processors[m](segment) for m in self.modalities}, dict(targets or {}))

    def answer(self, samples: Sequence[PreparedSample]) -> tuple[Decoded, Int[np.ndarray, " batch"]]:
        """Calibrated answers to one batch, and what each row has."""
        check_alike(samples)
        present = {m: np.array([s.inputs[m] is not None for s in samples]) for m in self.modalities}
        there = [m for m in self.modalities if present[m].any()]
        fed: dict[str, np.ndarray] = {}
        for modality in self.modalities:
            rows = [row for sample in samples if (row := sample.inputs[modality]) is not None]
            tokens = self._tokens(modality, rows, present[modality]) if rows else self._nothing(modality, len(samples))
            fed |= dict(zip(fusion_inputs([modality]), (*tokens, present[modality]), strict=True))
        out = self._graphs[FUSION](fed)
        known = {m: out[name] for m in there if (name := unfamiliarity(m)) in out}
        tasks = [task.name for task in self.tasks]
        unimodal = {m: {task: out[f"{m}_{task}"] for task in tasks} for m in there}
        masks = sum((present[m] * bit for m, bit in bits(self.modalities).items()), np.zeros(len(samples), np.int64))
        return Decoded({task: out[task] for task in tasks}, unimodal, out[STATE], known), masks

    def _tokens(self, modality: Modality, rows: list[dict[str, np.ndarray]], present: np.ndarray) -> list[np.ndarray]:
        """States, mask and times of every row; only those that have the modality are run."""
        found = list(self._graphs[modality](padded(rows)).values())
        if present.all():
            return found
        placed = [np.zeros((len(present), *part.shape[1:]), part.dtype) for part in found]
        for whole, part in zip(placed, found, strict=True):
            whole[present] = part
        return placed

    def _nothing(self, modality: Modality, rows: int) -> list[np.ndarray]:
        """One masked token."""
        states = np.zeros((rows, 1, self._graphs[modality].dim), np.float32)
        return [states, np.zeros((rows, 1), bool), states[..., 0]]
