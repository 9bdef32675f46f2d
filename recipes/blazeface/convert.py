"""BlazeFace's weights as a graph for ONNX Runtime: the same numbers, in the 16-bit floats that they are stored in.

    uv run python recipes/blazeface/convert.py [checkpoints/blazeface]

The network is read from the .tflite file by OpenCV, which `tests/media/test_blazeface.py` holds the graph against.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from emofuse.files import write_file

BLOCKS = 31
"""Residual blocks: a depthwise and a pointwise convolution each, added to what goes in …"""
HALVING = (7, 15, 23)
"""… and those that halve the picture, by a stride and, of what goes in, by pooling."""


class Graph:
    """Nodes and weights, as they are added."""

    def __init__(self, file: Path) -> None:
        network = cv2.dnn.readNetFromTFLite(str(file))
        self._blobs = {name: network.getLayer(name).blobs for name in network.getLayerNames()}
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """One node; its output's name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, values: np.ndarray) -> str:
        """Whole numbers as they are; weights as they are stored, to be widened when the graph is loaded."""
        if values.dtype.kind == "i":
            self.weights.append(numpy_helper.from_array(values, name))
            return name
        half = np.ascontiguousarray(values.astype(np.float16))
        assert (half.astype(np.float32) == values).all(), f"{name} is not stored in 16 bits"
        self.weights.append(numpy_helper.from_array(half, f"{name}.half"))
        return self.add("Cast", [f"{name}.half"], name, to=TensorProto.FLOAT)

    def convolution(self, name: str, source: str, stride: int = 1) -> str:
        """A convolution that keeps the size, but for its stride, as TensorFlow pads it."""
        weight, bias = self._blobs[name]
        side, depthwise = weight.shape[2], weight.shape[1] == 1 and weight.shape[2] == 3
        before = (side - stride) // 2
        return self.add(
            "Conv",
            [source, self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias.ravel())],
            name,
            strides=[stride, stride],
            pads=[before, before, side - stride - before, side - stride - before],
            group=weight.shape[0] if depthwise else 1,
        )

    def width(self, name: str) -> int:
        """Channels that come out of a convolution."""
        return len(self._blobs[name][0])

    def block(self, number: int, source: str) -> str:
        """One residual block."""
        depthwise, pointwise = f"depthwise_conv2d_{number}".removesuffix("_0"), f"conv2d_{number + 1}"
        halved = number in HALVING
        added = self.convolution(pointwise, self.convolution(depthwise, source, 2 if halved else 1))
        if halved:
            source = self.add("MaxPool", [source], f"pool_{number}", kernel_shape=[2, 2], strides=[2, 2])
        more = self.width(pointwise) - self.width(depthwise)
        if more:
            pads = self.constant(f"pads_{number}", np.array([0, 0, 0, 0, 0, more, 0, 0], np.int64))
            source = self.add("Pad", [source, pads], f"padded_{number}")
        return self.add("Relu", [self.add("Add", [source, added], f"add_{number}")], f"block_{number}")

    def head(self, name: str, fine: str, coarse: str, values: int) -> None:
        """What the anchors of both strides say, those of the finer first."""
        shape = self.constant(f"{name}.shape", np.array([0, -1, values], np.int64))
        singular, parts = name.removesuffix("s"), []
        for stride, source in ((16, fine), (32, coarse)):
            found = self.convolution(f"{singular}_{stride}", source)
            last = self.add("Transpose", [found], f"{found}.last", perm=[0, 2, 3, 1])
            parts.append(self.add("Reshape", [last, shape], f"{found}.anchors"))
        self.add("Concat", parts, name, axis=1)


def graph_of(file: Path) -> onnx.ModelProto:
    """image float32 (n, 3, h, w) in [-1, 1], h and w multiples of 32 → classificators (n, anchors, 1), regressors
    (n, anchors, 16)."""
    graph = Graph(file)
    state = graph.add("Relu", [graph.convolution("conv2d", "image", 2)], "first")
    for number in range(BLOCKS):
        state = graph.block(number, state)
    depthwise = graph.convolution("separable_conv2d__xeno_compat__depthwise", state, 2)
    coarse = graph.add("Relu", [graph.convolution("separable_conv2d", depthwise)], "coarse")
    graph.head("classificators", state, coarse, 1)
    graph.head("regressors", state, coarse, 16)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "anchors", values])
        for name, values in (("classificators", 1), ("regressors", 16))
    ]
    body = helper.make_graph(graph.nodes, "blazeface", [image], outputs, graph.weights)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def main(folder: Path) -> None:
    """Write the graph beside the weights."""
    file = folder / "face_detection_back.tflite"
    write_file(file.with_suffix(".onnx"), graph_of(file).SerializeToString())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "checkpoints" / "blazeface")
