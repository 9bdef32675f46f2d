"""Recipe reading: YAML, `extends`, `key=value` overrides, and errors that name the nearest valid key."""

from __future__ import annotations

import reprlib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import ValidationError

from emofuse.errors import RecipeError, nearest
from emofuse.training.recipe.lexicon import with_lexicon
from emofuse.training.recipe.schema import Recipe, with_method
from emofuse.training.recipe.section import Section, merged
from emofuse.training.recipe.stages import stage_recipes

__all__ = ["Recipe", "dump_recipe", "load_recipe", "method_recipes", "parse_recipe", "stage_list"]


def load_recipe(path: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe, lay `key=value` overrides (`optim.lr=1e-4`, `data.sources.0.weight=2`) over it, and check it.

    A top-level `extends: other.yaml` (relative to the file) starts from that recipe. Raises RecipeError with the place
    and the nearest valid name.
    """
    values = _read(Path(path), ())
    for override in overrides:
        _apply(values, override)
    return parse_recipe(with_lexicon(values, Path()), source=str(path))


def parse_recipe(values: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """Check plain values as a recipe, every stage of it too; raises RecipeError."""
    recipe = _checked(values, source)
    stage_list(recipe, recipe.folder, source)
    return recipe


def stage_list(recipe: Recipe, folder: Path, source: str = "recipe", begun: bool = True) -> list[Recipe]:
    """The stages of a recipe, each as one of its own (see `stage_recipes`); raises RecipeError."""
    found = stage_recipes(recipe, folder, begun)
    names = [stage.name for stage in recipe.stages]
    return [_checked(own, f"{source}, stage {name}") for name, own in zip(names, found, strict=True)]


def method_recipes(recipe: Recipe) -> dict[str, Recipe]:
    """Each method of `recipe.method` as a recipe of its own, which writes into a folder of its name below the recipe's.

    Raises RecipeError.
    """
    found = {}
    for method in recipe.method or []:
        values: dict[str, Any] = with_method(recipe.model_dump(), method) | {"method": None}
        values["output"] = {**values["output"], "folder": str(recipe.folder / method)}
        found[method] = parse_recipe(values, f"method {method}")
    return found


def _checked(values: Mapping[str, Any], source: str) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(_explain(e) for e in error.errors())
        raise RecipeError(f"{source}: {problems}") from error


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML that `load_recipe` reads back equal."""
    import yaml

    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in seen:
        raise RecipeError(f"{path}: extends itself through {', '.join(str(p) for p in seen)}")
    if not path.is_file():
        by = f", which {seen[-1]} extends" if seen else ""
        raise RecipeError(f"no recipe at {path}{by}; give the path of a YAML file")
    try:
        values = _yaml(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of sections, not {type(values).__name__}")
    values = with_lexicon(values, path.parent)
    base = values.pop("extends", None)
    if base is None:
        return values
    if not isinstance(base, str) or not base.strip() or "\0" in base:
        raise RecipeError(f"{path}: extends is the path of one recipe, relative to this file, not {_shown(base)}")
    return merged(_read(path.parent / base, (*seen, path.resolve())), values)


def _yaml(text: str, where: str) -> Any:
    """What a text of YAML holds. Raises RecipeError for what is none, or nested deeper than any recipe."""
    import yaml

    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise RecipeError(f"{where} is nested too deeply to be a recipe; at most a few levels are") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # dates that are none raise ValueError
        raise RecipeError(f"{where} is not YAML: {error}") from error


def _shown(value: Any) -> str:
    """A value as it was written, cut where it is long."""
    shown = reprlib.Repr()
    shown.maxstring = shown.maxother = 200
    shown.maxlevel = 2
    return shown.repr(value)


def _apply(values: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign or not key:
        raise RecipeError(f"an override reads key=value, for example optim.lr=1e-4; got {override!r}")
    *path, last = key.split(".")
    place: Any = values
    for i, part in enumerate(path):
        if isinstance(place, list):
            place = place[_index(place, part, key)]
        else:
            inner = place.get(part)
            inner = {"kind": inner} if isinstance(inner, str) and path[0] == "strategy" and i == 1 else inner
            place[part] = {} if inner is None else inner
            place = place[part]
        if not isinstance(place, (dict, list)):
            raise RecipeError(f"override {key!r}: {'.'.join(path[: i + 1])} holds {place!r}, which has no parts")
    value = _yaml(text, f"override {key!r}") if text else None
    if isinstance(place, list):
        place[_index(place, last, key)] = value
    else:
        place[last] = value


def _index(items: list[Any], part: str, key: str) -> int:
    if not part.isdecimal() or int(part) >= len(items):
        raise RecipeError(f"override {key!r}: {part!r} is no index into a list of {len(items)} (from 0)")
    return int(part)


def _explain(error: Any) -> str:
    where = ".".join(str(p) for p in error["loc"])
    if error["type"] == "extra_forbidden":
        *inside, name = error["loc"]
        section = _section_at(Recipe, inside)
        valid = section.model_fields if section else ()
        return f"unknown key {where!r}; {nearest(str(name), valid)}"
    if error["type"] == "value_error":
        return f"{where}: {error['ctx']['error']}" if where else str(error["ctx"]["error"])
    got = "" if error["type"] == "missing" else f", got {_shown(error['input'])}"
    return f"{where}: {error['msg']}{got}"


def _section_at(section: Any, path: Iterable[Any]) -> type[Section] | None:
    """The section that a validation error's location stands in."""
    for part in path:
        if isinstance(section, type) and issubclass(section, Section):
            field = section.model_fields.get(part)
            section = _bare(field.annotation) if field else None
        else:
            arguments = typing.get_args(section)
            section = _bare(arguments[-1]) if arguments else None
    return section if isinstance(section, type) and issubclass(section, Section) else None


def _bare(annotation: Any) -> Any:
    """The annotation without Annotated and without `| None`."""
    while True:
        if typing.get_origin(annotation) is Annotated:
            annotation = typing.get_args(annotation)[0]
        elif typing.get_origin(annotation) in (typing.Union, types.UnionType):
            annotation = next(a for a in typing.get_args(annotation) if a is not type(None))
        else:
            return annotation
