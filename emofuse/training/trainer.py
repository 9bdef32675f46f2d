"""The trainer: transformers' Trainer over batches that are dataclasses, with dev scores of our own.

Trainer serves because a run can be killed at any step: it saves optimiser, schedule and every random state, and on
resuming skips the batches already seen. It also brings accumulation, clipping, bf16 on CPU and GPU, DDP,
TensorBoard, W&B and hyperparameter search. What a batch holds depends on (seed, epoch, index) alone (see `sampler`), so
a resumed run equals an uninterrupted one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import rotate_checkpoints

from emofuse.batch import Batch
from emofuse.errors import EmofuseError
from emofuse.training.average import Average, Averaging
from emofuse.training.dataset.budget import Within, seconds_a_step
from emofuse.training.dataset.sampler import Buckets, Shares
from emofuse.training.dataset.samples import Samples
from emofuse.training.disk import DISK_ERRORS, disk_error, disk_full
from emofuse.training.errors import TrainingError, reading_state
from emofuse.training.objective.objective import Objective
from emofuse.training.recipe.read import dump_recipe
from emofuse.training.recipe.schema import Recipe
from emofuse.training.tuning.compiled import compiling
from emofuse.training.tuning.optim import build_optimizer
from emofuse.training.tuning.strategies import RankBudget, rank_tuners

COMPLETE = "complete"
"""The file that says a resumable state was written to its end."""
AVERAGE = "average.safetensors"
RANKS = "ranks.safetensors"
RECIPE = "recipe.yaml"
"""The recipe that a state was trained by, beside it."""
SHARDING = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
}
"""What `accelerate launch` sets → whose weights in shards it stands for."""


class Loader(DataLoader):
    """A DataLoader whose `set_epoch` reaches its batch sampler, and which leaves the global random state alone."""

    def __init__(self, samples: Samples, batches: Buckets, workers: int, within: Within) -> None:
        super().__init__(
            samples,
            batch_sampler=batches,
            num_workers=workers,
            collate_fn=within,
            generator=torch.Generator().manual_seed(0),
            multiprocessing_context="spawn" if workers else None,
            persistent_workers=bool(workers),
        )

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration yields."""
        if isinstance(self.batch_sampler, Buckets):
            self.batch_sampler.set_epoch(epoch)


