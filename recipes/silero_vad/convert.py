"""Silero VAD's weights as a graph for ONNX Runtime, over many chunks at once: only the LSTM goes chunk by chunk.

    uv run python recipes/silero_vad/convert.py [checkpoints/silero-vad]

`tests/media/test_vad.py` holds the graph against the TorchScript file of silero's own package.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

from emofuse.files import write_file

FRAMES, HOP = 4, 128
"""Of a chunk's spectrum: how many, and samples from one to the next; each is twice as long."""
BINS = 129
STRIDES = (1, 2, 2, 1)
"""Of the four convolutions, over the frames of a chunk."""
WIDTH = 128
"""Numbers in the LSTM's state."""
KINDS = ("ih", "hh")
"""What the LSTM reads: its input, its own state."""
GATES = (0, 3, 1, 2)
"""PyTorch's gates (in, forget, cell, out) in ONNX's order (in, out, forget, cell)."""


class Graph:
    """Nodes and weights, as they are added. What goes through it is laid out [chunks, frames, channels]."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """One node; its output's name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, values: Any) -> str:
        """Weights, or whole numbers."""
        values = np.ascontiguousarray(values)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def part(self, source: str, name: str, start: int, stop: int, axis: int, step: int = 1) -> str:
        """A slice."""
        bounds = zip(("start", "stop", "axis", "step"), (start, stop, axis, step), strict=True)
        return self.add("Slice", [source, *(self.constant(f"{name}.{k}", np.array([v])) for k, v in bounds)], name)

    def product(self, source: str, name: str, weight: np.ndarray) -> str:
        """The last axis times a matrix."""
        return self.add("MatMul", [source, self.constant(f"{name}.weight", weight)], name)

    def spectrum(self, chunks: str, weight: np.ndarray) -> str:
        """The magnitudes of the frames of chunks [n, 576]; the last frame is filled up by its mirror image."""
        padded = self.add("Pad", [chunks, self.constant("pads", np.array([0, 0, 0, 64]))], "padded", mode="reflect")
        hops = self.add("Reshape", [padded, self.constant("hops.shape", np.array([-1, FRAMES + 1, HOP]))], "hops")
        halves = [self.part(hops, f"hops.{i}", i, i + FRAMES, 1) for i in (0, 1)]
        both = self.product(self.add("Concat", halves, "frames", axis=2), "fourier", weight[:, 0].T)
        real, imaginary = (self.part(both, f"fourier.{i}", i * BINS, (i + 1) * BINS, 2) for i in (0, 1))
        squares = [self.add("Mul", [part, part], f"{part}.square") for part in (real, imaginary)]
        return self.add("Sqrt", [self.add("Add", squares, "power")], "magnitude")

    def convolution(self, source: str, name: str, weight: np.ndarray, bias: np.ndarray, stride: int, long: int) -> str:
        """Three taps over `long` frames and one of silence on either side, then what is above zero, as one product."""
        pads = self.constant(f"{name}.pads", np.array([0, 1, 0, 0, 1, 0]))
        padded = self.add("Pad", [source, pads], f"{name}.padded")
        taps = [self.part(padded, f"{name}.tap{i}", i, i + long, 1, stride) for i in range(3)]
        found = self.product(
            self.add("Concat", taps, f"{name}.taps", axis=2), name, np.concatenate(list(weight.transpose(2, 1, 0)))
        )
        summed = self.add("Add", [found, self.constant(f"{name}.bias", bias)], f"{name}.sum")
        return self.add("Relu", [summed], f"{name}.relu")

    def remembered(self, source: str, weights: Mapping[str, np.ndarray]) -> str:
        """The LSTM's output after each chunk [n, 1, 1, WIDTH], from the state that is handed in."""
        named = [
            self.constant(f"lstm.{kind}", _gates(weights[f"lstm_cell.weight_{kind}"])[None]) for kind in ("ih", "hh")
        ]
        bias = np.concatenate([_gates(weights[f"lstm_cell.bias_{kind}"]) for kind in ("ih", "hh")])[None]
        inputs = [source, *named, self.constant("lstm.bias", bias), "", "hidden", "cell"]
        outputs = ["outputs", "hidden_after", "cell_after"]
        self.nodes.append(helper.make_node("LSTM", inputs, outputs, hidden_size=WIDTH))
        return outputs[0]


def _gates(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values[gate * WIDTH : (gate + 1) * WIDTH] for gate in GATES])


def graph_of(weights: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """chunks float32 [n, 576], 64 samples of the chunk before and 512 of its own, hidden and cell [1, 1, 128] →
    probability [n], and the state after them."""
    graph, long = Graph(), FRAMES
    state = graph.spectrum("chunks", weights["stft_conv.weight"])
    for i, stride in enumerate(STRIDES, 1):
        state = graph.convolution(state, f"conv{i}", weights[f"conv{i}.weight"], weights[f"conv{i}.bias"], stride, long)
        long = -(-long // stride)
    heard = graph.add("Relu", [graph.remembered(state, weights)], "heard")
    last = graph.product(heard, "last", weights["final_conv.weight"][0])
    summed = graph.add("Add", [last, graph.constant("last.bias", weights["final_conv.bias"])], "last.sum")
    flat = graph.add("Reshape", [summed, graph.constant("flat", np.array([-1]))], "logit")
    graph.add("Sigmoid", [flat], "probability")
    state_shape = [1, 1, WIDTH]
    inputs = [("chunks", ["n", 576]), ("hidden", state_shape), ("cell", state_shape)]
    outputs = [("probability", ["n"]), ("hidden_after", state_shape), ("cell_after", state_shape)]
    described = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side]
        for side in (inputs, outputs)
    ]
    body = helper.make_graph(graph.nodes, "silero_vad_16k", *described, graph.weights)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def main(folder: Path) -> None:
    """Write the graph beside the weights."""
    file = folder / "silero_vad_16k.safetensors"
    write_file(file.with_suffix(".onnx"), graph_of(load_file(file)).SerializeToString())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "checkpoints" / "silero-vad")
