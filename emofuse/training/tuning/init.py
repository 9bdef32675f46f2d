"""The initial model of a run: built from its recipe, with parts taken from checkpoints."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from emofuse.encoders.four_bit import weights_in
from emofuse.encoders.registry import encoder_class
from emofuse.errors import CheckpointError, EmofuseError, RecipeError, first_line, nearest
from emofuse.modalities import Modality, subset_name, subsets_of
from emofuse.model.config import FusionConfig, ModelConfig
from emofuse.model.conformal import FILE as CONFORMAL
from emofuse.model.conformal import ConformalTable, load_conformal
from emofuse.model.folder import locate, read_config
from emofuse.model.heads import Head, is_table
from emofuse.model.model import EmotionModel
from emofuse.model.weights import read_tensors
from emofuse.training.recipe.schema import Recipe


def model_config(recipe: Recipe) -> ModelConfig:
    """The model's configuration; encoders that start from a checkpoint are described by it.

    Raises RecipeError for a field the encoders or the fusion do not have.
    """
    section = recipe.model
    encoders: dict[Modality, Any] = dict(section.encoders)
    for modality in section.encoders:
        if modality in section.init or "all" in section.init:
            saved = read_config(_folder(recipe, modality)).encoders
            if modality not in saved:
                raise RecipeError(
                    f"model.init.{modality}: that checkpoint has no {modality} encoder, but {', '.join(saved)}"
                )
            encoders[modality] = saved[modality].model_dump() | section.encoders[modality]
    values = {
        "tasks": [{k: getattr(t, k) for k in ("name", "kind", "classes", "low", "high")} for t in section.all_tasks()],
        "encoders": encoders,
        "fusion": section.fusion,
        "head_dropout": section.head_dropout,
    }
    try:
        return ModelConfig.model_validate(values)
    except ValidationError as error:
        raise RecipeError("; ".join(_explain(e, encoders) for e in error.errors())) from error


def _explain(error: Any, encoders: dict[Modality, Any]) -> str:
    where = ".".join(["model", *(str(p) for p in error["loc"])])
    if error["type"] != "extra_forbidden":
        return f"{where}: {error['msg']}"
    name, place = str(error["loc"][-1]), error["loc"][0]
    fields: Any = FusionConfig.model_fields
    if place == "encoders":
        kind = encoders[error["loc"][1]].get("kind", error["loc"][1])
        fields = encoder_class(kind).Config.model_fields
    return f"unknown key {where!r}; {nearest(name, fields)}"


def build(recipe: Recipe) -> tuple[EmotionModel, list[str]]:
    """The model of a recipe, with what was taken over from where, one line each."""
    config = model_config(recipe)
    begun = [m for m in config.encoders if m in recipe.model.init or "all" in recipe.model.init]
    complete = len(begun) == len(config.encoders)
    folder = _folder(recipe, begun[0]) if complete else None
    with describing_model():
        model = EmotionModel(config, checkpoint=folder)
    lines = []
    for part in ("all", *config.encoders, "fusion"):
        if part in recipe.model.init:
            rest = [m for m in config.encoders if part == "all" and m not in recipe.model.init]
            lines.append(_take_over(model, part, _folder(recipe, part), rest or [part]))
    return model, lines


def starts_of(recipe: Recipe) -> dict[Modality, Path]:
    """The checkpoint that each encoder starts from, of those that start from one."""
    init = recipe.model.init
    return {m: _folder(recipe, m) for m in recipe.model.encoders if m in init or "all" in init}


@contextmanager
def describing_model() -> Iterator[None]:
    """Raise RecipeError for what building a model makes of numbers that do not go together."""
    try:
        yield
    except (EmofuseError, OSError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # transformers raises Exceptions of its own
        raise RecipeError(
            f"model: the encoders cannot be built as they are described ({type(error).__name__}: {first_line(error)}); "
            "see model.encoders"
        ) from error


def _folder(recipe: Recipe, part: str) -> Path:
    given = recipe.model.init.get(part) or recipe.model.init["all"]  # type: ignore[call-overload]
    try:
        return locate(given)
    except CheckpointError as error:
        raise RecipeError(f"model.init.{part}: {error}") from error


def _take_over(model: EmotionModel, part: str, folder: Path, encoders: Sequence[str]) -> str:
    """Copy the weights of a part from a checkpoint; those of tasks it does not know start anew.

    With all of a checkpoint, or all of a modality, comes what its heads learnt and how they were calibrated: it
    stays where the run has too little to teach or calibrate anew. What the model has no room for is said. `encoders`
    are those that must fit as a whole.
    """
    prefixes = {
        "all": ("",),
        "fusion": ("fusion.", "heads.", "pool_weights.", "pools."),
    }.get(part, (f"encoders.{part}.", f"modality_heads.{part}.", f"fusion.project.{part}."))
    path = folder / "model.safetensors"
    if not path.is_file():
        raise RecipeError(
            f"model.init.{part}: {folder} holds no model.safetensors; train or fetch that checkpoint first"
        )
    own = model.state_dict()
    saved = _learnt({n: t for n, t in read_tensors(path).items() if n.startswith(prefixes)})
    fitting = {n: t for n, t in saved.items() if n in own and own[n].shape == t.shape and not is_table(n)}
    whole = tuple(f"encoders.{m}." for m in encoders)
    fresh = tuple(f"encoders.{m}.{n}" for m in model.modalities for n in model.encoder(m).starts_at_zero)
    lacking = [n for n in own if n.startswith(whole) and n not in fitting and not n.startswith(fresh)]
    if lacking or not fitting:
        named = f", for example {lacking[0]}" if lacking else ""
        raise RecipeError(f"model.init.{part}: the checkpoint's weights do not fit ({len(lacking)} missing{named})")
    model.load_state_dict({n: _like(t, own[n]) for n, t in fitting.items()}, strict=False)
    if part != "fusion":
        _inherit(model, saved, fitting)
    if part == "all" and (folder / CONFORMAL).is_file():
        model.conformal = _fitting_scores(model, load_conformal(folder / CONFORMAL))
    return f"{part} starts from {folder.name}: {len(fitting)} of {len(saved)} tensors{_left_out(model, part, folder)}"


def _learnt(saved: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without heads and fusion where no head has learnt a thing: of a pretrained encoder these start anew."""
    taught = [t for n, t in saved.items() if "supported_subsets" in n.split(".")]
    if not taught or any(bool(t.any()) for t in taught):
        return dict(saved)
    return {n: t for n, t in saved.items() if n.startswith("encoders.")}


