"""`--dry-run`: what a recipe would do, checked without training, hub or disk."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emofuse.corpora.registry import corpus
from emofuse.encoders.registry import encoder_class
from emofuse.encoders.sources import resolve_source
from emofuse.errors import CheckpointError, DataError, MissingExtraError, RecipeError
from emofuse.files import home_path
from emofuse.modalities import Modality
from emofuse.model.folder import locate, shipped
from emofuse.model.model import EmotionModel
from emofuse.tasks import Task
from emofuse.training.arguments import device_of
from emofuse.training.dataset.sampler import Buckets, Shares
from emofuse.training.dataset.sources import SourceExamples, read_source
from emofuse.training.footprint import at_rest, copies_of
from emofuse.training.outcome.ensemble import members
from emofuse.training.recipe.measured import measured
from emofuse.training.recipe.read import method_recipes, stage_list
from emofuse.training.recipe.schema import Recipe, Source, Strategy
from emofuse.training.recipe.stages import starts
from emofuse.training.trainer import last_complete
from emofuse.training.tuning.init import describing_model, model_config, parameter_counts
from emofuse.training.tuning.optim import parameter_groups
from emofuse.training.tuning.strategies import apply_strategies


def show_plan(recipe: Recipe, limit: int | None = None) -> None:
    """Print the plan of a recipe, and only then raise what would stop it (a bad row, a label outside the space).

    Folders of data that are not here and weights that would be fetched are part of the plan, not errors. Raises
    RecipeError or DataError for all else.
    """
    errors: list[DataError] = []
    for heading, part in _parts(recipe):
        for line in (heading, *plan(part, limit, errors)) if heading else plan(part, limit, errors):
            sys.stdout.write(line + "\n")
    if errors:
        raise errors[0]


def _parts(recipe: Recipe) -> Iterator[tuple[str, Recipe]]:
    """What is planned on its own, under a heading: methods that are compared, stages of a training; else the recipe."""
    if not recipe.method and not recipe.stages:
        yield "", recipe
    for name, own in method_recipes(recipe).items():
        yield from ((f"== method {name}{heading}", part) for heading, part in _parts(own))
    for number, own in enumerate([] if recipe.method else stage_list(recipe, recipe.folder, begun=False)):
        before = [f"{part} from {name}" for part, name in starts(recipe, number).items()]
        yield f"== stage {recipe.stages[number].name}: " + (", ".join(before) or "from the start"), own


def plan(recipe: Recipe, limit: int | None, errors: list[DataError]) -> Iterator[str]:
    """The lines of the plan; what is wrong with the data is said in them and appended to `errors`."""
    tasks = recipe.model.all_tasks()
    yield f"{recipe.name}: {', '.join(f'{t.name} ({t.kind}, {t.width})' for t in tasks)}"
    runs = [label for label, _, _ in members(recipe)]
    yield f"runs: {', '.join(runs)}" if runs != [""] else f"seed: {recipe.seed}"
    yield "data:"
    gathered: list[SourceExamples | None] = []
    for source in recipe.data.sources:
        found = _read(recipe, source, tasks, limit, errors)
        gathered.append(found if isinstance(found, SourceExamples) else None)
        yield from (f"  {line}" for line in (_counts(found, tasks) if isinstance(found, SourceExamples) else [found]))
    model_config(_only(recipe, {"text": {"kind": "features", "width": 1}}, {}))
    yield "encoders:"
    described: dict[Modality, Described] = {m: describe(recipe, m) for m in recipe.model.encoders}
    for modality, encoder in described.items():
        yield f"  {modality}: {encoder.note}; {recipe_strategy(recipe, modality)}"
    known = {m: d.values for m, d in described.items() if d.values is not None}
    model = _planned(recipe, known) if known else None
    yield from _model(recipe, model, [m for m in described if m not in known])
    yield from _steps(recipe, gathered, limit)
    here = [g for g in gathered if g is not None]
    if model and len(known) == len(described) and len(here) == len(gathered) and recipe.train.epochs:
        copies = copies_of(recipe.train, device_of(recipe))
        yield from measured(recipe, known, here, at_rest(model, recipe.optim, copies), limit)
    yield from _writes(recipe)


def _read(
    recipe: Recipe, source: Source, tasks: Sequence[Task], limit: int | None, errors: list[DataError]
) -> SourceExamples | str:
    reader = corpus(source.corpus)
    if recipe.root is None and not home_path(source.root).is_absolute():
        return f"{source.corpus}: not read, the recipe has no root yet; add root=FOLDER"
    root = recipe.source_root(source)
    if not root.exists():
        return f"{source.corpus}: nothing at {root}; it holds {', '.join(reader.tasks)}"
    try:
        return read_source(recipe, source, tasks, limit)
    except DataError as error:
        errors.append(error)
        return f"{source.corpus}: cannot be used as it is: {error}"


def _counts(g: SourceExamples, tasks: Sequence[Task]) -> Iterator[str]:
    weight = f", {g.source.weight:g} of it an epoch" if g.source.weight != 1 else ""
    yield g.describe() + weight
    for note in g.reading.notes:
        yield f"  {note}"
    for task in tasks:
        for split, examples in (("train", g.train), ("dev", g.dev)):
            rows = [e.targets[task.name] for e in examples if not np.isnan(e.targets[task.name]).any()]
            if not rows:
                continue
            if not task.classes:
                values = np.concatenate(rows)
                yield f"  {task.name}, {split}: {len(rows)}, {values.mean():.2f} ± {values.std():.2f}"
            else:
                each = zip(task.classes, np.sum(rows, 0), strict=True)
                yield f"  {task.name}, {split}: {len(rows)}, " + ", ".join(f"{n} {c:g}" for n, c in each if c)


@dataclass(frozen=True)
class Described:
    """An encoder as the plan knows it: `values` builds its shape without any weights; None = not known here."""

    note: str
    values: dict[str, Any] | None


def describe(recipe: Recipe, modality: Modality) -> Described:
    """What an encoder starts from, without a download. Raises RecipeError for a field that it does not have."""
    values = dict(recipe.model.encoders[modality])
    init = recipe.model.init.get(modality) or recipe.model.init.get("all")
    if init is not None:
        if init not in shipped() and not home_path(init).is_dir():
            what = "would be fetched" if init.count("/") == 1 else "is not there yet: train it first"
            return Described(f"starts from {init}, which {what}", None)
        config = model_config(_only(recipe, {modality: values})).encoders[modality]
        own = encoder_class(config.kind).assets_in(locate(init))
        return Described(f"starts from {init}", config.model_dump() | {"source": None} | own)
    config = model_config(_only(recipe, {modality: values}, {})).encoders[modality]
    source, tokenizer = values.get("source"), values.get("tokenizer")
    if tokenizer is not None:
        folder = _local(tokenizer, None)
        if folder is None:
            return Described(f"its tokenizer {tokenizer} is not in the cache and would be fetched", None)
        values["tokenizer"] = str(folder)
    if not encoder_class(config.kind).reads_media:
        return Described(f"ready-made features of width {values['width']}", values)
    if source is None:
        return Described("from scratch", values)
    try:
        local = _local(source, values.get("revision"))
    except (MissingExtraError, CheckpointError) as error:
        return Described(f"{source}: {error}", None)
    if local is None:
        return Described(f"{source} is not in the cache and would be fetched", None)
    return Described(f"starts from {source}", _shape(modality, values, local))


def _only(recipe: Recipe, encoders: Mapping[Modality, Any], init: Mapping[str, str] | None = None) -> Recipe:
    """The recipe with these encoders alone."""
    changes = {"encoders": dict(encoders)} | ({} if init is None else {"init": dict(init)})
    return recipe.model_copy(update={"model": recipe.model.model_copy(update=changes)})


def _local(source: str, revision: str | None) -> Path | None:
    """The folder on this disk that holds a source's description; None for a hub id that is not cached."""
    from huggingface_hub import try_to_load_from_cache

    found = Path(resolve_source(source.removeprefix("local-dir:")))
    if found.is_dir():
        return found
    name = source.removeprefix("hf-hub:")
    if name.count("/") > 1:
        return None
    cached = try_to_load_from_cache(name, "config.json", revision=revision) if _is_id(name) else None
    return Path(cached).parent if isinstance(cached, str) else None


