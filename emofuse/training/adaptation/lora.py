"""Low-rank adapters taught in the encoders, with the model as it was for a teacher; merged when they have learnt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import nn

from emofuse.batch import Batch, collate
from emofuse.data.examples import Example
from emofuse.errors import DataError
from emofuse.evaluation.predict import GIVEN, predict_examples
from emofuse.modalities import Modality
from emofuse.model.model import EmotionModel
from emofuse.model.predict import Table
from emofuse.tasks import Task
from emofuse.training.adaptation.heads import AUXILIARY, OPPOSED, learnt_heads
from emofuse.training.objective.objective import Objective
from emofuse.training.recipe.schema import Distil, Loss, Optim, Strategy
from emofuse.training.tuning.adapters import merge
from emofuse.training.tuning.optim import build_optimizer
from emofuse.training.tuning.strategies import apply_strategies

EPOCHS, BATCH = 6, 16
RATE = 5e-4
"""Of adapters and heads alike."""


class LoraLessons:
    """Feedback and replayed rows as examples, and a model of its own for each time that is taught."""

    def __init__(self, folder: Path, tasks: Sequence[Task], rows: Sequence[Example], device: str) -> None:
        self.folder, self.tasks, self.rows, self.device = folder, tasks, list(rows), device
        self.replay: list[Example] = []
        self.model = EmotionModel.from_pretrained(folder, device=device)
        self.modalities = _learning(self.model, tasks, rows)

    def answers(self, rows: Sequence[Example]) -> Table:
        """Task → what the model as it is now answers, calibrated."""
        return _answers(self.model, rows)

    def crossed(self, places: Int[np.ndarray, " m"], held: Int[np.ndarray, " k"]) -> Table:
        """What a model that learnt from the rows at `places` answers to those that are held out."""
        model = EmotionModel.from_pretrained(self.folder, device=self.device)
        self._teach(model, [self.rows[i] for i in places])
        return _answers(model, [self.rows[i] for i in held])

    def finish(self) -> list[str]:
        """Teach the model all rows; what it was familiar with is gone, since its states have moved."""
        self._teach(self.model, self.rows)
        known, self.model.familiarity = self.model.familiarity, nn.ModuleDict()
        said = ["temperatures stay as they were"]
        return [*said, "what the model was familiar with is left out: its states have moved"] if known else said

    def _teach(self, model: EmotionModel, rows: Sequence[Example]) -> None:
        torch.manual_seed(0)
        kind = {m: "lora" if m in self.modalities else "frozen" for m in model.modalities}
        frozen = apply_strategies(model, {m: Strategy(kind=k) for m, k in kind.items()})  # type: ignore[arg-type]
        _only_adapters(model, self.tasks)
        loss = Loss(
            auxiliary=AUXILIARY,
            weights={t.name: float(t in self.tasks) for t in model.tasks},
            distil=Distil(teacher=str(self.folder), weight=OPPOSED, temperature=1.0),
        )
        everything = [*rows, *self.replay]
        objective = Objective(model, loss, _counts(model, everything), frozen).train()
        optimiser = build_optimizer(model, Optim(lr=RATE))
        for _ in range(EPOCHS):
            for batch in _batches(model, everything):
                optimiser.zero_grad()
                objective(batch)["loss"].backward()
                optimiser.step()
        merge(model)
        model.requires_grad_(False).eval()


def _learning(model: EmotionModel, tasks: Sequence[Task], rows: Sequence[Example]) -> frozenset[Modality]:
    """The modalities whose encoders learn: those of the rows. Raises DataError where one has not learnt a task."""
    there = frozenset(m for m in model.modalities if any(m in e.modalities for e in rows))
    for task in tasks:
        if lacking := there - set(learnt_heads(model, task)):
            raise DataError(
                f"the model has not learnt {task.name} from {', '.join(sorted(lacking))}, which the rows have, so its "
                "encoder has nothing to learn it by; take --how heads, which leaves that out"
            )
    return there


def _only_adapters(model: EmotionModel, tasks: Sequence[Task]) -> None:
    heads = {id(p) for t in tasks for head in learnt_heads(model, t).values() for p in head.linear.parameters()}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(id(parameter) in heads or ".lora_" in name)


def _counts(model: EmotionModel, examples: Sequence[Example]) -> dict[str, np.ndarray]:
    return {t.name: np.sum([np.nan_to_num(e.targets[t.name]) for e in examples], axis=0) for t in model.tasks}


def _batches(model: EmotionModel, examples: Sequence[Example]) -> Iterator[Batch]:
    """In an order that is drawn anew each time."""
    order = torch.randperm(len(examples)).tolist()
    for start in range(0, len(order), BATCH):
        yield collate([examples[i].prepare(model) for i in order[start : start + BATCH]]).to(model.device)


def _answers(model: EmotionModel, rows: Sequence[Example]) -> Table:
    return predict_examples(model, rows, subsets=()).values[GIVEN]
