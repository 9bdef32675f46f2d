"""The objective: a model with its losses as one module, so that DDP and mixed precision wrap both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emofuse.batch import Batch
from emofuse.modalities import Modality
from emofuse.model.kinds import task_loss
from emofuse.model.losses import class_weights, contrastive_loss, labelled, rdrop_loss
from emofuse.model.model import EmotionModel, Outputs
from emofuse.model.wheel import spread
from emofuse.tasks import Task
from emofuse.training.dataset.cache import encode
from emofuse.training.objective.adversarial import Neighbourhood, adversarial_loss
from emofuse.training.objective.distil import Teacher
from emofuse.training.objective.groups import GroupShares
from emofuse.training.recipe.schema import Loss
from emofuse.training.tuning.strategies import ORTHOGONALITY, orthogonality, singular_vectors
from emofuse.types import Tokens


def encode_mixed(model: EmotionModel, batch: Batch, bf16: bool) -> dict[Modality, Tokens]:
    """Tokens of each modality; with `bf16` the encoders run in mixed precision, which are nearly all of the work."""
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        return encode(model, batch)


def attend_eagerly(model: EmotionModel) -> None:
    """Let transformers' backbones compute attention step by step, which in bfloat16 on a CPU learns quicker than sdpa.

    Measured with 12 layers of 384, batches of 32 and one thread: 15 against 28 ms an example of 24 word pieces.
    """
    for encoder in model.encoders.values():
        choose = getattr(encoder.backbone, "set_attn_implementation", None)
        if choose is not None:
            choose("eager")


def run(model: EmotionModel, batch: Batch, bf16: bool) -> Outputs:
    """The model's outputs; fusion and heads run in float32 all the same: logits in bfloat16 have three digits."""
    return model.fuse(encode_mixed(model, batch, bf16), batch.present)


