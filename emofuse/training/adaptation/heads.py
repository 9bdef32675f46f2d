"""Heads taught anew over frozen encoders: a convex fit that starts from the old heads and is held near them.

What is minimised, over the linear layers of each modality's own head of the tasks taught: cross-entropy to the rows'
labels; the divergence from what the old heads said of the same rows, at half the weight, so that a label outweighs
them, and of the rows that are replayed (Li and Hoiem 2016, learning without forgetting); cross-entropy to the labels of
the replayed rows; and a Gaussian prior on the change of the weights, under which a row's logits move by about SPREAD.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from emofuse.batch import Batch
from emofuse.calibration.refit import FEWEST
from emofuse.calibration.temperature import fit_temperature
from emofuse.errors import DataError
from emofuse.modalities import Modality
from emofuse.model.heads import Head
from emofuse.model.kinds import distillation_loss, task_loss
from emofuse.model.losses import labelled, masked_mean
from emofuse.model.model import EmotionModel, Outputs
from emofuse.model.predict import Table
from emofuse.tasks import Task, majority
from emofuse.training.adaptation.states import States, outputs_of

AUXILIARY = 0.5
"""Weight of what each modality says alone, as in training."""
SOFT = 2.0
"""Temperature at which the old answers to replayed rows are kept …"""
OPPOSED = 0.5
"""… and the weight of the old answers to the feedback, which may oppose its labels: a label outweighs any below 1."""
SPREAD = 3.0
"""Deviation of the change of a logit under the prior: at 1 hardly anything is learnt from 100 rows of a voice, at 10
they are learnt by heart."""
STEPS = 60


def learnt_heads(model: EmotionModel, task: Task) -> dict[Modality, Head]:
    """The modalities' own heads that have learnt a task."""
    heads = {m: cast(Head, cast(nn.ModuleDict, model.modality_heads[m].tasks)[task.name]) for m in model.modalities}
    return {m: head for m, head in heads.items() if bool(head.own("supported_subsets"))}


