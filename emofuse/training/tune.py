"""Hyperparameter search with Optuna: each trial a whole run of a recipe, scored on dev data."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from emofuse.errors import EmofuseError, RecipeError, require_package
from emofuse.files import check_output_folder, write_file
from emofuse.training.recipe.read import dump_recipe, parse_recipe
from emofuse.training.recipe.schema import Recipe
from emofuse.training.validate import sign

STARTUP = 4
"""Trials that run to their end before any is stopped early."""


class Range(BaseModel):
    """Where one field of a recipe is searched: between two numbers, or among choices."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float | None = None
    high: float | None = None
    log: bool = False
    """Even in the logarithm, for rates."""
    integer: bool = False
    step: float | None = None
    choices: tuple[Any, ...] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Range:
        if (self.choices is None) == (self.low is None or self.high is None):
            raise ValueError("give low and high, or choices")
        if self.choices is not None and not self.choices:
            raise ValueError("choices is empty")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        if self.log and (self.step or (self.low is not None and self.low <= 0)):
            raise ValueError("log needs low above 0, and no step")
        return self

    def draw(self, trial: Any, name: str) -> Any:
        """A value from an Optuna trial; what is no number or text is drawn by its place among the choices."""
        if self.choices is not None:
            plain = all(isinstance(c, (bool, int, float, str)) or c is None for c in self.choices)
            if plain:
                return trial.suggest_categorical(name, list(self.choices))
            return self.choices[trial.suggest_categorical(name, list(range(len(self.choices))))]
        assert self.low is not None
        assert self.high is not None
        if self.integer:
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)


@dataclass(frozen=True)
class Tuned:
    """What a search found."""

    recipe: Recipe
    """The recipe with the best values laid in."""
    values: dict[str, Any]
    score: float
    trials: int
    failed: int
    pruned: int
    """Trials that were stopped early, being worse than most at the same epoch."""
    folder: Path


def load_space(path: str | Path) -> dict[str, Range]:
    """A search space from YAML: `optim.lr: {low: 1e-5, high: 1e-3, log: true}`; raises RecipeError."""
    import yaml

    path = Path(path)
    if not path.is_file():
        raise RecipeError(f"no search space at {path}; give a YAML file with field: {{low, high}} or {{choices}}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not YAML: {error}") from error
    return parse_space(values, str(path))


def parse_space(values: Any, source: str = "space") -> dict[str, Range]:
    """Check plain values as a search space; raises RecipeError."""
    if not isinstance(values, Mapping) or not values:
        raise RecipeError(f"{source}: a search space is a mapping of recipe fields, such as optim.lr, to ranges")
    found: dict[str, Range] = {}
    for name, given in values.items():
        try:
            found[name] = given if isinstance(given, Range) else Range.model_validate(given)
        except ValidationError as error:
            raise RecipeError(f"{source}: {name}: {error.errors()[0]['msg']}; got {given!r}") from error
    return found


