"""Integrated gradients over the words, the voice and the face at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from emofuse.batch import Batch
from emofuse.explain.shapley import check_mode
from emofuse.modalities import Modality
from emofuse.model.kinds import kind_of
from emofuse.model.model import EmotionModel
from emofuse.model.polarity import POLARITY, derives
from emofuse.tasks import Task

EDGES = (0.0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Where the path is cut at first: most of the change happens near the baseline."""
NODES = 4
"""Quadrature points in each stretch of the path."""
MOST_STEPS = 400
"""Points along the whole path past which no stretch is cut again."""
COMPLETE = 0.02
"""Largest distance between the attributions' sum and the change they explain, relative to that change."""
STRETCH = COMPLETE / 3
"""The same of one stretch of the path; what lies above is cut in two."""
ROWS = 32
"""Points along the path that are run as one batch."""

Inputs = dict[tuple[Modality, str], Tensor]
"""(modality, name of the input) → what the gradient is taken of, [1, time, …]."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each number that the encoders read moved the answer, from a baseline that says nothing."""

    scores: dict[tuple[Modality, str], Float[np.ndarray, "time ..."]]
    """Of word-piece embeddings, lexicon features, mel frames or samples, and pixels, in the shape of the input."""
    answer: float
    """Log-odds of the class (or the value of a scalar) for the sample."""
    baseline: float
    """The same for the baseline."""
    steps: int

    @property
    def error(self) -> float:
        """Sum of all scores less (answer − baseline): 0 when complete (Sundararajan et al. 2017, axiom 1)."""
        return float(sum(s.sum() for s in self.scores.values())) - (self.answer - self.baseline)


def integrated_gradients(
    model: EmotionModel, batch: Batch, task: Task, target: int = 0, *, steps: int | None = None
) -> Attribution:
    """Integrated gradients (Sundararajan et al. 2017) of one sample, all its modalities along one straight path.

    The answer is the calibrated log-odds of class `target`, or a scalar's value. The baseline says nothing: padding in
    place of word pieces (markers like [CLS] stay), no lexicon, the mean spectrum or silence, a grey picture. What a
    stretch of the path must add up to is known from its ends, so a stretch that misses it is cut in two, until all
    are right or MOST_STEPS points are spent: captum's fixed points would miss completeness where the answer turns
    sharply. `steps` fixes the points instead, by Gauss-Legendre over the whole path, as captum does.
    Raises ValueError for a model in training mode.
    """
    check_mode(model)
    batch = batch.to(model.device)
    given = continuous_inputs(model, batch)
    path = Path(model, batch, given, baselines(model, batch), task, target)
    baseline, answer = path.answers(np.array([0.0, 1.0]))
    if steps:
        total, _ = path.stretches(np.array([[0.0, 1.0]]), steps)
        return Attribution({k: v[0].cpu().numpy() for k, v in total.items()}, answer, baseline, steps)
    scores, used = _refined(path, abs(answer - baseline))
    return Attribution({k: v.cpu().numpy() for k, v in scores.items()}, answer, baseline, used)


def continuous_inputs(model: EmotionModel, batch: Batch) -> Inputs:
    """What each present modality's encoder reads that a gradient can be taken of."""
    return {
        (modality, name): values
        for modality, arrays in batch.inputs.items()
        for name, values in model.encoder(modality).continuous_inputs(arrays).items()
    }


def baselines(model: EmotionModel, batch: Batch) -> Inputs:
    """Inputs of the same shapes that say nothing (see `integrated_gradients`)."""
    return {
        (modality, name): values
        for modality, arrays in batch.inputs.items()
        for name, values in model.encoder(modality).baseline(arrays).items()
    }


def answers(model: EmotionModel, batch: Batch, inputs: Inputs, task: Task, target: int) -> Float[Tensor, " rows"]:
    """The answer for each row of `inputs`, every other array of the one sample being repeated."""
    rows = len(next(iter(inputs.values())))
    arrays = {
        m: {k: v.expand(rows, *v.shape[1:]) if v.ndim else v for k, v in each.items()}
        for m, each in batch.inputs.items()
    }
    for (modality, key), values in inputs.items():
        arrays[modality] = arrays[modality] | {key: values}
    present = {m: v.expand(rows) for m, v in batch.present.items()}
    repeated = replace(batch, inputs=arrays, present=present, targets={})
    found = model(repeated).logits
    logits = found[task.name]
    if task.name == POLARITY and derives(model.tasks):
        return _log_odds(model.answers(found, repeated.subset_index())[POLARITY], target)
    temperature = model.heads[task.name].temperature[repeated.subset_index()][:, None]  # type: ignore[index]
    return kind_of(task).log_odds(kind_of(task).tempered(logits, temperature), target)


