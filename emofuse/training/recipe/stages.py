"""The stages of a recipe, each as the plain values of a recipe of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emofuse.modalities import Modality
from emofuse.training.recipe.schema import Recipe, Stage
from emofuse.training.recipe.section import merged

SECTIONS = ("data", "augment", "loss", "optim", "train")
"""Those that a stage changes key by key."""
PART = {"method": "late", "pool": "mean", "unimodal": "passthrough"}
"""Fusion of a stage of one modality: none, so that what is trained is what it says alone."""


def stage_folders(recipe: Recipe, folder: Path) -> list[Path]:
    """Where each stage writes: the last one into the run's own folder."""
    return [folder / "stages" / stage.name for stage in recipe.stages[:-1]] + [folder] * bool(recipe.stages)


def stage_recipes(recipe: Recipe, folder: Path, begun: bool = True) -> list[dict[str, Any]]:
    """The stages as recipes, which start from the checkpoints of those before them below `folder`.

    `begun` False leaves those starts out, for a plan that is made before they are there.
    """
    folders = stage_folders(recipe, folder)
    return [_values(recipe, i, folders, begun) for i in range(len(recipe.stages))]


def modalities_of(recipe: Recipe, stage: Stage) -> list[Modality]:
    """Those that a stage trains, in the recipe's order."""
    return [m for m in recipe.model.encoders if stage.modalities is None or m in stage.modalities]


def starts(recipe: Recipe, number: int) -> dict[str, str]:
    """Part of a stage's model → the earlier stage that it comes from: the latest that had it.

    What joins modalities comes along only where it joined the very same ones.
    """
    wanted, earlier = modalities_of(recipe, recipe.stages[number]), recipe.stages[:number]
    found: dict[str, str] = {}
    for stage in earlier:
        own = modalities_of(recipe, stage)
        if own == wanted:
            found = {"all": stage.name}
            continue
        found |= {m: stage.name for m in own if m in wanted}
    return found


def _values(recipe: Recipe, number: int, folders: Sequence[Path], begun: bool) -> dict[str, Any]:
    stage, last = recipe.stages[number], number == len(recipe.stages) - 1
    kept = modalities_of(recipe, stage)
    values = recipe.model_dump(exclude={"stages", "seeds", "folds", "method"})
    values |= {section: merged(values[section], getattr(stage, section)) for section in SECTIONS}
    if values["train"]["keep_start"] is None:
        values["train"]["keep_start"] = number > 0
    values["strategy"] = _strategies(recipe, stage, kept)
    values["optim"]["encoder_lr"] = {m: v for m, v in values["optim"]["encoder_lr"].items() if m in kept}
    values["model"] |= {
        "encoders": {m: values["model"]["encoders"][m] for m in kept},
        "fusion": _fusion(recipe, stage, kept),
    }
    _begin(recipe, number, folders, values["model"], begun)
    if len(kept) == 1:
        values["data"]["compose"] = None
    if not last:
        values["name"] = f"{recipe.name}-{stage.name}"
        values["output"]["dtype"] = "float32"
    values["output"]["folder"] = str(folders[number])
    return values


def _strategies(recipe: Recipe, stage: Stage, kept: Sequence[Modality]) -> dict[Modality, Any]:
    """The stage's own, in the place of the recipe's."""
    common = {m: s.model_dump() for m, s in recipe.strategy.items()}
    return {m: s for m, s in (common | stage.strategy).items() if m in kept}


def _fusion(recipe: Recipe, stage: Stage, kept: Sequence[Modality]) -> dict[str, Any]:
    fusion = merged(recipe.model.fusion, stage.fusion)
    single = len(kept) == 1 and len(recipe.model.encoders) > 1
    return {k: v for k, v in fusion.items() if k not in ("correction", "alone")} | PART if single else fusion


def _begin(recipe: Recipe, number: int, folders: Sequence[Path], model: dict[str, Any], begun: bool) -> None:
    """Lay in what the stage starts from; a pool of trained parts starts at weights that were fitted."""
    names = [stage.name for stage in recipe.stages]
    found = {part: folders[names.index(name)] / "model" for part, name in starts(recipe, number).items()}
    kept = {m: v for m, v in model["init"].items() if m in (*model["encoders"], "fusion", "all") and "all" not in found}
    model["init"] = kept | ({part: str(path) for part, path in found.items()} if begun else {})
    if len(model["encoders"]) > 1 and found and "all" not in found:
        model["start_pool"] = "fitted"
