"""What differs between two recipes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from emofuse.errors import RecipeError
from emofuse.training.recipe.schema import Recipe

LEARNT = ("tasks", "more_tasks", "encoders", "fusion", "strategy", "optim", "loss", "augment")
"""Sections, and fields of `model`, that say what a run learns; it can hold no other without being trained."""
ON_THE_WAY = ("optim.clip",)
"""What an unfinished run may change: no state holds it, and a loss that is no number asks for it."""
FILES = (".source", ".tokenizer")
"""Fields of an encoder that name a file or a hub id: moved elsewhere, it is the same under its own name."""


def change(made: Recipe, now: Recipe, sections: Sequence[str], but: Sequence[str] = ()) -> str | None:
    """The first value that two recipes differ in, as a message has it: `optim.lr 0.0003, now 0.1`; None for none.

    `but`: values that may differ.
    """
    before, after = _plain(made), _plain(now)
    for section in sections:
        where = f"model.{section}" if section in before["model"] else section
        for place, then, value in _differing(before[section], after[section], where):
            if place not in but:
                return f"{place} {_shown(then)}, now {_shown(value)}"
    return None


def check_same(folder: Path, which: str, made: Recipe, now: Recipe, but: Sequence[str]) -> None:
    """Raise RecipeError where the run in a folder (`which`: "a finished") learns otherwise than a recipe says now."""
    changed = change(made, now, LEARNT, but)
    if changed is not None:
        raise RecipeError(
            f"{folder} holds {which} run with {changed}, which stays as it is; go on with the recipe that it was begun "
            "with, choose another output.folder, or start anew: output.overwrite=true and no --resume"
        )


def _differing(before: Any, after: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    """(where, value, value) of all that differs below."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*after, *before)):
            yield from _differing(before.get(key), after.get(key), f"{where}.{key}")
    elif before != after and not _same_file(before, after, where):
        yield where, before, after


def _same_file(before: Any, after: Any, where: str) -> bool:
    names = [Path(value).name if isinstance(value, str) else None for value in (before, after)]
    return where.startswith("model.encoders.") and where.endswith(FILES) and None not in names and names[0] == names[1]


def _shown(value: Any) -> str:
    return "not given" if value is None else f"{value!r:.60}"


def _plain(recipe: Recipe) -> dict[str, Any]:
    """The sections as plain values, those of the model beside the others."""
    values = recipe.model_dump(mode="json")
    return values | values["model"]