def _is_id(name: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def _shape(modality: Modality, values: Mapping[str, Any], folder: Path) -> dict[str, Any] | None:
    """The encoder from scratch in the shape of `folder`; None where the folder lacks what that takes."""
    own = {k: v for k, v in values.items() if k not in ("source", "revision")}
    shape = encoder_class(values.get("kind", modality)).shape_in(folder, own)
    return None if shape is None else own | shape


def recipe_strategy(recipe: Recipe, modality: Modality) -> str:
    """The strategy of an encoder in words."""
    strategy = recipe.strategy.get(modality, Strategy())
    kept = f", its heads of {' and '.join(strategy.heads)} kept" if strategy.heads else ""
    detail = {"top": f"last {strategy.layers} layers", "prefix": f"{strategy.tokens} tokens"}
    detail |= {"prompt": detail["prefix"], "probe": "the weights of its layers"}
    detail |= dict.fromkeys(("lora", "adalora"), f"rank {strategy.rank}")
    kind = f"{strategy.kind} ({detail[strategy.kind]})" if strategy.kind in detail else strategy.kind
    return kind + (", its front end frozen" if strategy.freeze else "") + kept


def _model(recipe: Recipe, model: EmotionModel | None, lacking: Sequence[Modality]) -> Iterator[str]:
    if model is None:
        yield "parameters: known once an encoder is here"
        return
    yield "parameters" + (f" (without {' and '.join(lacking)}):" if lacking else ":")
    for part, (learns, total) in parameter_counts(model).items():
        yield f"  {part}: {learns:,} of {total:,} learn ({learns / total:.1%})"
    yield "AdamW:"
    for group in sorted(parameter_groups(model, recipe.optim), key=lambda g: (-g["lr"], -g["weight_decay"])):
        count = sum(p.numel() for p in group["params"])
        yield f"  lr {group['lr']:.3g}, decay {group['weight_decay']:g}: {count:,} in {len(group['params'])} tensors"


def _planned(recipe: Recipe, encoders: Mapping[Modality, dict[str, Any]]) -> EmotionModel:
    """The model as it is trained, in shape alone; nothing is allocated."""
    with describing_model(), torch.device("meta"):
        model = EmotionModel(model_config(_only(recipe, encoders, {})))
    apply_strategies(model, {m: s for m, s in recipe.strategy.items() if m in encoders})
    return model


def _steps(recipe: Recipe, gathered: Sequence[SourceExamples | None], limit: int | None) -> Iterator[str]:
    train, optim = recipe.train, recipe.optim
    yield (
        f"schedule: {train.epochs} epochs, {optim.schedule}, {optim.warmup:.0%} warm-up, clipped at {optim.clip:g}, "
        f"batches of {train.batch_size}" + (f" x {train.accumulation}" if train.accumulation > 1 else "")
    )
    if any(g is None for g in gathered):
        yield "steps: known once all data are here"
        return
    known = [g for g in gathered if g is not None]
    composed = recipe.data.compose.size if recipe.data.compose else 0
    composed = composed if limit is None else min(composed, 7 * limit)
    shares = Shares([len(g.train) for g in known], [s.weight for s in recipe.data.sources], composed, recipe.seed)
    if not len(shares):
        raise RecipeError("no source has anything to train on; set data.sources.N.train to true for one")
    if not any(g.dev for g in known):
        raise RecipeError("no source has a dev split to choose the epoch by; keep evaluate: true for one that has")
    batches = len(Buckets(shares, lambda indices, epoch: np.zeros(len(indices)), train.batch_size))
    steps = -(-batches // train.accumulation)
    yield f"steps: {steps} an epoch over {len(shares)} samples, {steps * train.epochs} in all; epoch by {train.metric}"


def _writes(recipe: Recipe) -> Iterator[str]:
    folder = recipe.folder
    yield f"writes: {folder / 'model'}"
    if (folder / "model").exists():
        yield "  a finished run is there: output.overwrite=true replaces it"
    elif (state := last_complete(folder / "states")) is not None:
        yield f"  an unfinished run is there: --resume goes on from {state.name}"
