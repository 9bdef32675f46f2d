"""Graphs without weights: their large initialisers are read from the checkpoint that they lie beside."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emofuse.model.folder import FAMILIARITY, WEIGHTS
from emofuse.model.weights import read_weights

if TYPE_CHECKING:
    from onnxruntime import SessionOptions

LEAST = 1024
"""Numbers from which an array is left out of a graph; smaller ones stay inside, and the manifest has their hash."""
Arrays = Mapping[str, np.ndarray]


def checkpoint_arrays(folder: Path) -> dict[str, np.ndarray]:
    """Every array of a checkpoint, floating ones as float32, by "file name"."""
    files = [folder / name for name in (WEIGHTS, FAMILIARITY) if (folder / name).is_file()]
    return {f"{path.name} {name}": array for path in files for name, array in read_weights(path).items()}


def small_hash(arrays: Arrays) -> str:
    """Sixteen hexadecimal digits of the arrays that graphs hold themselves: temperatures, biases and the like."""
    digest = hashlib.sha256()
    for name in sorted(name for name, array in arrays.items() if array.size < LEAST):
        digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()[:16]


def leave_out(path: Path, arrays: Arrays) -> dict[str, str]:
    """Take out of an ONNX file what the checkpoint holds, found by content; initialiser → name in the checkpoint."""
    import onnx
    from onnx.numpy_helper import to_array

    model = onnx.load(str(path))
    _constants_as_initialisers(model.graph)
    known = {_content(array): name for name, array in arrays.items() if array.size >= LEAST}
    found: dict[str, str] = {}
    for tensor in model.graph.initializer:
        name = known.get(_content(to_array(tensor)))
        if name is not None:
            found[tensor.name] = name
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            place = tensor.external_data.add()
            place.key, place.value = "location", name.partition(" ")[0]
    path.write_bytes(model.SerializeToString())
    return found


def hand_in(options: SessionOptions, weights: Arrays) -> None:
    """Let a session read its initialisers, by name, from arrays."""
    from onnxruntime import OrtValue

    options.add_external_initializers(list(weights), [OrtValue.ortvalue_from_numpy(a) for a in weights.values()])


def _constants_as_initialisers(graph: Any) -> None:
    """Tensors that tracing has made nodes of."""
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        (value,) = node.attribute
        if value.name == "value" and np.prod(value.t.dims) >= LEAST:
            tensor = graph.initializer.add()
            tensor.CopyFrom(value.t)
            tensor.name = node.output[0]
            graph.node.remove(node)


def _content(array: np.ndarray) -> tuple[tuple[int, ...], str, str]:
    plain = np.ascontiguousarray(array)
    return array.shape, str(array.dtype), hashlib.sha256(plain.tobytes()).hexdigest()
