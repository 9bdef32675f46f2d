"""A smaller model learns what a larger one answers (Hinton, Vinyals and Dean 2015)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from emofuse.batch import Batch
from emofuse.errors import CheckpointError, RecipeError
from emofuse.labels import Task
from emofuse.model.model import EmotionModel, Outputs
from emofuse.training.sections import Distil


class Teacher:
    """A frozen model beside the one that learns; it reads the learner's inputs and is no part of it.

    Raises RecipeError when it cannot be found, or does not read what the learner reads.
    """

    def __init__(self, options: Distil, learner: EmotionModel) -> None:
        self.options = options
        try:
            self.model = EmotionModel.from_pretrained(options.teacher).requires_grad_(False)
        except CheckpointError as error:
            raise RecipeError(f"loss.distil.teacher: {error}") from error
        for modality in learner.modalities:
            if modality not in self.model.modalities:
                raise RecipeError(f"loss.distil.teacher: {options.teacher} does not read {modality}")
            pair = [_reading(m, modality) for m in (learner, self.model)]
            if pair[0] != pair[1]:
                raise RecipeError(
                    f"loss.distil.teacher: {options.teacher} reads {modality} in another way ({pair[1]}) than the "
                    f"model that learns ({pair[0]}); start it from the teacher, for example with emofuse prune"
                )
        known = {task.name: task for task in self.model.tasks}
        self.tasks = [task for task in learner.tasks if known.get(task.name) == task]
        if not self.tasks:
            raise RecipeError(f"loss.distil.teacher: {options.teacher} and the model have no task in common")

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """The options' weight times the distance of all answers from the teacher's, labelled or not."""
        device = outputs.state.device
        if self.model.device != device:
            self.model.to(device)
        with torch.no_grad():
            theirs = self.model.eval()(batch)
        everyone = torch.ones(len(batch), dtype=torch.bool, device=device)
        terms = [self._distance(t, outputs.logits[t.name], theirs.logits[t.name], everyone) for t in self.tasks]
        for modality, logits in outputs.by_modality.items():
            there = batch.present[modality]
            terms += [
                self._distance(t, logits[t.name], theirs.by_modality[modality][t.name], there)
                / len(outputs.by_modality)
                for t in self.tasks
            ]
        return self.options.weight * torch.stack(terms).sum()

    def _distance(self, task: Task, logits: Tensor, target: Tensor, rows: Tensor) -> Float[Tensor, ""]:
        per_row = distance(task, logits.float(), target.float(), self.options.temperature)
        return (per_row * rows).sum() / rows.sum().clamp(min=1)


def distance(
    task: Task, logits: Float[Tensor, "batch width"], target: Float[Tensor, "batch width"], temperature: float
) -> Float[Tensor, " batch"]:
    """Divergence of softened answers, times the temperature squared (Hinton et al. 2015, §2); squares for scalars."""
    if task.kind == "scalar":
        return ((logits - target) / (task.high - task.low)).square().mean(-1)
    if task.kind == "categorical":
        ours, theirs = (x.div(temperature).log_softmax(-1) for x in (logits, target))
        return (theirs.exp() * (theirs - ours)).sum(-1) * temperature**2
    ours, theirs = logits / temperature, (target / temperature).sigmoid()
    kept = torch.nn.functional.binary_cross_entropy_with_logits(ours, theirs, reduction="none")
    least = torch.nn.functional.binary_cross_entropy(theirs, theirs, reduction="none")
    return (kept - least).mean(-1) * temperature**2


def _reading(model: EmotionModel, modality: str) -> dict[str, object]:
    """What of an encoder's configuration decides what it is fed."""
    values = model.encoders[modality].config.model_dump()  # type: ignore[union-attr,operator]
    architecture = values.get("architecture") or {}
    kept = ("max_length", "context_turns", "lexicon", "normalize", "trim", "image_size", "grayscale", "width")
    inputs = ("vocab_size", "feature_projection_input_dim")
    return {k: values[k] for k in kept if k in values} | {k: architecture[k] for k in inputs if k in architecture}