def tune(
    recipe: Recipe,
    trials: int,
    space: Mapping[str, Any],
    *,
    limit: int | None = None,
    command: str = "",
    prune: bool = True,
    run: Callable[..., Path] | None = None,
) -> Tuned:
    """Search `space` for the best dev score in `trials` runs, by Optuna's TPE sampler seeded with the recipe's seed
    and the number of trials that are there.

    With `prune`, a trial whose dev score after an epoch is below the median of the earlier trials' best until then is
    stopped (the median rule of Golovin et al. 2017, §3.2.1), from the second epoch and the fifth trial on.

    Runs are `trial-N` in the recipe's folder, beside study.db, from which an interrupted search goes on, trials.json
    and best.yaml, a recipe to train. A trial that cannot run (a recipe that does not fit, a loss that is no number)
    counts as failed. `run` stands in for `fit`. Raises RecipeError, OutputError, MissingExtraError without Optuna.
    """
    require_package("optuna", extra="tune")
    import optuna  # pyright: ignore[reportMissingImports]

    ranges = parse_space(space)
    for name in ranges:
        with_values(recipe, {name: _get(recipe.model_dump(mode="json"), name)})
    folder = recipe.folder
    check_output_folder(folder, [recipe.root])
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=recipe.name,
        direction="maximize" if sign(recipe.train.metric) > 0 else "minimize",
        pruner=optuna.pruners.MedianPruner(STARTUP, n_warmup_steps=2) if prune else optuna.pruners.NopPruner(),
        storage=f"sqlite:///{(folder / 'study.db').resolve()}",
        load_if_exists=True,
    )
    _check_begun(study, recipe, ranges)
    # a seed of its own: what goes on draws on, in place of the same values again
    study.sampler = optuna.samplers.TPESampler(seed=(recipe.seed + len(study.trials)) % (1 << 32))

    def objective(trial: Any) -> float:
        values = {name: place.draw(trial, name) for name, place in ranges.items()}
        trial.set_user_attr("values", values)
        place = folder / f"trial-{trial.number}"

        def on_epoch(epoch: int, score: float) -> None:
            trial.report(score, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned(f"worse than most after epoch {epoch}")

        try:
            return _trial(recipe, values, place, limit, command, on_epoch, run)
        except optuna.TrialPruned:
            shutil.rmtree(place, ignore_errors=True)
            raise

    done = sum(t.state.is_finished() for t in study.trials)
    study.optimize(objective, n_trials=max(0, trials - done), catch=(EmofuseError,))
    return _found(recipe, study, folder)


def _check_begun(study: Any, recipe: Recipe, ranges: Mapping[str, Range]) -> None:
    """Keep what is searched with a new study; raise RecipeError where an earlier one searched something else."""
    now = {"metric": recipe.train.metric, "space": {name: r.model_dump(mode="json") for name, r in ranges.items()}}
    for name, value in now.items():
        begun = study.user_attrs.get(name, value)  # older versions kept none
        if begun != value:
            raise RecipeError(
                f"{recipe.folder} holds a search by {name} {_brief(begun)}, now {_brief(value)}, and scores of one say "
                f"nothing of the other; go on with the {name} that it was begun with, or choose another output.folder"
            )
        study.set_user_attr(name, value)


def _brief(value: Any) -> str:
    """A metric, or the ranges of a space without what they leave out."""
    if isinstance(value, str):
        return repr(value)
    return repr({name: {k: v for k, v in r.items() if v not in (None, False)} for name, r in value.items()})


def _trial(
    recipe: Recipe,
    values: Mapping[str, Any],
    folder: Path,
    limit: int | None,
    command: str,
    on_epoch: Callable[[int, float], None],
    run: Callable[..., Path] | None,
) -> float:
    if run is None:
        from emofuse.training.run import fit as run
    own = with_values(recipe, {**values, "output.folder": str(folder), "output.overwrite": True})
    checkpoint = run(own, limit=limit, command=command, on_epoch=on_epoch)
    summary = folder / "summary.json"
    if summary.is_file():
        runs = json.loads(summary.read_text("utf-8"))["runs"]
        return math.fsum(runs.values()) / len(runs)
    return float(json.loads((checkpoint / "report.json").read_text("utf-8"))["score"])


def _found(recipe: Recipe, study: Any, folder: Path) -> Tuned:
    by_state = Counter(t.state.name for t in study.trials)
    finished = [t for t in study.trials if t.state.name == "COMPLETE"]
    if not finished:
        raise RecipeError(f"no trial of {len(study.trials)} could be run; train the recipe once to see why")
    listed = [
        {
            "trial": t.number, "state": t.state.name.lower(), "score": t.value, "values": t.user_attrs.get("values"),
            "scores": {str(epoch): score for epoch, score in sorted(t.intermediate_values.items())},
        }
        for t in study.trials
    ]  # fmt: skip
    write_file(folder / "trials.json", json.dumps(listed, indent=2) + "\n")
    values = study.best_trial.user_attrs["values"]
    best = with_values(recipe, values)
    write_file(folder / "best.yaml", dump_recipe(best))
    return Tuned(best, values, float(study.best_value), len(study.trials), by_state["FAIL"], by_state["PRUNED"], folder)


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with fields replaced by their dotted names; raises RecipeError as `load_recipe` does."""
    plain = deepcopy(recipe.model_dump(mode="json"))
    for name, value in values.items():
        *path, last = name.split(".")
        place: Any = plain
        for part in path:
            place = _step(place, part, name)
            if place is None:
                raise RecipeError(f"{name}: the recipe has no {part} to lay a value into")
        if isinstance(place, list):
            _step(place, last, name)
            place[int(last)] = value
        elif isinstance(place, dict):
            place[last] = value
        else:
            raise RecipeError(f"{name}: {place!r} has no parts")
    return parse_recipe(plain)


def _get(plain: Any, name: str) -> Any:
    for part in name.split("."):
        plain = _step(plain, part, name)
    return plain


def _step(place: Any, part: str, name: str) -> Any:
    if isinstance(place, list):
        if not part.isdecimal() or int(part) >= len(place):
            raise RecipeError(f"{name}: {part!r} is no index into a list of {len(place)} (from 0)")
        return place[int(part)]
    if not isinstance(place, dict):
        raise RecipeError(f"{name}: {place!r} has no parts")
    return place.get(part)
