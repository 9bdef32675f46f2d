"""`emofuse export`: a model as graphs for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from emofuse.cli import options as opt
from emofuse.errors import DataError, require_package
from emofuse.files import check_output_folder

if TYPE_CHECKING:
    from emofuse.types import Segment

Format = Literal["onnx", "openvino", "torch"]

CALIBRATION = 256


def export(
    model: opt.ModelArgument,
    folder: opt.OutFolder,
    format: Annotated[Format, typer.Option(help="onnx, openvino or torch.")] = "onnx",
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise to int8, calibrated on the dev split of --corpus.")
    ] = False,
    corpus: Annotated[list[str] | None, typer.Option(help="Corpus reader of the calibration data; repeatable.")] = None,
    root: Annotated[list[Path] | None, typer.Option(help="Its folder or manifest file, in the same order.")] = None,
    beside: Annotated[
        bool, typer.Option("--beside", help="Graphs of some kB that read their weights from model.safetensors (onnx).")
    ] = False,
    limit: Annotated[int, typer.Option(min=2, help="Number of calibration utterances, evenly spaced.")] = CALIBRATION,
) -> None:
    """Write a model for other runtimes: any subset of the modalities, any length, any batch.

    `emofuse.load(FOLDER, backend="onnx")` predicts with it, without PyTorch.
    """
    require_package("torch", extra="export")
    if len(corpus or ()) != len(root or ()) or (int8 and not corpus):
        raise DataError("--int8 is calibrated on data: name each corpus with --corpus and its folder with --root")
    check_output_folder(folder)
    from emofuse.model.folder import locate
    from emofuse.model.model import EmotionModel
    from emofuse.runtime.export.examples import dev_segments
    from emofuse.runtime.export.write import export as write

    source = locate(model)
    loaded = EmotionModel.from_pretrained(source, lean=True)
    segments: list[Segment] = []
    for name, folder_of in zip(corpus or (), root or (), strict=False):
        segments += dev_segments(name, folder_of, limit, loaded)
    written = write(loaded, folder, format, segments, int8=int8, beside=beside, source=source)
    typer.echo(f"{format}{', int8' if int8 else ''}: {written}")


def prune(
    model: opt.ModelArgument,
    folder: opt.OutFolder,
    keep: Annotated[list[str], typer.Option(metavar="MODALITY=LAYERS", help="Layers to keep: text=3; repeatable.")],
) -> None:
    """Prune encoder layers; a recipe with loss.distil then distils the whole model into the rest."""
    from emofuse.encoders.registry import known_modalities
    from emofuse.runtime.export.prune import prune as write

    check_output_folder(folder)
    known, layers = known_modalities(), {}
    for given in keep:
        modality, _, count = given.partition("=")
        if modality not in known or not count.isdecimal():
            raise DataError(f"--keep {given!r} is not MODALITY=LAYERS; valid: {', '.join(known)}, for example text=3")
        layers[modality] = int(count)
    typer.echo(str(write(model, folder, layers)))