class EmotionTrainer(Trainer):
    """Trainer over an Objective; `assess` gives the dev metrics, `eval_score` among them."""

    def __init__(
        self,
        objective: Objective,
        arguments: TrainingArguments,
        samples: Samples,
        shares: Shares,
        recipe: Recipe,
        assess: Callable[[], dict[str, float]],
        callbacks: Sequence[TrainerCallback],
    ) -> None:
        self.samples, self.shares, self.recipe, self.assess = samples, shares, recipe, assess
        self.objective, self.folder = objective, Path(str(arguments.output_dir))
        self.parts: dict[str, float] = {}
        self.counted, self.share = 0.0, 1.0
        super().__init__(
            model=objective, args=arguments, train_dataset=samples, eval_dataset=samples, callbacks=list(callbacks)
        )
        tuners = rank_tuners(objective.model)
        self.ranks = RankBudget(tuners) if tuners else None
        if self.ranks:
            self.add_callback(self.ranks)
        self.average = Average(objective, recipe.train.ema) if recipe.train.ema else None
        if self.average:
            self.add_callback(Averaging(self.average, objective))

    def get_train_dataloader(self) -> DataLoader:
        """Length buckets over the epoch's share of every source; each process has its own part."""
        batches = Buckets(
            self.shares,
            self.samples.lengths,
            self.recipe.train.batch_size,
            rank=self.args.process_index,
            world=max(1, self.args.world_size),
        )
        within = Within(self.recipe.train.budget, seconds_a_step(self.objective.model))
        return Loader(self.samples, batches, self.recipe.train.workers, within)

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[list[Batch]], None]:
        """The batches of one optimiser step; the loss is a mean by batch, so nothing is counted."""
        return [batch for _, batch in zip(range(num_batches), epoch_iterator, strict=False)], None

    def _prepare_inputs(self, inputs: Batch) -> Batch:  # type: ignore[override]
        return inputs.to(self.args.device)

    def training_step(  # type: ignore[override]
        self, model: nn.Module, inputs: list[Batch], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """The gradients of a batch, part by part where it is above the budget; processes exchange those of the last."""
        rows, losses = sum(map(len, inputs)), []
        for number, part in enumerate(inputs, start=1):
            alone = nullcontext() if number == len(inputs) else self.accelerator.no_sync(model)
            self.share = len(part) / rows
            with alone, compiling(self.recipe.train.compile):
                losses.append(super().training_step(model, part, num_items_in_batch))  # type: ignore[arg-type]
        self.share = 1.0
        return torch.stack(losses).sum()

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted."""
        return 0

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW over the groups of `optim.parameter_groups`."""
        if self.optimizer is None:
            self.optimizer = build_optimizer(self.objective.model, self.recipe.optim)
        return self.optimizer

    def compute_loss(  # type: ignore[override]
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The objective's loss, times the part's share of its batch; raises TrainingError when it is not a number."""
        parts = model(inputs)
        loss = parts["loss"]
        if not bool(torch.isfinite(loss.detach())):
            raise TrainingError(
                f"the loss is {float(loss.detach())} at step {self.state.global_step} "
                f"({', '.join(f'{k} {float(v):g}' for k, v in parts.items() if k != 'loss')}); "
                "lower optim.lr and start anew, or go on (--resume) with optim.clip set, or train.bf16=false; "
                "the last saved state stays"
            )
        self.counted += self.share
        for name, value in parts.items():
            self.parts[name] = self.parts.get(name, 0.0) + self.share * float(value.detach())
        loss = loss * self.share
        return (loss, parts) if return_outputs else loss

    def mean_parts(self) -> dict[str, float]:
        """Means of the loss and its parts since the last call."""
        means = {name: value / max(1.0, self.counted) for name, value in self.parts.items()}
        self.parts, self.counted = {}, 0.0
        return means

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:  # type: ignore[override]
        """Dev metrics, of the averaged weights where there is an average; of several processes the first finds them."""
        metrics = from_first(self._assess_average)
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _assess_average(self) -> dict[str, float]:
        if self.average:
            self.average.swap(self.objective)
        try:
            return self.assess()
        finally:
            if self.average:
                self.average.swap(self.objective)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write the state, then the mark that it is whole, and only then let older ones go."""
        kept, self.args.save_total_limit = self.args.save_total_limit, None
        folder = self.folder / f"checkpoint-{self.state.global_step}"
        try:
            if self.args.should_save:  # of a state that is written again
                (folder / COMPLETE).unlink(missing_ok=True)
            super()._save_checkpoint(model, trial)
            if self.args.should_save:
                if self.average:
                    self.average.save(folder / AVERAGE)
                if self.ranks:
                    self.ranks.save(folder / RANKS)
                (folder / RECIPE).write_text(dump_recipe(self.recipe), "utf-8")
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                (folder / COMPLETE).touch()
        except DISK_ERRORS as error:
            if not disk_full(error):
                raise
            raise disk_error(self.folder) from error
        finally:
            self.args.save_total_limit = kept
        if self.args.should_save:
            rotate_checkpoints(str(self.folder), kept, self.state.best_model_checkpoint, use_mtime=True)

    def _run_epoch(self, *given: Any, **named: Any) -> None:
        """No further epoch where a run that goes on had lost its patience (see `Patience`)."""
        if not self.control.should_training_stop:
            super()._run_epoch(*given, **named)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        with reading_state(resume_from_checkpoint):
            TrainerState.load_from_json(str(Path(resume_from_checkpoint) / TRAINER_STATE_NAME))
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with reading_state(checkpoint):
            super()._load_rng_state(checkpoint)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with reading_state(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)
            if self.average and checkpoint is not None:
                self.average.load(Path(checkpoint) / AVERAGE)
            if self.ranks and checkpoint is not None:
                self.ranks.load(Path(checkpoint) / RANKS)

    def _load_best_model(self) -> None:
        super()._load_best_model()
        best = self.state.best_model_checkpoint
        if self.average and best is not None:
            self.average.load(Path(best) / AVERAGE)
            self.average.swap(self.objective)


class EpochCallback(TrainerCallback):
    """Tells someone outside each epoch's dev score as it reads (not negated)."""

    def __init__(self, on_epoch: Callable[[int, float], None], sign: int) -> None:
        self.on_epoch, self.sign = on_epoch, sign

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any) -> None:
        """What `on_epoch` raises ends the training."""
        self.on_epoch(round(state.epoch), self.sign * metrics["eval_score"])


class Patience(EarlyStoppingCallback):
    """Ends a run after so many epochs without a better dev score; of one that goes on, those before count too."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count anew, by the scores of the state that a run goes on from."""
        super().on_train_begin(args, state, control, **kwargs)
        scores = [entry["eval_score"] for entry in state.log_history if "eval_score" in entry]
        self.early_stopping_patience_counter = len(scores) - 1 - scores.index(max(scores)) if scores else 0
        control.should_training_stop = self.early_stopping_patience_counter >= self.early_stopping_patience


class EverySteps(TrainerCallback):
    """Save a resumable state every n steps beside the one at the end of each epoch.

    The last step of an epoch has that one alone: a state without the epoch's dev score would go on as if the epoch had
    been scored, and it would never be a candidate.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Ask for a save."""
        if state.global_step % self.steps == 0 and not float(state.epoch).is_integer():
            control.should_save = True
        return control


def is_first() -> bool:
    """Whether this is the only process of the run, or the first of several (torchrun, accelerate launch)."""
    return int(os.environ.get("RANK", "0")) == 0


def refuse_shards() -> None:
    """Raise TrainingError where `accelerate launch` asks for weights in shards (FSDP, DeepSpeed, Megatron-LM).

    The dev scores, the average of weights, AdaLoRA's ranks and the checkpoint read the whole model in the first
    process. A forward pass of `fully_shard` there alone waits for the others until the group's time-out (torch 2.11
    over gloo: RuntimeError, "Timed out waiting 60000ms"), here a day; tests/training/test_sharded_weights.py.
    """
    for name, what in SHARDING.items():
        if os.environ.get(name, "").strip().lower() in {"1", "true", "yes", "y", "on"}:
            raise TrainingError(
                f"the launcher asks for {what} ({name}), which spreads a model's weights over processes; valid: "
                "torchrun or accelerate launch --multi_gpu, with the whole model in each (DDP). Where memory is short: "
                "train.checkpointing, train.budget, strategy lora, weights: 4bit; --dry-run prints what a recipe needs"
            )


def from_first(work: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What `work` gives in the first process, in all of them; an error there is an error in each."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return work()
    shared: list[Any] = [None, None]
    if is_first():
        try:
            shared[0] = work()
        except EmofuseError as error:
            shared[1] = error
    torch.distributed.broadcast_object_list(shared)
    if shared[1] is not None:
        raise shared[1]
    return shared[0]


def last_complete(folder: Path) -> Path | None:
    """The latest resumable state that was written to its end."""
    whole = [p for p in folder.glob("checkpoint-*") if (p / COMPLETE).is_file()]
    return max(whole, key=lambda p: int(p.name.rpartition("-")[2]), default=None)