def _inherit(model: EmotionModel, saved: Mapping[str, Tensor], fitting: Collection[str]) -> None:
    """Temperatures and supported subsets of the heads whose weights were taken over."""
    for name, head in model.named_modules():
        if isinstance(head, Head) and f"{name}.linear.weight" in fitting:
            tables = {n: t for n, t in saved.items() if n.startswith(f"{name}.") and is_table(n)}
            head.load_state_dict({n.removeprefix(f"{name}."): t for n, t in tables.items()}, strict=False)
            head.inherits = bool(tables)


def _fitting_scores(model: EmotionModel, table: ConformalTable) -> ConformalTable:
    """Scores of prediction sets for the subsets and label spaces that the model has."""
    subsets, classes = {subset_name(s) for s in subsets_of(model.modalities)}, {t.name: t.classes for t in model.tasks}
    return {
        subset: {task: s for task, s in each.items() if classes.get(task) == s.classes}
        for subset, each in table.items()
        if subset in subsets
    }


def _left_out(model: EmotionModel, part: str, folder: Path) -> str:
    """What of a checkpoint the recipe's model has no room for, in words."""
    if part != "all":
        return ""
    config = read_config(folder)
    tasks = [t.name for t in config.tasks if t.task() not in model.tasks]
    gone = [*(m for m in config.encoders if m not in model.modalities), *tasks]
    return f"; left out, since the recipe does not name it: {', '.join(gone)}" if gone else ""


def _like(tensor: Tensor, other: Tensor) -> Tensor:
    return tensor.to(other.dtype)


def parameter_counts(model: EmotionModel) -> dict[str, tuple[int, int]]:
    """Part → (trainable, all) parameters: each encoder, `fusion and heads`, `all`."""
    counts: dict[str, tuple[int, int]] = {}
    for name, parameter in model.named_parameters():
        part, count = name.split(".")[1] if name.startswith("encoders.") else "fusion and heads", weights_in(parameter)
        for key in (part, "all"):
            learns, total = counts.get(key, (0, 0))
            counts[key] = (learns + count * parameter.requires_grad, total + count)
    return counts