class Objective(nn.Module):
    """Batch → loss: every task over the fused logits and, at `auxiliary` weight, over each modality's own."""

    def __init__(
        self,
        model: EmotionModel,
        options: Loss,
        counts: Mapping[str, np.ndarray],
        frozen: Iterable[Modality] = (),
        bf16: bool = False,
        groups: Sequence[str] = (),
    ) -> None:
        """`counts`: expected samples a class in one epoch, by task; `frozen` encoders stay in evaluation mode; `groups`
        are the names of those that `options.groups` counts."""
        super().__init__()
        self.bf16 = bf16
        if bf16 and model.device.type == "cpu":
            attend_eagerly(model)
        self.model = model
        self.options = options
        self.frozen = frozenset(frozen)
        self.vectors = singular_vectors(model)
        self.groups = GroupShares(groups, options.groups) if options.groups else None
        self.teacher = Teacher(options.distil, model) if options.distil else None  # no module: not trained, not saved
        for task in model.tasks:
            if not task.classes:
                continue
            seen = np.asarray(counts[task.name], np.float64)
            weights = class_weights(options.class_weights, seen)
            self._buffer("weights", task, weights)
            near = spread(task.classes) if options.smoothing_to == "wheel" else None
            self._buffer("spread", task, near)
            self._buffer("prior", task, (seen / seen.sum()).astype(np.float32) if seen.sum() else None)

    def _buffer(self, kind: str, task: Task, values: np.ndarray | None) -> None:
        tensor = None if values is None else torch.from_numpy(values)
        self.register_buffer(f"{kind}_{task.name}", tensor, persistent=False)

    def train(self, mode: bool = True) -> Objective:
        """Training mode, but for frozen encoders: no dropout and no batch statistics where nothing learns."""
        super().train(mode)
        for modality in self.frozen:
            self.model.encoders[modality].eval()
        return self

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """`loss` and its parts, scalars."""
        if self.options.adversarial == "none":
            parts = self._clean(batch)
        else:
            with Neighbourhood(self.model, self.options.epsilon) as near:
                parts = self._clean(batch)
                parts["adversarial"] = self._worst(near, _sum(parts), batch)
        if self.vectors:
            parts["orthogonality"] = ORTHOGONALITY * orthogonality(self.vectors)
        return {"loss": _sum(parts), **{k: v.detach() for k, v in parts.items()}}

    def _clean(self, batch: Batch) -> dict[str, Tensor]:
        outputs = run(self.model, batch, self.bf16)
        if self.groups and self.training:
            self.groups.follow(self._by_group(outputs, batch))
        parts = self._parts(outputs, batch)
        if self.options.rdrop:
            second = run(self.model, batch, self.bf16)
            for name, value in self._parts(second, batch).items():
                parts[name] = (parts[name] + value) / 2
            parts["rdrop"] = self.options.rdrop * self._rdrop(outputs, second, batch)
        return parts

    def _worst(self, near: Neighbourhood, clean: Tensor, batch: Batch) -> Tensor:
        kind: Any = self.options.adversarial
        steps = self.options.adversarial_steps

        def again() -> Tensor:
            return _sum(self._parts(run(self.model, batch, self.bf16), batch))

        return adversarial_loss(near, clean, again, kind, steps)

    def _parts(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        parts: dict[str, Tensor] = {}
        auxiliary = self.options.auxiliary / max(1, len(outputs.by_modality))
        for task in self.model.tasks:
            weight = self.options.weights.get(task.name, 1.0)
            target = batch.targets[task.name]
            mask = labelled(target)
            parts[task.name] = weight * self._shared(task, outputs.logits[task.name], target, mask, batch)
            for modality, logits in outputs.by_modality.items():
                there = mask & batch.present[modality]
                loss = self._shared(task, logits[task.name], target, there, batch)
                parts[f"{modality}_{task.name}"] = weight * auxiliary * loss
        parts |= outputs.losses
        if self.teacher:
            parts["distil"] = self.teacher.loss(outputs, batch)
        if self.options.contrastive:
            parts["contrastive"] = self.options.contrastive * self._contrast(outputs, batch)
        return parts

    def _by_group(self, outputs: Outputs, batch: Batch) -> dict[int, Tensor]:
        """The fused loss of each group that has a labelled row in the batch."""
        assert self.groups is not None and batch.group is not None
        losses: dict[int, Tensor] = {}
        for number, rows in self.groups.rows(batch.group):
            for task in self.model.tasks:
                target = batch.targets[task.name]
                mask = labelled(target) & rows
                if bool(mask.any()):
                    loss = self.task_loss(task, outputs.logits[task.name].detach(), target, mask)
                    losses[number] = losses.get(number, 0) + self.options.weights.get(task.name, 1.0) * loss
        return losses

    def _shared(self, task: Task, logits: Tensor, target: Tensor, mask: Tensor, batch: Batch) -> Tensor:
        """The loss over the rows of the mask, or of each group among them, by their shares."""
        if self.groups is None:
            return self.task_loss(task, logits, target, mask)
        assert batch.group is not None
        there = [(g, mask & rows) for g, rows in self.groups.rows(batch.group) if bool((mask & rows).any())]
        if not there:
            return self.task_loss(task, logits, target, mask)
        losses = torch.stack([self.task_loss(task, logits, target, rows) for _, rows in there])
        return (self.groups.of([g for g, _ in there]) * losses).sum()

    def task_loss(self, task: Task, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """The loss of one task under the recipe's options, in float32."""
        options = self.options
        return task_loss(
            task, logits, target, mask,
            weights=getattr(self, f"weights_{task.name}", None), prior=getattr(self, f"prior_{task.name}", None),
            adjustment=options.logit_adjustment, focal=options.focal, smoothing=options.label_smoothing,
            spread=getattr(self, f"spread_{task.name}", None), soft=options.soft,
        )  # fmt: skip

    def _rdrop(self, first: Outputs, second: Outputs, batch: Batch) -> Tensor:
        terms = [
            rdrop_loss(first.logits[t.name].float(), second.logits[t.name].float(), labelled(batch.targets[t.name]))
            for t in self.model.tasks
            if t.exclusive
        ]
        return torch.stack(terms).sum() if terms else first.state.sum() * 0

    def _contrast(self, outputs: Outputs, batch: Batch) -> Tensor:
        """On the first task with classes: its query's state is the fused state."""
        task = next((t for t in self.model.tasks if t.exclusive), None)
        if task is None:
            return outputs.state.sum() * 0
        target = batch.targets[task.name]
        classes = target.nan_to_num().argmax(-1)
        return contrastive_loss(outputs.state.float(), classes, labelled(target), self.options.temperature)


def _sum(parts: Mapping[str, Tensor]) -> Tensor:
    return torch.stack(list(parts.values())).sum()