class HeadLessons:
    """Feedback and replayed rows as states, and the heads that learn from them; the model is changed in place."""

    def __init__(
        self,
        model: EmotionModel,
        tasks: Sequence[Task],
        rows: States,
        replay: Sequence[States],
        dev: Sequence[States] = (),
    ) -> None:
        """`dev`: rows that temperatures follow the heads on."""
        self.model, self.tasks, self.rows, self.replay, self.dev = model, tasks, rows, list(replay), list(dev)
        self.heads = {
            (m, t.name): head for t in tasks for m, head in learnt_heads(model, t).items() if m in rows.pooled
        }
        self._start = {key: [p.detach().clone() for p in self._weights(head)] for key, head in self.heads.items()}
        self._old = [self._drawn(states) for states in (rows, *self.replay)]
        if not any(bool((~np.isnan(rows.pooled[m][:, 0])).any()) for m, _ in self.heads):
            named = ", ".join(t.name for t in tasks)
            raise DataError(f"no row has a modality from which the model has learnt {named}: there is nothing to teach")

    @staticmethod
    def _weights(head: Head) -> tuple[nn.Parameter, nn.Parameter]:
        return cast(nn.Parameter, head.linear.weight), cast(nn.Parameter, head.linear.bias)

    @torch.no_grad()
    def _drawn(self, states: States) -> tuple[dict[Modality, Tensor], Batch, Outputs]:
        """States on the device, with what the old heads say of them."""
        pooled, batch = states.batch(self.model.device)
        return pooled, batch, outputs_of(self.model, pooled, batch)

    def answers(self, rows: States) -> Table:
        """Task → what the model as it is now answers, calibrated."""
        return answers(self.model, rows)

    def crossed(self, places: Int[np.ndarray, " m"], held: Int[np.ndarray, " k"]) -> Table:
        """What the heads, taught the rows at `places` alone, answer to those that are held out; they are put back."""
        try:
            self.teach(places)
            return answers(self.model, self.rows.take(held))
        finally:
            self._put_back()

    def finish(self) -> list[str]:
        """Teach the model all rows; what is to be said of its temperatures."""
        before = own_logits(self.model, self.dev)
        self.teach()
        changed = keep_temperatures(self.model, self.tasks, before, self.dev)
        return [f"{changed} temperatures follow their heads" if changed else "temperatures stay as they were"]

    @torch.no_grad()
    def _put_back(self) -> None:
        for key, head in self.heads.items():
            for parameter, old in zip(self._weights(head), self._start[key], strict=True):
                parameter.copy_(old)

    def teach(self, places: Int[np.ndarray, " m"] | None = None) -> None:
        """Fit the heads, from where they started (L-BFGS: the same every time)."""
        rows = self.rows if places is None else self.rows.take(places)
        lessons = [self._drawn(rows), *self._old[1:]]
        parameters = [p for head in self.heads.values() for p in self._weights(head)]
        self.model.requires_grad_(False)
        for parameter in parameters:
            parameter.requires_grad_(True)
        optimiser = torch.optim.LBFGS(parameters, max_iter=STEPS, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimiser.zero_grad()
            loss = self._lesson(*lessons[0], OPPOSED, 1.0)
            for lesson in lessons[1:]:
                loss = loss + self._lesson(*lesson, 1.0, SOFT) / len(self.replay)
            loss = loss + self._change(rows)
            loss.backward()
            return loss

        try:
            optimiser.step(closure)
        finally:
            self.model.requires_grad_(False)

    def _lesson(
        self, pooled: dict[Modality, Tensor], batch: Batch, old: Outputs, weight: float, temperature: float
    ) -> Tensor:
        """The loss of labelled rows, and `weight` times that of moving away from the old answers to all of them."""

        def both(task: Task, now: Tensor, old: Tensor, target: Tensor, mask: Tensor, there: Tensor) -> Tensor:
            moved = masked_mean(distillation_loss(task, now, old, temperature), there)
            return task_loss(task, now, target, mask) + weight * moved

        now = outputs_of(self.model, pooled, batch)
        everyone = torch.ones(len(batch), dtype=torch.bool, device=self.model.device)
        terms = []
        for task in self.tasks:
            target = batch.targets[task.name]
            mask = labelled(target)
            terms.append(both(task, now.logits[task.name], old.logits[task.name], target, mask, everyone))
            own = [m for m in pooled if (m, task.name) in self.heads]
            for modality in own:
                said = now.by_modality[modality][task.name], old.by_modality[modality][task.name]
                there = batch.present[modality]
                terms.append(AUXILIARY / len(own) * both(task, *said, target, mask & there, there))
        return torch.stack(terms).sum()

    def _change(self, rows: States) -> Tensor:
        """Minus the log of the prior of the weights' change, a row's share of it."""
        terms = []
        for (modality, task), head in self.heads.items():
            states = rows.pooled[modality]
            there = ~np.isnan(states[:, 0])
            energy = float(np.square(states[there]).sum(1).mean()) if there.any() else float(states.shape[1])
            weight, bias = self._weights(head)
            old_weight, old_bias = self._start[modality, task]
            terms.append(energy * (weight - old_weight).square().sum() + (bias - old_bias).square().sum())
        return torch.stack(terms).sum() / (2 * SPREAD**2 * len(rows))


@torch.no_grad()
def answers(model: EmotionModel, states: States) -> Table:
    """Task → what the model answers, calibrated; NaN where it has not learnt to."""
    pooled, batch = states.batch(model.device)
    decoded = model.decode(outputs_of(model, pooled, batch), batch)
    return {name: values.astype(np.float64) for name, values in decoded.tasks.items()}


@torch.no_grad()
def keep_temperatures(
    model: EmotionModel, tasks: Sequence[Task], before: dict[Modality, Table], dev: Sequence[States]
) -> int:
    """Multiply each own head's temperature by what the change of its weights asks for; how many were changed.

    That is the temperature that fits the new outputs on the dev rows over the one that fits the old: the compromise
    that the old one was over other data stays. A head with fewer than FEWEST labelled rows keeps its own. `before`: see
    `own_logits`.
    """
    after, changed = own_logits(model, dev), 0
    for task in tasks:
        targets = np.concatenate([s.targets[task.name] for s in dev]) if dev else np.zeros((0, task.width))
        for modality, head in learnt_heads(model, task).items():
            if modality not in after or not task.tempered:
                continue
            old, new = before[modality][task.name], after[modality][task.name]
            rows = ~np.isnan(targets).any(1) & ~np.isnan(new).any(1)
            if int(rows.sum()) < FEWEST:
                continue
            truth = majority(targets[rows]) if task.exclusive else targets[rows]
            fitted = [fit_temperature(x[rows], truth, exclusive=task.exclusive) for x in (old, new)]
            head.temperature.mul_(fitted[1] / fitted[0])
            changed += 1
    return changed


@torch.no_grad()
def own_logits(model: EmotionModel, dev: Sequence[States]) -> dict[Modality, Table]:
    """Modality → task → raw outputs of its own head over all dev rows; NaN where it is absent."""
    found: dict[Modality, dict[str, list[np.ndarray]]] = {}
    for states in dev:
        pooled, batch = states.batch(model.device)
        said = outputs_of(model, pooled, batch).by_modality
        for modality in states.pooled:
            for task in model.tasks:
                own = found.setdefault(modality, {}).setdefault(task.name, [])
                if modality in said:
                    gone = ~batch.present[modality][:, None]
                    own.append(said[modality][task.name].masked_fill(gone, torch.nan).cpu().double().numpy())
                else:
                    own.append(np.full((len(states), task.width), np.nan))
    return {m: {t: np.concatenate(v) for t, v in tables.items()} for m, tables in found.items()}