def _others(columns: Tensor, target: int) -> Tensor:
    return torch.cat([columns[:, :target], columns[:, target + 1 :]], dim=1)


def _log_odds(shares: Tensor, target: int) -> Float[Tensor, " rows"]:
    """Of one class against all others, from probabilities."""
    return shares[:, target].clamp(min=1e-9).log() - _others(shares, target).sum(dim=1).clamp(min=1e-9).log()


@dataclass(frozen=True, eq=False)
class Path:
    """The straight way from inputs that say nothing to those of one sample; 0 is its start, 1 its end."""

    model: EmotionModel
    batch: Batch
    given: Inputs
    empty: Inputs
    task: Task
    target: int

    @torch.no_grad()
    def answers(self, where: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """The answer at points of the way."""
        parts = [where[i : i + ROWS] for i in range(0, len(where), ROWS)]
        return np.concatenate([self._answer(self._at(part)).double().cpu().numpy() for part in parts])

    def stretches(
        self, ends: Float[np.ndarray, "stretches 2"], nodes: int = NODES
    ) -> tuple[dict[tuple[Modality, str], Tensor], Float[np.ndarray, " stretches"]]:
        """Gauss-Legendre integrals of the gradient times the way over each stretch [stretches, time, …], and sums."""
        place, weight = np.polynomial.legendre.leggauss(nodes)
        low, width = ends[:, :1], ends[:, 1:] - ends[:, :1]
        where, weights = (low + width * (place + 1) / 2).ravel(), (width * weight / 2).ravel()
        owner = np.repeat(np.arange(len(ends)), nodes)
        total = {
            k: torch.zeros(len(ends), *v.shape[1:], dtype=torch.float64, device=v.device) for k, v in self.given.items()
        }
        for start in range(0, len(where), ROWS):
            part = slice(start, start + ROWS)
            inputs = {k: v.requires_grad_() for k, v in self._at(where[part]).items()}
            with torch.enable_grad():
                gradients = torch.autograd.grad(self._answer(inputs).sum(), list(inputs.values()))
            rows = torch.as_tensor(owner[part], device=self.model.device)
            for key, gradient in zip(inputs, gradients, strict=True):
                way = (self.given[key] - self.empty[key]).double()
                share = torch.as_tensor(weights[part], device=way.device).view(-1, *[1] * (way.ndim - 1))
                total[key].index_add_(0, rows, gradient.double() * way * share)
        sums = torch.stack([v.flatten(1).sum(dim=1) for v in total.values()]).sum(dim=0)
        return total, sums.cpu().numpy()

    def _at(self, where: Float[np.ndarray, " points"]) -> Inputs:
        share = torch.as_tensor(where, dtype=torch.float32, device=self.model.device)
        return {
            k: (self.empty[k] + share.view(-1, *[1] * (v.ndim - 1)) * (v - self.empty[k])).detach()
            for k, v in self.given.items()
        }

    def _answer(self, inputs: Inputs) -> Tensor:
        return answers(self.model, self.batch, inputs, self.task, self.target)


def _refined(path: Path, change: float) -> tuple[dict[tuple[Modality, str], Tensor], int]:
    """The integral over the whole way and the points that it took."""
    most = STRETCH * change + 1e-4
    ends = np.array(list(pairwise(EDGES)))
    values = path.answers(np.array(EDGES))
    known = np.array(list(pairwise(values)))
    scores = {k: torch.zeros_like(v[0], dtype=torch.float64) for k, v in path.given.items()}
    used = 0
    while len(ends):
        parts, sums = path.stretches(ends)
        used += NODES * len(ends)
        right = np.abs(sums - (known[:, 1] - known[:, 0])) <= most
        if used >= MOST_STEPS:
            right[:] = True
        chosen = torch.as_tensor(right, device=path.model.device)
        scores = {k: scores[k] + parts[k][chosen].sum(dim=0) for k in scores}
        ends, known = ends[~right], known[~right]
        middles = ends.mean(axis=1)
        if len(ends):
            between = path.answers(middles)
            ends = np.concatenate([np.c_[ends[:, 0], middles], np.c_[middles, ends[:, 1]]])
            known = np.concatenate([np.c_[known[:, 0], between], np.c_[between, known[:, 1]]])
    return scores, used
