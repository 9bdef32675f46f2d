"""One training run: a recipe and a seed, into a folder of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback

from emofuse.calibration.correction import keep_correction
from emofuse.calibration.evidence import Evidence
from emofuse.calibration.levels import terciles_of
from emofuse.calibration.refit import calibrate_in_turn
from emofuse.errors import RecipeError
from emofuse.evaluation.provenance import dev_chose
from emofuse.modalities import Modality
from emofuse.model.model import EmotionModel
from emofuse.model.predict import Predictions
from emofuse.model.weights import rounded
from emofuse.training.arguments import device_of, training_arguments
from emofuse.training.assemble import Data, assemble
from emofuse.training.begun import begin, check_unfinished, end, finished
from emofuse.training.disk import DISK_ERRORS, disk_error, disk_full
from emofuse.training.objective.objective import Objective
from emofuse.training.outcome.card import build_card
from emofuse.training.outcome.ensemble import PREDICTIONS, save_predictions
from emofuse.training.outcome.familiarity import keep, known_from, sentence, settle
from emofuse.training.outcome.report import Progress, RunLog, build_report, plot_curves, stage_report
from emofuse.training.put_together import put_together
from emofuse.training.recipe.read import dump_recipe
from emofuse.training.recipe.schema import Recipe
from emofuse.training.start_pool import Start, fit_start
from emofuse.training.start_weights import StartWeights
from emofuse.training.trainer import (
    EmotionTrainer,
    EpochCallback,
    EverySteps,
    Patience,
    from_first,
    is_first,
    last_complete,
)
from emofuse.training.tuning.adapters import Adapter, adapters_of, merge, save_adapters
from emofuse.training.tuning.compiled import check_compiler, compile_parts, uncompiled
from emofuse.training.tuning.init import build, parameter_counts, starts_of
from emofuse.training.tuning.recompute import recompute
from emofuse.training.tuning.strategies import apply_strategies
from emofuse.training.validate import (
    DevSet,
    choosing,
    evidence_of_sets,
    mark_supported_subsets,
    metrics_of,
    predict_set,
    score,
    sign,
)

OnEpoch = Callable[[int, float], None]
"""Is told the epoch, from 1, and its dev score."""


def later(on_epoch: OnEpoch | None, epochs: int) -> OnEpoch | None:
    """Of several runs in a row, epochs are counted on."""
    return None if on_epoch is None else lambda epoch, score: on_epoch(epochs + epoch, score)


class Run:
    """One seed of a recipe in a folder of its own."""

    def __init__(
        self,
        recipe: Recipe,
        seed: int,
        folder: Path,
        limit: int | None,
        command: str,
        on_epoch: OnEpoch | None = None,
        whole: Recipe | None = None,
        before: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """`whole`: the recipe that this one is a stage of, which is kept with the checkpoint; `before`: what the
        reports of the stages before it say."""
        self.recipe, self.seed, self.folder, self.limit, self.command = recipe, seed, folder, limit, command
        self.on_epoch, self.whole, self.before = on_epoch, whole or recipe, before
        self.states = folder / "states"
        self.start: Start | None = None
        self.begun: StartWeights | None = None

    def go(self, resume: bool) -> Path:
        """Train, choose, calibrate, save; returns the checkpoint folder."""
        if resume and finished(self.folder, self.recipe, self.seed, self.limit):
            return self.folder / "model"
        state = last_complete(self.states) if resume else None
        if state is not None:
            check_unfinished(self.folder, state, self.recipe, self.seed, self.limit)
        if self.recipe.train.compile:
            check_compiler(device_of(self.recipe))
        if is_first():
            self._clear(resume)
            begin(self.folder, self.seed, self.limit)
        started = time.time()
        with RunLog(self.folder, resume, is_first()) as log:
            torch.manual_seed(self.seed)
            model, taken = build(self.recipe)
            self._known = known_from(model, starts_of(self.recipe))
            if not self.recipe.train.epochs:
                return self._put_together(model, taken, log, started)
            frozen = apply_strategies(model, self.recipe.strategy)
            again = recompute(model, frozen) if self.recipe.train.checkpointing else []
            data = assemble(self.recipe, self.seed, model, self.limit)
            log.say(f"{self.recipe.name}, seed {self.seed}")
            for line in (*taken, *(g.describe() for g in data.gathered), *_parameters(model)):
                log.say("  " + line)
            if again:
                log.say(f"  activations computed again in the backward pass: {', '.join(again)}")
            trainer = self._trainer(model, frozen, data, log)
            if self.recipe.model.start_pool == "fitted":
                self.start = fit_start(model, data.dev, self.recipe, lambda: self._predict(model, data.dev))
                log.say(f"  {self.start.describe(self.recipe.train.metric)}")
            if self.recipe.train.keep_start:
                self.begun = self._begun(model, data, log)
            if self.recipe.train.compile:
                log.say(f"  compiled at their first step: {', '.join(compile_parts(model))}")
            if state is not None:
                log.say(f"going on from {state.name}")
            try:
                trainer.train(resume_from_checkpoint=str(state) if state else None)
                with uncompiled(self.recipe.train.compile):
                    target = self._finish(trainer, model, data, log, started)
                trainer.accelerator.wait_for_everyone()
                return target
            except DISK_ERRORS as error:
                if not disk_full(error):
                    raise
                raise disk_error(self.folder) from error

    def _begun(self, model: EmotionModel, data: Data, log: RunLog) -> StartWeights:
        """What the run starts from, scored as an epoch is."""
        metrics, metric = from_first(partial(self._assess, model, data.dev)), self.recipe.train.metric
        log.say(f"  before the first step: dev {metric} {sign(metric) * metrics['eval_score']:.4f}, a candidate too")
        return StartWeights(model, metrics)

    def _clear(self, resume: bool) -> None:
        there = self.states.exists() or (self.folder / "model").exists()
        if there and not resume:
            if not self.recipe.output.overwrite:
                raise RecipeError(
                    f"{self.folder} holds a run already; go on with --resume, choose another output.folder, "
                    "or start anew with output.overwrite=true"
                )
            shutil.rmtree(self.states, ignore_errors=True)

    def _trainer(self, model: EmotionModel, frozen: set[Any], data: Data, log: RunLog) -> EmotionTrainer:
        groups = data.samples.group_names
        objective = Objective(model, self.recipe.loss, data.counts, frozen, self.recipe.train.bf16, groups)
        arguments = training_arguments(self.recipe, self.states, self.seed)
        progress = Progress(log, self.recipe)
        callbacks: list[TrainerCallback] = [progress, *log.writers(self.recipe)]
        if self.recipe.train.patience:
            callbacks.append(Patience(self.recipe.train.patience))
        if self.on_epoch:
            callbacks.append(EpochCallback(self.on_epoch, sign(self.recipe.train.metric)))
        if self.recipe.train.save_steps:
            callbacks.append(EverySteps(self.recipe.train.save_steps))
        trainer = EmotionTrainer(
            objective,
            arguments,
            data.samples,
            data.shares,
            self.recipe,
            partial(self._assess, model, data.dev),
            callbacks,
        )
        trainer.pop_callback(PrinterCallback)
        progress.trainer = trainer
        return trainer

    def _assess(self, model: EmotionModel, sets: Sequence[DevSet]) -> dict[str, float]:
        """Dev metrics in Trainer's flat names; `eval_score` is the recipe's metric, negated where less is more."""
        with uncompiled(self.recipe.train.compile):
            predictions = zip(sets, self._predict(model, sets), strict=True)
        found = {s.name: metrics_of(model.tasks, choosing(c), s.threshold) for s, c in predictions}
        value = score(self.recipe.train.metric, found, sets)
        if np.isnan(value):
            raise RecipeError(
                f"train.metric {self.recipe.train.metric!r} is not defined on any dev set "
                f"({', '.join(s.name for s in sets)}); choose a metric of a task that they are labelled with"
            )
        flat = {
            f"eval_{name}/{task}.{metric}": v
            for name, tasks in found.items()
            for task, values in tasks.items()
            for metric, v in values.items()
            if metric != "n"
        }
        return {"eval_score": sign(self.recipe.train.metric) * value, **flat}

    def _predict(self, model: EmotionModel, sets: Sequence[DevSet]) -> list[Predictions]:
        size = self.recipe.train.eval_batch_size
        return [predict_set(model, s, size, self.recipe.train.bf16) for s in sets]

    def _finish(self, trainer: EmotionTrainer, model: EmotionModel, data: Data, log: RunLog, started: float) -> Path:
        """Temperatures and metrics of the best weights, rounded as they are stored, and the folder that holds them."""
        target = self.folder / "model"
        if not trainer.is_world_process_zero():
            return target
        history = trainer.state.log_history
        if self.begun is not None:
            if self.begun.stay_unless_beaten(history):
                log.say("  no epoch scored more on dev than the start, which stays")
            history = self.begun.history(history)
        counts, adapters = parameter_counts(model), adapters_of(model)
        merge(model)
        keep(model, self._known)
        model.load_state_dict(rounded(model.state_dict(), self.recipe.output.dtype))
        fates = settle(model, self._known, data.gathered)
        predictions: list[Predictions] = []

        def gather() -> list[Evidence]:
            predictions[:] = self._predict(model, data.dev)
            return evidence_of_sets(model, data.dev, predictions, self.recipe.train.eval_batch_size)

        evidence = gather()
        mark_supported_subsets(model, predictions, whole=self.recipe.data.compose is None)
        keep_correction(model, gather)
        calibration = calibrate_in_turn(model, gather, evidence)
        model.config = model.config.with_priors(data.priors).with_terciles(terciles_of(predictions))
        metrics = {s.name: metrics_of(model.tasks, c, s.threshold) for s, c in zip(data.dev, predictions, strict=True)}
        report = self._report(
            data=data.gathered,
            metrics=metrics,
            calibration=calibration,
            history=history,
            seconds=time.time() - started,
            parameters=counts,
        )
        if few := [s.name for s, c in zip(data.dev, predictions, strict=True) if choosing(c) is c]:
            log.say(f"  too few dev samples to hold some out: {', '.join(few)} chose the epoch and the prediction sets")
        report["familiarity"] = {modality: asdict(fate) for modality, fate in fates.items()}
        for modality, fate in fates.items():
            log.say("  familiarity with " + sentence(modality, fate))
        report["reads"] = model.reads
        report["dev_chose"] = dev_chose(
            epochs=len(report["curves"]["epoch"]), temperatures=bool(calibration), sets=bool(model.conformal)
        )
        if self.start is not None:
            report["start"] = self.start.to_dict()
        if self.before:
            report["stages"] = [*self.before, stage_report(self.whole.stages[-1].name, report)]
        report["kept"] = kept = _kept(model, calibration)
        for subset, tasks in kept.items():
            log.say(
                f"  too few dev samples of {subset} for {', '.join(tasks)}: calibrated as the model it started from"
            )
        save_predictions(self.folder / PREDICTIONS, model, data.dev, predictions)
        self._save(model, report, target)
        plot_curves(report["curves"], target / "curves.png")
        self._save_apart(model, adapters, target / "adapters", log)
        log.say(
            f"dev {self.recipe.train.metric} {report['score']:.4f} at epoch {report['best_epoch']}; saved in {target}"
        )
        return target

    def _put_together(self, model: EmotionModel, taken: Sequence[str], log: RunLog, started: float) -> Path:
        """Calibrate what other runs trained, and save it."""
        for line in taken:
            log.say("  " + line)
        keep(model, self._known)
        outcome = put_together(model, self.recipe, self.limit, log.say)
        report = self._report(
            data=outcome.data,
            metrics=outcome.metrics,
            calibration=outcome.calibration,
            history=[{"epoch": 0, "eval_score": sign(self.recipe.train.metric) * outcome.score}],
            seconds=time.time() - started,
            parameters={part: (0, total) for part, (_, total) in parameter_counts(model).items()},
        )
        target = self.folder / "model"
        self._save(model, report, target)
        log.say(f"dev {self.recipe.train.metric} {outcome.score:.4f}; saved in {target}")
        return target

    def _report(self, **found: Any) -> dict[str, Any]:
        """The report of this run with what was found; see `build_report`."""
        return build_report(self.recipe, seed=self.seed, command=self.command, limit=self.limit, **found)

    def _save(self, model: EmotionModel, report: dict[str, Any], target: Path) -> None:
        """The checkpoint with its recipe, which names no folder of this machine, its report and its card."""
        recipe = dump_recipe(self.whole.model_copy(update={"root": None}))
        card = build_card(self.recipe, model.tasks, report)
        model.save_pretrained(target, dtype=self.recipe.output.dtype, recipe=recipe, report=report, card=card)
        end(self.folder)

    def _save_apart(self, model: EmotionModel, adapters: dict[Modality, Adapter], folder: Path, log: RunLog) -> None:
        """Adapters whose strategy says `merge: false`, and virtual tokens, which cannot be merged."""
        apart: dict[Modality, Adapter] = {
            m: a
            for m, a in adapters.items()
            if not self.recipe.strategy[m].merge or self.recipe.strategy[m].kind in ("prefix", "prompt")
        }
        shutil.rmtree(folder, ignore_errors=True)
        if apart:
            save_adapters(model, apart, folder)
            log.say(
                f"  adapters of {', '.join(apart)} alone in {folder}: emofuse.training.tuning.adapters.load_adapters"
            )


def _kept(model: EmotionModel, calibration: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Subset → tasks whose prediction sets and temperatures are still those of the model the run started from."""
    found = {
        subset: [t for t in each if t not in calibration.get(subset, {})] for subset, each in model.conformal.items()
    }
    return {subset: tasks for subset, tasks in found.items() if tasks}


def _parameters(model: EmotionModel) -> list[str]:
    counts = parameter_counts(model)
    return [f"{part}: {learns:,} of {total:,} parameters learn" for part, (learns, total) in counts.items()]
