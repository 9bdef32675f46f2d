"""Engines: a graph's file as a function of arrays, in ONNX Runtime or OpenVINO."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.runtime.export.beside import Arrays, hand_in
from emofuse.runtime.export.silent import silent

Run = Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]
"""Inputs by name (others are left alone) → outputs in order."""


@dataclass(frozen=True)
class Opened:
    """A graph that can be run, and what the manifest says of it."""

    run: Run
    outputs: tuple[str, ...]
    dim: int
    """Width of an encoder's tokens; 0 of the fusion."""

    def __call__(self, fed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name."""
        return dict(zip(self.outputs, self.run(fed), strict=True))


def open_graph(path: Path, told: Mapping[str, Any], arrays: Arrays, threads: int | None) -> Opened:
    """The graph in a file; `told` is its entry in the manifest, `arrays` what it reads from beside it."""
    weights = {str(k): arrays[v] for k, v in told.get("weights", {}).items()}
    inputs = tuple(map(str, told["inputs"]))
    run = _onnx(path, weights, threads) if path.suffix == ".onnx" else _openvino(path, inputs, threads)
    return Opened(run, tuple(told["outputs"]), int(told.get("dim", 0)))


def _onnx(path: Path, weights: Arrays, threads: int | None) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: what the optimiser did to the graph concerns nobody
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # each graph waits for the others
    if weights:
        hand_in(options, weights)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    wanted = [port.name for port in session.get_inputs()]
    return lambda fed: [np.asarray(a) for a in session.run(None, {name: fed[name] for name in wanted})]


def _openvino(path: Path, inputs: tuple[str, ...], threads: int | None) -> Run:
    with silent():
        import openvino

    hints = {"INFERENCE_PRECISION_HINT": "f32"} | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
    compiled = openvino.Core().compile_model(str(path), "CPU", hints)
    return lambda fed: [np.array(a) for a in compiled([fed[name] for name in inputs]).values()]
