"""Kinds of tasks as the model has them: what the raw outputs of a head mean, how they are pooled, what is lost on them.

A task's kind is asked once, here (`kind_of`), and for arrays in `emofuse.tasks`; everything else calls these.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from emofuse.model.losses import categorical_loss, labelled, multilabel_loss, scalar_loss
from emofuse.tasks import Task


class Kind(ABC):
    """What a kind of task decides about raw outputs: logits where it has classes, else the values themselves."""

    @abstractmethod
    def answer(self, task: Task, outputs: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows width"]:
        """Probabilities from tempered logits, or values within the task's range."""

    @abstractmethod
    def log_odds(self, tempered: Float[Tensor, "rows width"], target: int) -> Float[Tensor, " rows"]:
        """What is explained: of a class or label against what speaks against it, or the value."""

    @abstractmethod
    def loss(
        self,
        task: Task,
        outputs: Float[Tensor, "batch width"],
        targets: Float[Tensor, "batch width"],
        mask: Bool[Tensor, " batch"],
        *,
        weights: Float[Tensor, " width"] | None,
        prior: Float[Tensor, " width"] | None,
        adjustment: float,
        focal: float,
        smoothing: float,
        spread: Float[Tensor, "width width"] | None,
        soft: bool,
    ) -> Float[Tensor, ""]:
        """See `task_loss`."""

    @abstractmethod
    def mean(self, stacked: Float[Tensor, "outputs batch width"]) -> Float[Tensor, "batch width"]:
        """See `mean_outputs`."""

    @abstractmethod
    def divergence(
        self,
        task: Task,
        outputs: Float[Tensor, "batch width"],
        target: Float[Tensor, "batch width"],
        temperature: float,
    ) -> Float[Tensor, " batch"]:
        """See `distillation_loss`."""

    def tempered(self, outputs: Tensor, temperature: Tensor) -> Tensor:
        """Logits divided by a temperature; a value has none."""
        return outputs / temperature

    def opinions(self, outputs: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows width"]:
        """What the outputs of several heads are pooled by: of labels that stand beside each other, their logits."""
        return outputs

    def pooled(self, total: Float[Tensor, "batch width"], weights: Float[Tensor, "batch 1"]) -> Tensor:
        """A weighted sum of opinions as one opinion, `weights` being the sum of the weights."""
        return total


class Classes(Kind):
    """Exactly one class holds."""

    def answer(self, task: Task, outputs: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows width"]:
        return outputs.softmax(-1)

    def log_odds(self, tempered: Float[Tensor, "rows width"], target: int) -> Float[Tensor, " rows"]:
        others = torch.cat([tempered[:, :target], tempered[:, target + 1 :]], dim=1)
        return tempered[:, target] - others.logsumexp(dim=1)

    def opinions(self, outputs: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows width"]:
        """Log-probabilities."""
        return outputs.log_softmax(-1)

    def loss(self, task: Task, outputs: Tensor, targets: Tensor, mask: Tensor, **options) -> Float[Tensor, ""]:
        return categorical_loss(outputs, targets, mask, **options)

    def mean(self, stacked: Float[Tensor, "outputs batch width"]) -> Float[Tensor, "batch width"]:
        return stacked.log_softmax(-1).logsumexp(0)

    def divergence(self, task: Task, outputs: Tensor, target: Tensor, temperature: float) -> Float[Tensor, " batch"]:
        ours, theirs = (x.div(temperature).log_softmax(-1) for x in (outputs, target))
        return (theirs.exp() * (theirs - ours)).sum(-1) * temperature**2


class Labels(Kind):
    """Labels that may stand beside each other."""

    def answer(self, task: Task, outputs: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows width"]:
        return outputs.sigmoid()

    def log_odds(self, tempered: Float[Tensor, "rows width"], target: int) -> Float[Tensor, " rows"]:
        return tempered[:, target]

    def loss(self, task: Task, outputs: Tensor, targets: Tensor, mask: Tensor, **options) -> Float[Tensor, ""]:
        kept = {name: options[name] for name in ("weights", "focal", "smoothing")}
        return multilabel_loss(outputs, targets, mask, **kept)

    def mean(self, stacked: Float[Tensor, "outputs batch width"]) -> Float[Tensor, "batch width"]:
        return stacked.sigmoid().mean(0).logit(eps=1e-6)

    def divergence(self, task: Task, outputs: Tensor, target: Tensor, temperature: float) -> Float[Tensor, " batch"]:
        ours, theirs = outputs / temperature, (target / temperature).sigmoid()
        kept = F.binary_cross_entropy_with_logits(ours, theirs, reduction="none")
        least = F.binary_cross_entropy(theirs, theirs, reduction="none")
        return (kept - least).mean(-1) * temperature**2


class Value(Kind):
    """A number within a range."""

    def answer(self, task: Task, outputs: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows width"]:
        return outputs.clamp(task.low, task.high)

    def log_odds(self, tempered: Float[Tensor, "rows width"], target: int) -> Float[Tensor, " rows"]:
        return tempered[:, 0]

    def tempered(self, outputs: Tensor, temperature: Tensor) -> Tensor:
        return outputs

    def pooled(self, total: Float[Tensor, "batch width"], weights: Float[Tensor, "batch 1"]) -> Tensor:
        """The weighted mean."""
        return total / weights.clamp(min=1e-6)

    def loss(self, task: Task, outputs: Tensor, targets: Tensor, mask: Tensor, **options) -> Float[Tensor, ""]:
        return scalar_loss(outputs.squeeze(-1), targets.squeeze(-1), mask, task.high - task.low)

    def mean(self, stacked: Float[Tensor, "outputs batch width"]) -> Float[Tensor, "batch width"]:
        return stacked.mean(0)

    def divergence(self, task: Task, outputs: Tensor, target: Tensor, temperature: float) -> Float[Tensor, " batch"]:
        return ((outputs - target) / (task.high - task.low)).square().mean(-1)


_KINDS: dict[str, Kind] = {"categorical": Classes(), "multilabel": Labels(), "scalar": Value()}


def kind_of(task: Task) -> Kind:
    """What its kind decides."""
    return _KINDS[task.kind]


def task_loss(
    task: Task,
    logits: Float[Tensor, "batch width"],
    targets: Float[Tensor, "batch width"],
    mask: Bool[Tensor, " batch"] | None = None,
    *,
    weights: Float[Tensor, " width"] | None = None,
    prior: Float[Tensor, " width"] | None = None,
    adjustment: float = 0.0,
    focal: float = 0.0,
    smoothing: float = 0.0,
    spread: Float[Tensor, "width width"] | None = None,
    soft: bool = True,
) -> Float[Tensor, ""]:
    """The loss of a task, decided by its kind, over the rows of the mask (None: those with a target), in float32.

    The options are those of `categorical_loss`; other kinds leave out what they have no use for.
    """
    return kind_of(task).loss(
        task, logits.float(), targets, labelled(targets) if mask is None else mask,
        weights=weights, prior=prior, adjustment=adjustment, focal=focal, smoothing=smoothing,
        spread=spread, soft=soft,
    )  # fmt: skip


def mean_logits(task: Task, logits: Sequence[Float[Tensor, "batch width"]]) -> Float[Tensor, "batch width"]:
    """Outputs that decode to the mean of what several decode to; those of one stay as they are."""
    return logits[0] if len(logits) == 1 else kind_of(task).mean(torch.stack([x.float() for x in logits]))


def distillation_loss(
    task: Task, logits: Float[Tensor, "batch width"], target: Float[Tensor, "batch width"], temperature: float
) -> Float[Tensor, " batch"]:
    """Divergence of softened answers, times the temperature squared (Hinton et al. 2015, §2); squares for scalars."""
    return kind_of(task).divergence(task, logits, target, temperature)
