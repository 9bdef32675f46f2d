"""What differs between two recipes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from emofuse.errors import RecipeError
from emofuse.training.recipe.schema import Recipe

MODEL = ("tasks", "more_tasks", "encoders", "fusion", "head_dropout", "init", "start_pool")
LEARNT = (*MODEL, "strategy", "data", "optim", "loss", "augment", "train")
"""Sections, and fields of `model`, that say what a run learns; it can hold no other without being trained."""
ON_THE_WAY = ("optim.clip", "train.bf16", "train.patience")
"""What an unfinished run may change: no state holds it, and a loss that is no number asks for the first two."""
ASIDE = (
    "data.cache", "data.cache_mb", "train.epochs", "train.eval_batch_size", "train.budget", "train.checkpointing",
    "train.compile", "train.save_steps", "train.threads", "train.workers", "train.device",
)  # fmt: skip
"""What is said of the machine, and how long a run goes: no other run for that."""
PLACES = re.compile(r"data\.sources\.\d+\.(root|options\.(address|cache|disk_gb))")
"""Where data lie, which may have moved."""
FILES = (".source", ".tokenizer")
"""Fields of an encoder that name a file or a hub id: moved elsewhere, it is the same under its own name."""


def change(made: Recipe, now: Recipe, sections: Sequence[str], but: Sequence[str] = ()) -> tuple[str, Any, Any] | None:
    """The first value that two recipes differ in: its place, what it was, and what it is; None for none.

    `but`: values that may differ, beside those of ASIDE and PLACES.
    """
    before, after, aside = _plain(made), _plain(now), (*ASIDE, *but)
    for section in sections:
        where = f"model.{section}" if section in before["model"] else section
        for place, then, value in _differing(before[section], after[section], where):
            if not PLACES.fullmatch(place) and not any(f"{place}.".startswith(f"{name}.") for name in aside):
                return place, then, value
    return None


def check_same(folder: Path, which: str, made: Recipe, now: Recipe, but: Sequence[str]) -> None:
    """Raise RecipeError where the run in a folder (`which`: "a finished") learns otherwise than a recipe says now."""
    changed = change(made, now, LEARNT, but)
    if changed is not None:
        refuse(folder, which, *changed)


def refuse(folder: Path, which: str, place: str, then: Any, now: Any) -> NoReturn:
    """Raise the RecipeError of a run in a folder that was begun with another value, seed or limit."""
    raise RecipeError(
        f"{folder} holds {which} run with {place} {_shown(then)}, now {_shown(now)}, which stays as it is; go on with "
        f"the {'recipe' if '.' in place else place} that it was begun with, choose another output.folder, or start "
        "anew: output.overwrite=true and no --resume"
    )


def _differing(before: Any, after: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    """(where, value, value) of all that differs below."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*after, *before)):
            yield from _differing(before.get(key), after.get(key), f"{where}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _differing(one, other, f"{where}.{number}")
    elif before != after and not _same_file(before, after, where) and not _moved(before, after, where):
        yield where, before, after


def _same_file(before: Any, after: Any, where: str) -> bool:
    names = [Path(value).name if isinstance(value, str) else None for value in (before, after)]
    return where.startswith("model.encoders.") and where.endswith(FILES) and None not in names and names[0] == names[1]


def _moved(before: Any, after: Any, where: str) -> bool:
    """Whether a checkpoint that a part starts from, or a file of a reader's options, is no longer where it was."""
    if not isinstance(before, str) or not isinstance(after, str):
        return False
    if where.startswith("model.init."):
        return _named(before) == _named(after) and not Path(before).exists()
    paths = where.startswith("data.sources.") and Path(before).is_absolute() and Path(after).is_absolute()
    return paths and Path(before).name == Path(after).name and not Path(before).exists()


def _named(checkpoint: str) -> tuple[str, ...]:
    """The last part of its path; of a run's `model` the two last."""
    parts = Path(checkpoint).parts
    return parts[-2 if parts[-1:] == ("model",) else -1 :]


def _shown(value: Any) -> str:
    return "not given" if value is None else f"{value!r:.60}"


def _plain(recipe: Recipe) -> dict[str, Any]:
    """The sections as plain values, those of the model beside the others."""
    values = recipe.model_dump(mode="json")
    return values | values["model"]
