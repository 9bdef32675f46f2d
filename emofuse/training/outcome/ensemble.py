"""Ensembles: seeds and folds with their spread, averaged predictions, averaged weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from emofuse.corpora.registry import corpus, protocol_of
from emofuse.errors import CheckpointError, DataError, RecipeError
from emofuse.files import replacing, write_file
from emofuse.metrics.intervals import Interval, bootstrap
from emofuse.metrics.task import headline, scores_of, task_metrics
from emofuse.metrics.undefined import counted_elsewhere
from emofuse.model.config import ModelConfig
from emofuse.model.familiarity import fingerprint
from emofuse.model.folder import locate, read_config
from emofuse.model.model import EmotionModel
from emofuse.model.predict import GIVEN, Predictions
from emofuse.tasks import Task
from emofuse.training.recipe.schema import Recipe
from emofuse.training.validate import DevSet

PREDICTIONS = "dev.npz"
"""Beside the folder `model` of a run: calibrated dev outputs with their targets."""


def members(recipe: Recipe) -> Iterator[tuple[str, Recipe, int]]:
    """The runs of a recipe with `seeds` or `folds`: folder name (`fold-1/seed-0`), its own recipe, its seed.

    Raises RecipeError when `folds` names one that the corpus does not have, or it is not a recipe of one corpus.
    """
    for fold in _folds(recipe):
        options = {} if fold is None else {"fold": fold}
        sources = [s.model_copy(update={"options": s.options | options}) for s in recipe.data.sources]
        data = recipe.data.model_copy(update={"sources": sources})
        for seed in recipe.seeds or [recipe.seed]:
            parts = [] if fold is None else [f"fold-{fold}".replace("/", "-of-")]
            parts += [] if recipe.seeds is None else [f"seed-{seed}"]
            yield "/".join(parts), recipe.model_copy(update={"data": data}), seed


def _folds(recipe: Recipe) -> Sequence[str | None]:
    if recipe.folds is None:
        return [None]
    if len(recipe.data.sources) != 1:
        raise RecipeError("folds are those of one corpus; a recipe of several has none, take folds out")
    try:
        return corpus(recipe.data.sources[0].corpus).fold_names(recipe.folds)
    except DataError as error:
        raise RecipeError(f"folds: {error}") from None


def summarise(recipe: Recipe, folders: Mapping[str, Path]) -> Path:
    """Write summary.json: mean ± standard deviation over the runs of every dev metric, and of averaged predictions.

    `folders`: checkpoint folder by run. Returns the one of the best dev score.
    """
    reports = {label: json.loads((f / "report.json").read_text("utf-8")) for label, f in folders.items()}
    tables = [_flat(report["metrics"]) for report in reports.values()]
    summary = {
        "recipe": recipe.name,
        "seeds": recipe.seeds or [recipe.seed],
        "folds": recipe.folds,
        "runs": {label: _number(report["score"]) for label, report in reports.items()},
        "split": {label: [d["split"] for d in report.get("data", ())] for label, report in reports.items()},
        "dev_chose": {label: report.get("dev_chose") for label, report in reports.items()},
        "intervals": {label: _intervals(folders[label].parent, recipe, report) for label, report in reports.items()},
        "metrics": {key: spread([t.get(key) for t in tables]) for key in tables[0]},
        "ensemble": _ensemble(recipe, folders),
    }
    write_file(recipe.folder / "summary.json", json.dumps(summary, indent=2, allow_nan=False) + "\n")
    best = max(reports, key=lambda label: reports[label]["score"] * reports[label]["sign"])
    return folders[best]


def _intervals(run: Path, recipe: Recipe, report: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """`set/task.metric` → low and high of the 95 % interval of a run's headline dev figures."""
    if not (run / PREDICTIONS).is_file():
        return {}
    found = {}
    for task in recipe.model.all_tasks():
        for name in (s for s, each in report["metrics"].items() if task.name in each):
            for metric, band in dev_intervals(run, name, task, headline(task)).items():
                found[f"{name}/{task.name}.{metric}"] = [_number(band.low), _number(band.high)]
    return found


