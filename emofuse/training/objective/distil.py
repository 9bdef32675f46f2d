"""Distillation from one or several teachers (Hinton, Vinyals and Dean 2015)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from emofuse.batch import Batch
from emofuse.errors import CheckpointError, RecipeError
from emofuse.model.kinds import distillation_loss, mean_logits
from emofuse.model.model import EmotionModel, Outputs
from emofuse.tasks import Task
from emofuse.training.recipe.schema import Distil


class Teacher:
    """Frozen models beside the one that learns; they read the student's inputs and are no part of it.

    Several teach the mean of their probabilities. Raises RecipeError when one cannot be found, or does not read what
    the student reads.
    """

    def __init__(self, options: Distil, student: EmotionModel) -> None:
        self.options = options
        names = [options.teacher] if isinstance(options.teacher, str) else options.teacher
        self.models = [_teacher(name, student, options.to is None) for name in names]
        known = [{task.name: task for task in model.tasks} for model in self.models]
        self.tasks = [task for task in student.tasks if all(k.get(task.name) == task for k in known)]
        if not self.tasks:
            raise RecipeError(f"loss.distil.teacher: {' and '.join(names)} and the model have no task in common")

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """The options' weight times the distance of all answers from the teachers', labelled or not."""
        device = outputs.state.device
        with torch.no_grad():
            theirs = [model.to(device).eval()(batch.knowing(model.modalities)) for model in self.models]
        everyone = torch.ones(len(batch), dtype=torch.bool, device=device)
        if self.options.to is not None:
            return self.options.weight * self._to_parts(outputs, theirs, batch)
        terms = [
            self._distance(t, outputs.logits[t.name], mean_logits(t, [o.logits[t.name] for o in theirs]), everyone)
            for t in self.tasks
        ]
        for modality, logits in outputs.by_modality.items():
            there = batch.present[modality]
            for task in self.tasks:
                answer = mean_logits(task, [o.by_modality[modality][task.name] for o in theirs])
                terms.append(self._distance(task, logits[task.name], answer, there) / len(outputs.by_modality))
        return self.options.weight * torch.stack(terms).sum()

    def _to_parts(self, outputs: Outputs, theirs: Sequence[Outputs], batch: Batch) -> Float[Tensor, ""]:
        """Of each chosen modality's own answer from the teachers' fused one, on the rows that have what both read."""
        read = [torch.stack([batch.present[m] for m in model.modalities]).any(0) for model in self.models]
        known = torch.stack(read).all(0)
        terms = [outputs.state.sum() * 0]
        for modality in (m for m in self.options.to or () if m in outputs.by_modality):
            rows = known & batch.present[modality]
            for task in self.tasks:
                answer = mean_logits(task, [o.logits[task.name] for o in theirs])
                terms.append(self._distance(task, outputs.by_modality[modality][task.name], answer, rows))
        return torch.stack(terms).sum()

    def _distance(self, task: Task, logits: Tensor, target: Tensor, rows: Tensor) -> Float[Tensor, ""]:
        if self.options.kind == "dist" and task.exclusive:
            return correlation_loss(logits[rows].float(), target[rows].float(), self.options.temperature)
        per_row = distillation_loss(task, logits.float(), target.float(), self.options.temperature)
        return (per_row * rows).sum() / rows.sum().clamp(min=1)


def correlation_loss(
    logits: Float[Tensor, "rows classes"], target: Float[Tensor, "rows classes"], temperature: float
) -> Float[Tensor, ""]:
    """1 - the mean Pearson correlation of softened answers, over the classes of a row and over the rows of a class.

    Times the temperature squared (Huang et al. 2022, DIST, eq. 6-9; TelME has it at 4). 0 of fewer than two rows.
    """
    if len(logits) < 2:
        return logits.sum() * 0
    ours, theirs = ((x / temperature).softmax(-1) for x in (logits, target))
    between, within = 1 - _pearson(ours, theirs).mean(), 1 - _pearson(ours.T, theirs.T).mean()
    return temperature**2 * (between + within)


def _pearson(a: Float[Tensor, "n k"], b: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    a, b = (x - x.mean(1, keepdim=True) for x in (a, b))
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-8)


def _teacher(name: str, student: EmotionModel, whole: bool) -> EmotionModel:
    try:
        model = EmotionModel.from_pretrained(name).requires_grad_(False)
    except CheckpointError as error:
        raise RecipeError(f"loss.distil.teacher: {error}") from error
    for modality in student.modalities if whole else model.modalities:
        if modality not in (model.modalities if whole else student.modalities):
            who = name if whole else "the model that learns"
            raise RecipeError(f"loss.distil.teacher: {who} does not read {modality}")
        pair = [m.encoder(modality).reading() for m in (student, model)]
        if pair[0] != pair[1]:
            raise RecipeError(
                f"loss.distil.teacher: {name} reads {modality} in another way ({pair[1]}) than the model that learns "
                f"({pair[0]}); start it from the teacher, for example with emofuse prune"
            )
    return model
