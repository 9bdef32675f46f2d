"""Export of a model folder, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from emofuse.batch import collate
from emofuse.errors import EmofuseError, require_package
from emofuse.files import replacing_folder
from emofuse.modalities import mask_of, subset_name, subsets_of
from emofuse.model.checkpoint import save
from emofuse.model.folder import WEIGHTS
from emofuse.model.model import EmotionModel
from emofuse.runtime.export.beside import checkpoint_arrays, leave_out, small_hash
from emofuse.runtime.export.examples import spoken
from emofuse.runtime.export.graphs import Graph, graphs
from emofuse.runtime.export.layout import ENDINGS, MANIFEST
from emofuse.runtime.export.silent import silent
from emofuse.types import Segment

if TYPE_CHECKING:
    import openvino

Format = Literal["onnx", "openvino", "torch"]
OPSET = 17


def export(
    model: EmotionModel,
    folder: str | Path,
    format: Format,
    examples: Sequence[Segment] = (),
    *,
    int8: bool = False,
    beside: bool = False,
    source: Path | None = None,
) -> Path:
    """Write `folder`: configuration, tokenizer, and a graph for each encoder and for the fusion.

    With `int8` (encoders only) `examples` calibrate each encoder whose modality they have: some hundred segments of a
    dev split. With `beside` the graphs hold no weights but read them from model.safetensors, which is kept beside them
    as it is stored. `source` is the model's own folder, whose card and report are copied. What else a folder holds of
    this very model stays in it; nothing of another does. Raises EmofuseError for a format that is not there, for a
    modality without an example to calibrate it on, and for a folder that is another model's checkpoint.
    """
    if format not in ENDINGS:
        raise EmofuseError(f"no format {format!r}; valid: {', '.join(ENDINGS)}")
    if int8 and format == "torch":
        raise EmofuseError("int8 goes with the formats onnx and openvino; with torch, ask for precision='int8'")
    if beside and (int8 or format != "onnx"):
        raise EmofuseError("weights beside the graphs go with the format onnx in 32 bits; leave one of the two out")
    _require(format, int8)
    if Path(folder).exists() and not (Path(folder) / "config.json").is_file() and any(Path(folder).iterdir()):
        raise EmofuseError(f"{folder} is there and is no model folder; name one that is not there yet")
    lacking = [m for m in model.modalities if int8 and not any(m in segment.present for segment in examples)]
    if lacking:
        raise EmofuseError(f"no example has {', '.join(lacking)}: 8 bits are calibrated on examples of every modality")
    folder, mark = Path(folder), fingerprint(model)
    stays = _holds(folder, mark)  # then other formats' graphs do, and weights
    if not stays and (folder / WEIGHTS).is_file() and not any((folder / f / MANIFEST).is_file() for f in ENDINGS):
        raise EmofuseError(f"{folder} holds the weights of another model, which would be lost; name another folder")
    parts = graphs(model, collate([model.prepare(spoken(s)) for s in (1, 2)]), format != "torch")
    with replacing_folder(folder, keep=lambda old: stays and old.name != format) as building:
        _describe(model, building, source, weights=beside)
        arrays = checkpoint_arrays(building) if beside else {}
        told: dict[str, Any] = {"format": format, "precision": "int8" if int8 else "float32"}
        told |= {"examples": len(examples) if int8 else 0, "supported": _supported(model), "graphs": {}}
        told |= {"parameters": model.size, "model": mark}
        told |= {"small": small_hash(arrays)} if beside else {}
        (building / format).mkdir()
        for graph in parts:
            target = building / format / (graph.name + ENDINGS[format])
            calibration = _calibration(model, graph, examples) if int8 and graph.name in model.modalities else None
            _WRITERS[format](graph, target, calibration)
            named: dict[str, Any] = {"inputs": graph.inputs, "outputs": graph.outputs}
            named |= {"dim": model.encoder(graph.name).dim} if graph.name in model.modalities else {}
            told["graphs"][graph.name] = named | ({"weights": leave_out(target, arrays)} if beside else {})
        (building / format / MANIFEST).write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    return folder


def fingerprint(model: EmotionModel) -> str:
    """Sixteen hexadecimal digits of all weights: two models have the same if they answer the same."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        array = np.ascontiguousarray(tensor.detach().cpu().float().numpy())
        digest.update(f"{name} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()[:16]


def _holds(folder: Path, mark: str) -> bool:
    """Whether a folder holds nothing but the model of a fingerprint, as far as its weights, or else its graphs, say."""
    if (folder / WEIGHTS).is_file():
        try:
            return fingerprint(EmotionModel.from_pretrained(folder)) == mark
        except EmofuseError:
            return False
    told = [folder / format / MANIFEST for format in ENDINGS]
    try:
        return all(json.loads(path.read_text("utf-8")).get("model") == mark for path in told if path.is_file())
    except (OSError, ValueError, AttributeError):
        return False


def _supported(model: EmotionModel) -> dict[str, list[str]]:
    """Task → the subsets of modalities that its head was taught."""
    masks = {subset_name(subset): mask_of(subset, model.modalities) for subset in subsets_of(model.modalities)}
    return {t.name: [name for name, mask in masks.items() if model.supports(t.name, mask)] for t in model.tasks}


def _require(format: str, int8: bool) -> None:
    for package in {"onnx": ("onnx", "onnxruntime"), "openvino": ("openvino",)}.get(format, ()):
        require_package(package, "export")
    if int8:
        require_package("nncf", "export")


def _describe(model: EmotionModel, building: Path, source: Path | None, weights: bool) -> None:
    """All of a checkpoint, without `weights` but those that the graphs hold."""
    with tempfile.TemporaryDirectory(dir=building.parent) as scratch:
        whole = save(model, Path(scratch) / "model")
        for path in whole.iterdir():
            if weights or path.name != WEIGHTS:
                shutil.move(path, building / path.name)
    for name in ("README.md", "report.json", "recipe.yaml", *([WEIGHTS] if weights else ())):
        if source is not None and (source / name).is_file():
            shutil.copy2(source / name, building / name)


Feeds = list[dict[str, Any]]


def _calibration(model: EmotionModel, graph: Graph, examples: Sequence[Segment]) -> Feeds:
    """What the graph is fed for each example, all at one length, as the collector of statistics wants it."""
    encoder = model.encoder(graph.name)
    having = [model.prepare(segment) for segment in examples if graph.name in segment.present]
    inputs = encoder.filled(collate(having).inputs[graph.name])
    return [{name: inputs[name][i : i + 1].contiguous().numpy() for name in graph.inputs} for i in range(len(having))]


@contextmanager
def _tracing() -> Iterator[None]:
    """Around conversion by tracing, which torch deprecates before its successor works without further packages."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # pyright: ignore[reportPrivateImportUsage]
        for said in ("You are using the legacy TorchScript", "The feature will be removed", "`torch.jit"):
            warnings.filterwarnings("ignore", said, DeprecationWarning)
        warnings.filterwarnings("ignore", "Exporting aten::index operator", UserWarning)  # of no negative index
        warnings.filterwarnings("ignore", "Constant folding - Only steps=1 can be constant folded", UserWarning)
        yield


def _onnx(graph: Graph, target: Path, calibration: Feeds | None) -> None:
    eight = calibration is not None  # else weights stay as they are stored, for graphs that are written beside them
    mode = torch.onnx.TrainingMode.EVAL if eight else torch.onnx.TrainingMode.PRESERVE
    with _tracing():
        torch.onnx.export(
            graph.module, graph.example, str(target), input_names=list(graph.inputs), output_names=list(graph.outputs),
            dynamic_axes=graph.axes | graph.made, opset_version=OPSET, dynamo=False, training=mode,
            do_constant_folding=eight,
        )  # fmt: skip
    if calibration is not None:
        import onnx

        exact = _without_idle_casts(onnx.load(str(target)))
        shapes = {w.name: tuple(w.dims) for w in exact.graph.initializer}
        products = {n.name: shapes.get(n.input[1]) for n in exact.graph.node if n.op_type == "MatMul"}
        taken = [value.name for value in exact.graph.input]  # the exporter leaves out those without effect
        feeds = [{name: feed[name] for name in taken} for feed in calibration]
        onnx.save(_quantised(exact, feeds, _delicate(products)), str(target))


def _without_idle_casts(model: Any) -> Any:
    """The ONNX model with outputs that a cast to their own type gives passed on instead: nncf cannot take such away."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*inferred.value_info, *inferred.input)}
    outputs = {value.name: value.type.tensor_type.elem_type for value in inferred.output}
    for node in model.graph.node:
        if node.op_type == "Cast" and outputs.get(node.output[0]) == types.get(node.input[0]):
            node.op_type = "Identity"
            del node.attribute[:]
    return model


def _openvino(graph: Graph, target: Path, calibration: Feeds | None) -> None:
    with silent():
        import openvino

    with _tracing():
        converted: openvino.Model = openvino.convert_model(graph.module, example_input=graph.example)
    for port, name in zip(converted.inputs, graph.inputs, strict=True):
        port.get_tensor().set_names({name})
    for port, name in zip(converted.outputs, graph.outputs, strict=True):
        port.get_tensor().set_names({name})
    if calibration is not None:
        products = {
            op.get_friendly_name(): _weights(op) for op in converted.get_ops() if op.get_type_name() == "MatMul"
        }
        feeds = [[feed[name] for name in graph.inputs] for feed in calibration]  # an input passed on loses its name
        converted = _quantised(converted, feeds, _delicate(products))
    openvino.save_model(converted, str(target), compress_to_fp16=False)


def _torch(graph: Graph, target: Path, calibration: Feeds | None) -> None:
    shapes = [dict.fromkeys(graph.axes[name], torch.export.Dim.AUTO) for name in graph.inputs]
    program = torch.export.export(graph.module, graph.example, dynamic_shapes=(tuple(shapes),))  # of *tensors
    torch.export.save(program, target)


_WRITERS = {"onnx": _onnx, "openvino": _openvino, "torch": _torch}


def _weights(product: Any) -> tuple[int, ...] | None:
    """The shape [input, output] of an OpenVINO product's weights, which lie transposed there; None = it has none."""
    node = product.input_value(1).get_node()
    return tuple(node.get_output_shape(0))[::-1] if node.get_type_name() == "Constant" else None


FEWEST = 8
"""Channels of a product from which eight bits save anything."""


def _delicate(products: Mapping[str, tuple[int, ...] | None]) -> list[str]:
    """Names of products that eight bits harm, of name → shape [input, output] of the weights.

    Those without weights are attention's, of two activations; weights that lead to fewer channels are the second of a
    feed-forward layer; those of a handful of channels, the lexicon's, save nothing.
    """
    return [n for n, s in products.items() if s is None or (len(s) == 2 and (s[0] > s[1] or min(s) < FEWEST))]


def _quantised(model: Any, calibration: Sequence[Any], exact: Sequence[str]) -> Any:
    """Post-training quantisation of a transformer's weights and activations, calibrated on the feeds.

    Activations have one scale a tensor and none is smoothed by channel: on (batch, time, channel) tensors either would
    tie the graph to the calibration's length. Products named in `exact` stay in float32: behind a feed-forward layer's
    activation function, and in attention, a few values are so large that one scale leaves the others no digits.
    """
    with silent():
        import nncf
    from nncf.quantization.advanced_parameters import AdvancedSmoothQuantParameters, QuantizationParameters

    advanced = nncf.AdvancedQuantizationParameters(
        activations_quantization_params=QuantizationParameters(per_channel=False),
        smooth_quant_alphas=AdvancedSmoothQuantParameters(convolution=-1, matmul=-1),
    )
    return nncf.quantize(
        model,
        nncf.Dataset(calibration),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(calibration),
        ignored_scope=nncf.IgnoredScope(names=list(exact)),
        advanced_parameters=advanced,
    )
