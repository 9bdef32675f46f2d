"""The exported model: a pipeline's model whose encoders and fusion run in another runtime."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from emofuse.encoders.encoder import NO_GRADIENTS
from emofuse.errors import CheckpointError, EmofuseError, require_package
from emofuse.modalities import Modality
from emofuse.model.checkpoint import locate, read_config
from emofuse.model.conformal import FILE as CONFORMAL
from emofuse.model.conformal import load_conformal
from emofuse.model.familiarity import FILE as FAMILIARITY
from emofuse.model.familiarity import load_familiarity
from emofuse.model.model import EmotionModel, Outputs
from emofuse.runtime.export.graphs import FUSION, PARTS, fusion_names
from emofuse.runtime.export.write import ENDINGS, HEADS, MANIFEST
from emofuse.types import Tokens

Run = Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]
"""Inputs by name → outputs in order."""


def load_exported(where: str | Path, backend: str, device: str = "auto") -> ExportedModel:
    """The model in a folder that `emofuse export` wrote. Raises CheckpointError when it holds no such graphs."""
    if backend not in ("onnx", "openvino"):
        raise EmofuseError(f"no backend {backend!r}; valid: torch, onnx, openvino")
    if device not in ("auto", "cpu"):
        raise EmofuseError(f"the backend {backend} computes on the cpu here, not on {device!r}")
    require_package({"onnx": "onnxruntime"}.get(backend, backend), "export")
    folder = locate(where)
    manifest = folder / backend / MANIFEST
    if not manifest.is_file() or not (folder / HEADS).is_file():
        raise CheckpointError(
            f"{folder} holds no model for {backend}; write one with: emofuse export {where} FOLDER --format {backend}"
        )
    graphs = json.loads(manifest.read_text("utf-8"))["graphs"]
    open_graph = _onnx if backend == "onnx" else _openvino
    runs = {name: open_graph(folder / backend / (name + ENDINGS[backend])) for name in graphs}
    return ExportedModel(folder, runs)


class ExportedModel(EmotionModel):
    """An EmotionModel without backbones; it predicts, and is neither trained nor explained by gradients."""

    def __init__(self, folder: Path, runs: Mapping[str, Run]) -> None:
        super().__init__(read_config(folder), checkpoint=folder, lean=True)
        for modality in self.modalities:
            self.encoder(modality).run_by(_states(runs[modality]))
        self._fuse = runs[FUSION]
        own = self.state_dict()
        given = {n: t for n, t in load_file(folder / HEADS).items() if n in own or not n.startswith("encoders.")}
        try:
            self.load_state_dict(given)
        except RuntimeError as error:
            raise CheckpointError(f"{folder / HEADS} does not fit {folder / 'config.json'}: {error}") from error
        if (folder / CONFORMAL).is_file():
            self.conformal = load_conformal(folder / CONFORMAL)
        if (folder / FAMILIARITY).is_file():
            self.familiarity = load_familiarity(folder / FAMILIARITY)
        self.float().eval().requires_grad_(False)

    def fuse(self, tokens: Mapping[Modality, Tokens], present: Mapping[Modality, Tensor]) -> Outputs:
        """As EmotionModel; a modality that no row has goes in as one masked token."""
        fed: dict[str, np.ndarray] = {}
        for modality in self.modalities:
            rows = len(present[modality])
            given = tokens.get(modality) or self._nothing(modality, rows)
            parts = (given.states, given.mask, given.times, present[modality])
            fed |= {f"{modality}_{name}": part.numpy() for name, part in zip(PARTS, parts, strict=True)}
        _, names = fusion_names(self)
        out = dict(zip(names, map(torch.from_numpy, self._fuse(fed)), strict=True))
        tasks = [task.name for task in self.tasks]
        unimodal: dict[Modality, dict[str, Tensor]] = {m: {task: out[f"{m}_{task}"] for task in tasks} for m in tokens}
        distance: dict[Modality, Tensor] = {m: out[f"{m}_distance"] for m in tokens if m in self.familiarity}
        return Outputs({task: out[task] for task in tasks}, unimodal, out["state"], distance=distance)

    def _nothing(self, modality: Modality, rows: int) -> Tokens:
        dim: Any = self.encoders[modality].dim
        zeros = torch.zeros(rows, 1, dim, dtype=torch.float32)
        return Tokens(zeros, torch.zeros(rows, 1, dtype=torch.bool), zeros[..., 0])


def _states(run: Run) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """The states of an encoder from its graph."""

    def states(fed: Mapping[str, Tensor]) -> Tensor:
        if torch.is_grad_enabled():
            raise EmofuseError(NO_GRADIENTS)
        return torch.from_numpy(run({name: tensor.contiguous().numpy() for name, tensor in fed.items()})[0])

    return states


def _onnx(path: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: what the optimiser did to the graph concerns nobody
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    wanted = [port.name for port in session.get_inputs()]
    return lambda fed: [np.asarray(a) for a in session.run(None, {name: fed[name] for name in wanted})]


def _openvino(path: Path) -> Run:
    import openvino

    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    wanted = [port.get_any_name() for port in compiled.inputs]
    return lambda fed: [np.array(a) for a in compiled({name: fed[name] for name in wanted}).values()]
