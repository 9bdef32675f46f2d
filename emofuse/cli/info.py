"""`emofuse info`: a model's labels, licence and measured quality."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

from emofuse.cli import options as opt
from emofuse.errors import CheckpointError


def info(
    model: opt.ModelArgument = opt.DEFAULT_MODEL,
) -> None:
    """Print a model's labels, licence and measured quality."""
    from rich.console import Console
    from rich.table import Table

    from emofuse.model.folder import locate, read_config, shipped

    folder = locate(model)
    config = read_config(folder)
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("model", f"{model} ({folder})")
    facts.add_row("licence", licence(folder))
    facts.add_row("parameters", size(folder))
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


def size(folder: Path) -> str:
    """Parameters and bytes on disk: of the weights, or of each format of graphs where there are graphs alone.

    Raises `CheckpointError` for what cannot be read.
    """
    from emofuse.model.folder import WEIGHTS
    from emofuse.runtime.export.layout import ENDINGS, MANIFEST

    told = [folder / format / MANIFEST for format in ENDINGS if (folder / format / MANIFEST).is_file()]
    if told and not (folder / WEIGHTS).is_file():
        return "; ".join(map(_size_of_graphs, told))
    return _size_of_weights(folder / WEIGHTS)


def _size_of_graphs(told: Path) -> str:
    """What their export says of the model, and what they take on disk."""
    try:
        shape = json.loads(told.read_text(encoding="utf-8"))
        count, precision = int(shape["parameters"]), str(shape["precision"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{told} cannot be read ({error!r:.200}); write it again with: emofuse export") from error
    taken = sum(path.stat().st_size for path in told.parent.rglob("*") if path.is_file())
    return f"{_in_words(count, taken)} ({told.parent.name}, {precision})"


def _size_of_weights(weights: Path) -> str:
    """Read from their header."""
    from safetensors import SafetensorError, safe_open

    from emofuse.model.weights import SCALE

    try:
        with safe_open(weights, framework="np") as file:
            names = [name for name in file.keys() if not name.endswith(SCALE)]  # noqa: SIM118
            count = sum(prod(file.get_slice(name).get_shape()) for name in names)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{weights} cannot be read ({error}); fetch or save the model again") from error
    return _in_words(count, weights.stat().st_size)


def _in_words(count: int, taken: int) -> str:
    return f"{count / 1e6:.1f} million, {taken / 1e6:.0f} MB"


def quality(folder: Path) -> list[tuple[str, str]]:
    """(development set and task, its measures) as report.json holds them: fused, or of the parts one by one."""
    report = folder / "report.json"
    if not report.is_file():
        return [("quality", "not measured: the folder holds no report.json")]
    found = json.loads(report.read_text(encoding="utf-8"))
    rows = [
        (f"{name}, {task}", shown)
        for name, tasks in found.get("metrics", {}).items()
        for task, values in tasks.items()
        if "." not in task and (shown := _measures(values))
    ]
    rows += [(f"{part['corpus']}, {part['modality']}", _measures_of_part(part)) for part in found.get("parts", [])]
    said = "on development data; the model card has the details" if rows else "not told by the folder's report.json"
    return [("quality", said), *rows]


_SHOWN = {
    "accuracy": "accuracy",
    "uar": "UAR",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "ccc": "CCC",
    "mae": "MAE",
    "pearson": "Pearson",
}


def _measures_of_part(part: dict[str, Any]) -> str:
    """What a single modality scores on a development set that the card describes, a task after the other."""
    by_task: dict[str, dict[str, Any]] = {}
    for name, measure in part["measures"].items():
        task, _, metric = name.partition(".")
        by_task.setdefault(task, {"n": measure["n"]})[metric] = measure["value"]
    return f"{part['what']}: " + "; ".join(f"{task} {_measures(values)}" for task, values in by_task.items())


def _measures(values: dict[str, Any]) -> str:
    found = [f"{label} {values[key]:.3f}" for key, label in _SHOWN.items() if isinstance(values.get(key), float)]
    return ", ".join(found) + (f" (n {values['n']})" if found and "n" in values else "")
