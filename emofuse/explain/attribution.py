"""What in the words, the voice and the face said it: integrated gradients over every input at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from emofuse.batch import Batch
from emofuse.explain.shapley import check_mode
from emofuse.labels import Task
from emofuse.model.model import EmotionModel
from emofuse.types import Modality

FIRST_STEPS, MOST_STEPS = 16, 256
"""Quadrature points tried first, and at most; they double until the attribution is complete."""
COMPLETE = 0.02
"""Largest distance between the attributions' sum and the change they explain, relative to that change."""
CROWDING = 4
ROWS = 32
"""Points along the path that are run as one batch."""
GREY = 127.5
CONTINUOUS: dict[Modality, str] = {"text": "inputs_embeds", "speech": "values", "face": "pixels"}

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
    place of word pieces (markers like [CLS] stay), no lexicon, the mean spectrum or silence, a grey picture. The path
    is integrated by `quadrature`, its points doubled from FIRST_STEPS until the error is below COMPLETE of
    the change, or MOST_STEPS are reached; `steps` fixes their number. Raises ValueError for a model in training mode.
    """
    check_mode(model)
    batch = batch.to(model.device)
    given = continuous_inputs(model, batch)
    empty = baselines(model, batch, given)
    with torch.no_grad():
        answer, baseline = (float(answers(model, batch, x, task, target)[0]) for x in (given, empty))
    points = steps or FIRST_STEPS
    while True:
        found = Attribution(_integrate(model, batch, given, empty, task, target, points), answer, baseline, points)
        if steps or points >= MOST_STEPS or abs(found.error) <= COMPLETE * abs(answer - baseline) + 1e-4:
            return found
        points *= 2


def continuous_inputs(model: EmotionModel, batch: Batch) -> Inputs:
    """The first continuous thing each present modality's encoder reads, and the lexicon's features."""
    found: Inputs = {}
    for modality, arrays in batch.inputs.items():
        key = CONTINUOUS[modality] if "features" not in arrays else "features"
        if key == "inputs_embeds":
            found[modality, key] = model.encoders["text"].embed(arrays["input_ids"]).detach()  # type: ignore[operator]
            if "lexicon" in arrays:
                found[modality, "lexicon"] = arrays["lexicon"]
        else:
            found[modality, key] = arrays[key].float()
    return found


def baselines(model: EmotionModel, batch: Batch, given: Inputs) -> Inputs:
    """Inputs of the same shapes that say nothing (see `integrated_gradients`)."""
    empty: Inputs = {}
    for (modality, key), values in given.items():
        if key == "inputs_embeds":
            ids = batch.inputs["text"]["input_ids"]
            tokenizer = model.encoders["text"].processor.tokenizer  # type: ignore[union-attr]
            marker = torch.isin(ids, torch.tensor(tokenizer.all_special_ids, device=ids.device))
            padding = torch.where(marker, ids, torch.full_like(ids, int(cast(int, tokenizer.pad_token_id) or 0)))
            empty[modality, key] = model.encoders["text"].embed(padding).detach()  # type: ignore[operator]
        else:
            empty[modality, key] = torch.full_like(values, GREY if key == "pixels" else 0.0)
    return empty


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
    logits = model(repeated).logits[task.name]
    if task.kind == "scalar":
        return logits[:, 0]
    scaled = logits / model.heads[task.name].temperature[repeated.subset_index()][:, None]  # type: ignore[index]
    if task.kind == "multilabel":
        return scaled[:, target]
    others = [k for k in range(task.width) if k != target]
    return scaled[:, target] - scaled[:, others].logsumexp(dim=1)


def quadrature(steps: int) -> tuple[Float[np.ndarray, " steps"], Float[np.ndarray, " steps"]]:
    """Nodes and weights for an integral from 0 to 1: Gauss-Legendre in the CROWDING-th root of the way.

    Most of the change happens right by the baseline, where layer normalisation blows a near-constant input up to full
    size; the nodes crowd there.
    """
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    root, weights = (nodes + 1) / 2, weights / 2
    return root**CROWDING, weights * CROWDING * root ** (CROWDING - 1)


def _integrate(
    model: EmotionModel, batch: Batch, given: Inputs, empty: Inputs, task: Task, target: int, steps: int
) -> dict[tuple[Modality, str], np.ndarray]:
    nodes, weights = quadrature(steps)
    total = {key: torch.zeros_like(values[0], dtype=torch.float64) for key, values in given.items()}
    for start in range(0, steps, ROWS):
        part = slice(start, start + ROWS)
        where = torch.as_tensor(nodes[part], dtype=torch.float32, device=model.device)
        weight = torch.as_tensor(weights[part], dtype=torch.float64, device=model.device)
        path = {k: _between(empty[k], given[k], where).requires_grad_() for k in given}
        with torch.enable_grad():
            answer = answers(model, batch, path, task, target).sum()
            gradients = torch.autograd.grad(answer, list(path.values()))
        for key, gradient in zip(path, gradients, strict=True):
            total[key] += torch.tensordot(weight, gradient.double(), dims=1)
    return {k: (t * (given[k] - empty[k])[0].double()).cpu().numpy() for k, t in total.items()}


def _between(start: Tensor, end: Tensor, where: Float[Tensor, " rows"]) -> Tensor:
    return (start + where.view(-1, *[1] * (start.ndim - 1)) * (end - start)).detach()
