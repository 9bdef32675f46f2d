"""`emofuse info`: what a model is, what it may be used for, how good it was measured to be."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Annotated, Any

import typer

from emofuse.errors import CheckpointError


def info(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A shipped model, a folder, or a hub id.")
    ] = "emofuse-small",
) -> None:
    """Print a model's labels, its licence, its size and its measured quality."""
    from rich.console import Console
    from rich.table import Table

    from emofuse.model.checkpoint import locate, read_config, shipped

    folder = locate(model)
    config = read_config(folder)
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("model", f"{model} ({folder})")
    facts.add_row("licence", licence(folder))
    facts.add_row("parameters", size(folder / "model.safetensors"))
    for modality, encoder in config.encoders.items():
        facts.add_row(modality, getattr(encoder, "source", None) or f"trained from scratch ({encoder.kind})")
    for task in config.tasks:
        facts.add_row(task.name, ", ".join(task.classes) or f"a number from {task.low:g} to {task.high:g}")
    for name, value in quality(folder):
        facts.add_row(name, value)
    facts.add_row("shipped", ", ".join(shipped()) or "none")
    Console().print(facts, highlight=False, markup=False)


def licence(folder: Path) -> str:
    """What the model card's header says."""
    card = folder / "README.md"
    if not card.is_file():
        return "not stated: the folder holds no model card (README.md)"
    from huggingface_hub.repocard import metadata_load

    header = metadata_load(card) or {}
    return str(header.get("license_name") or header.get("license") or "not stated in the model card")


def size(weights: Path) -> str:
    """Parameters and bytes on disk, read from the header of the weights. Raises `CheckpointError`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="np") as file:
            names = list(file.keys())
            count = sum(prod(file.get_slice(name).get_shape()) for name in names)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{weights} cannot be read ({error}); fetch or save the model again") from error
    return f"{count / 1e6:.1f} million, {weights.stat().st_size / 1e6:.0f} MB"


def quality(folder: Path) -> list[tuple[str, str]]:
    """(what, number) of every measure in report.json, the path to it joined by spaces."""
    report = folder / "report.json"
    if not report.is_file():
        return [("quality", "not measured: the folder holds no report.json")]
    return list(_numbers("", json.loads(report.read_text(encoding="utf-8"))))


def _numbers(path: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [row for key, inner in value.items() for row in _numbers(f"{path} {key}".strip(), inner)]
    return [(path, f"{value:.3f}")] if isinstance(value, float) else []
