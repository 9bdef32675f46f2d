"""The encoder that pretraining starts from: that of a checkpoint, or of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emofuse.errors import RecipeError, nearest
from emofuse.modalities import Modality
from emofuse.model.model import EmotionModel
from emofuse.training.recipe.read import load_recipe, parse_recipe
from emofuse.training.recipe.schema import Recipe
from emofuse.training.tuning.init import build, starts_of

FUSION = {"dim": 8, "layers": 1, "heads": 1}
"""As small as it gets: fusion of one modality, which nothing is taken from."""


@dataclass(frozen=True, eq=False)
class Start:
    """A model of one encoder whose heads have learnt nothing, and where its weights are from."""

    model: EmotionModel
    lines: tuple[str, ...]
    source: str | None
    """Published weights that the encoder has at this moment; None = from a checkpoint or from scratch."""
    revision: str | None


def start_from(start: str, modality: Modality) -> Start:
    """The encoder of `modality` that a recipe (a YAML file) describes, or that a checkpoint holds.

    Raises RecipeError where neither has one, CheckpointError where there is no such checkpoint.
    """
    recipe = _one_encoder(start, modality)
    model, lines = build(recipe)
    for head in (*model.heads.values(), *model.modality_heads[modality].tasks.values()):
        head.supported_subsets[:] = False
    config = model.encoder(modality).config
    fresh = None if starts_of(recipe) else getattr(config, "source", None)
    origin = lines or [f"{modality} starts from {fresh or 'scratch'}"]
    return Start(model, tuple(origin), fresh, getattr(config, "revision", None))


def _one_encoder(start: str, modality: Modality) -> Recipe:
    """A recipe of that encoder alone."""
    encoder: dict[str, Any] = {}
    init = {modality: start}
    if Path(start).suffix.lower() in (".yaml", ".yml"):
        given = load_recipe(start).model
        if modality not in given.encoders:
            raise RecipeError(f"{start} has no {modality} encoder; {nearest(modality, given.encoders)}")
        encoder = given.encoders[modality]
        origin = given.init.get(modality) or given.init.get("all")
        init = {} if origin is None else {modality: origin}
    return parse_recipe(
        {
            "name": "pretraining",
            "data": {"sources": [{"corpus": "manifest"}]},
            "model": {"encoders": {modality: encoder}, "init": init, "fusion": FUSION},
        }
    )
