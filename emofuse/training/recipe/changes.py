"""What differs between two recipes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emofuse.training.recipe.schema import Recipe

LEARNT = ("fusion", "optim", "loss", "augment")
"""Sections that say what a run learns, and of which it can hold no other without being trained."""


def change(made: Recipe, now: Recipe, sections: Sequence[str]) -> str | None:
    """The first value that two recipes differ in, as a message has it: `optim.lr 0.0003, now 0.1`; None for none."""
    before, after = _plain(made), _plain(now)
    for section in sections:
        for key, value in after[section].items():
            if before[section].get(key) != value:
                where = "model.fusion" if section == "fusion" else section
                return f"{where}.{key} {before[section].get(key)!r:.60}, now {value!r:.60}"
    return None


def _plain(recipe: Recipe) -> dict[str, Any]:
    """The sections as plain values, those of the model beside the others."""
    values = recipe.model_dump(mode="json")
    return values | values["model"]