def _flat(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    return {f"{s}/{t}.{m}": v for s, tasks in metrics.items() for t, values in tasks.items() for m, v in values.items()}


def spread(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean and sample deviation of what is defined; `n` says of how many."""
    known = np.array([v for v in values if v is not None], np.float64)
    mean = float(known.mean()) if len(known) else None
    return {"mean": mean, "std": float(known.std(ddof=1)) if len(known) > 1 else 0.0, "n": len(known)}


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _ensemble(recipe: Recipe, folders: Mapping[str, Path]) -> dict[str, Any]:
    """Metrics of predictions averaged over the seeds, themselves averaged over folds; empty without several seeds."""
    groups: dict[str, list[Path]] = {}
    for label, folder in folders.items():
        groups.setdefault(label.rpartition("seed-")[0], []).append(folder.parent / PREDICTIONS)
    if any(len(paths) < 2 for paths in groups.values()):
        return {}
    tables = [_flat(averaged_metrics(paths, recipe.model.all_tasks())) for paths in groups.values()]
    return {key: spread([t.get(key) for t in tables]) for key in tables[0]}


def save_predictions(
    path: Path, model: EmotionModel, sets: Sequence[DevSet], predictions: Sequence[Predictions]
) -> None:
    """Calibrated outputs and targets of each dev set, `SET/TASK/values` and `SET/TASK/targets` [n, width], and whose
    the samples are, `SET/samples/clusters`."""
    arrays: dict[str, np.ndarray] = {}
    for dev, found in zip(sets, predictions, strict=True):
        for task in model.tasks:
            values = model.heads[task.name].decode(
                torch.from_numpy(found.logits[GIVEN][task.name]).float().to(model.device),
                torch.from_numpy(found.present).to(model.device),
            )
            arrays[f"{dev.name}/{task.name}/values"] = values.detach().cpu().numpy()
            arrays[f"{dev.name}/{task.name}/targets"] = found.targets[task.name].astype(np.float32)
        arrays[f"{dev.name}/samples/clusters"] = np.array(found.clusters, np.str_)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def dev_intervals(run: Path, name: str, task: Task, metrics: Sequence[str]) -> dict[str, Interval]:
    """95 % intervals of a run's metrics on a dev set, over its speakers, dialogues or videos."""
    held = _load(run / PREDICTIONS)
    values, targets = (held[f"{name}/{task.name}/{kind}"] for kind in ("values", "targets"))
    rows = ~np.isnan(targets).any(1) & ~np.isnan(values).any(1)
    clusters = held[f"{name}/samples/clusters"]
    whose = clusters[rows] if len(clusters) else None
    scores = scores_of(task, protocol_of(name.partition("#")[0]).threshold)
    with counted_elsewhere():
        return {
            m: bootstrap(scores[m], task.flat(targets[rows]), task.flat(values[rows]), clusters=whose) for m in metrics
        }


def averaged_metrics(paths: Sequence[Path], tasks: Sequence[Task]) -> dict[str, dict[str, dict[str, float | None]]]:
    """Dev set → task → metrics of the mean of several runs' predictions, as `save_predictions` wrote them.

    Raises CheckpointError when the runs were not measured on the same samples.
    """
    files = [_load(path) for path in paths]
    metrics: dict[str, dict[str, dict[str, float | None]]] = {}
    for key in files[0]:
        dev, name, kind = key.rsplit("/", 2)
        if kind == "values":
            targets = [f[f"{dev}/{name}/targets"] for f in files if f"{dev}/{name}/targets" in f]
            same = all(np.array_equal(t, targets[0], equal_nan=True) for t in targets)
            if len(targets) < len(files) or not same:
                raise CheckpointError(f"{paths[0]} and its fellows were not measured on the same samples of {dev}")
            task = next(t for t in tasks if t.name == name)
            threshold = protocol_of(dev.partition("#")[0]).threshold
            found = task_metrics(task, np.mean([f[key] for f in files], axis=0), targets[0], threshold=threshold)
            metrics.setdefault(dev, {})[name] = {k: _number(v) for k, v in found.items()}
    return metrics


def _load(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise CheckpointError(f"no {path}: train that member again")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def average_checkpoints(folders: Sequence[str | Path], out: str | Path) -> Path:
    """Write the model whose weights are the uniform mean of several of one shape (Wortsman et al. 2022, "Model soups").

    They should stem from one start: runs from different random weights have no meaningful mean. Temperatures are
    averaged in their logarithm; prediction sets are gone until `emofuse calibrate`, and so is what a modality is
    familiar with whose encoders differ. Raises CheckpointError when there are fewer than two, or they differ in shape.
    """
    paths = [locate(f) for f in folders]
    if len(paths) < 2:
        raise CheckpointError(f"an average needs two checkpoints at least, got {len(paths)}")
    configs = [read_config(p) for p in paths]
    described = [_shape(c) for c in configs]
    for path, config in zip(paths, described, strict=True):
        for part in config:
            if config[part] != described[0][part]:
                raise CheckpointError(f"{path} and {paths[0]} differ in {part}; only models of one shape have a mean")
    model = EmotionModel.from_pretrained(paths[0])
    model.config = _agreed(configs)
    states = [EmotionModel.from_pretrained(p).state_dict() for p in paths]
    model.load_state_dict({name: _mean(name, [s[name] for s in states]) for name in states[0]})
    model.conformal = {}
    same = {m: k for m, k in model.familiarity.items() if len({fingerprint(s, m) for s in states}) == 1}
    model.familiarity = nn.ModuleDict(same)
    report = {"averaged": [p.parent.name if p.name == "model" else p.name for p in paths]}
    return model.save_pretrained(out, report=report)


def _shape(config: ModelConfig) -> dict[str, Any]:
    """What models have in common whose weights can be averaged: all but what was found on data."""
    found = {"prior", "terciles"}
    return config.model_dump(exclude={"emofuse_version": True, "tasks": {"__all__": found}})


def _agreed(configs: Sequence[ModelConfig]) -> ModelConfig:
    """The first configuration, without the priors and terciles that are not those of all."""
    tasks = []
    for each in zip(*(c.tasks for c in configs), strict=True):
        unlike = {n: None for n in ("prior", "terciles") if len({getattr(t, n) for t in each}) > 1}
        tasks.append(each[0].model_copy(update=unlike))
    return configs[0].model_copy(update={"tasks": tuple(tasks)})


def _mean(name: str, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    first = tensors[0]
    if not first.is_floating_point():
        return first
    stacked = torch.stack([t.double() for t in tensors])
    mean = stacked.log().mean(0).exp() if ".temperature." in name else stacked.mean(0)
    return mean.to(first.dtype)
