"""Distillation from one or several teachers (Hinton, Vinyals and Dean 2015)."""

from __future__ import annotations

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
        self.models = [_teacher(name, student) for name in names]
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

    def _distance(self, task: Task, logits: Tensor, target: Tensor, rows: Tensor) -> Float[Tensor, ""]:
        per_row = distillation_loss(task, logits.float(), target.float(), self.options.temperature)
        return (per_row * rows).sum() / rows.sum().clamp(min=1)


def _teacher(name: str, student: EmotionModel) -> EmotionModel:
    try:
        model = EmotionModel.from_pretrained(name).requires_grad_(False)
    except CheckpointError as error:
        raise RecipeError(f"loss.distil.teacher: {error}") from error
    for modality in student.modalities:
        if modality not in model.modalities:
            raise RecipeError(f"loss.distil.teacher: {name} does not read {modality}")
        pair = [m.encoder(modality).reading() for m in (student, model)]
        if pair[0] != pair[1]:
            raise RecipeError(
                f"loss.distil.teacher: {name} reads {modality} in another way ({pair[1]}) than the model that learns "
                f"({pair[0]}); start it from the teacher, for example with emofuse prune"
            )
    return model
