"""Exact Shapley values per modality, over every coalition of those present."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from math import factorial

import numpy as np
import torch
from jaxtyping import Bool, Float

from emofuse.batch import Batch
from emofuse.errors import DataError, nearest
from emofuse.modalities import Modality, Subset, ordered, subset_name, subsets_of
from emofuse.model.counterfactual import repeated
from emofuse.model.model import EmotionModel
from emofuse.tasks import Task


@dataclass(frozen=True)
class Shapley:
    """How far each present modality moves the answer; the values sum to `full` − `none`."""

    values: dict[Modality, float]
    full: float
    """The answer with everything that is there."""
    none: float
    """The answer without any modality: what the model expects without input; see `from_prior`."""
    coalitions: dict[str, float]
    """'text+face' → the answer from these alone; 'none' too."""
    not_trained: tuple[str, ...] = ()
    """Coalitions that the model never learnt to answer from; what it says of them is in no other way meant."""
    from_prior: bool = True
    """Whether `none` is the share of the class (or the mean) in the training data; else it is what the network, which
    was always shown something, happens to say of nothing."""


def shapley(model: EmotionModel, batch: Batch, task: Task, target: int = 0) -> Shapley:
    """Shapley values (1953) of the probability of class `target`, or of a scalar's value, for a batch of one sample.

    The 2^n coalitions of the n present modalities are fused as one batch, from tokens encoded once, each decoded at its
    own subset's temperature. The empty one is answered by the training data's prior where the checkpoint has it, since
    no model is ever trained on nothing. Raises DataError when nothing is present, ValueError for a model in training
    mode.
    """
    check_mode(model)
    present = list(ordered(m for m, there in batch.present.items() if bool(there[0])))
    if len(batch) != 1 or not present:
        raise DataError(f"an explanation needs one sample with a modality; came {len(batch)} with {present or 'none'}")
    sets, whole, nothing = list(subsets_of(present, fewest=0)), frozenset(present), frozenset[Modality]()
    found, supported_sets = _answers(model, batch, task, target, sets)
    answers, prior = dict(zip(sets, found.tolist(), strict=True)), model.prior(task.name)
    if prior is not None:
        answers[nothing] = prior[target if task.classes else 0]
    values = {m: _value(m, whole, answers) for m in present}
    supported = zip(sets, supported_sets.tolist(), strict=True)
    not_trained = tuple(subset_name(s) for s, known in supported if s and not known)
    names = {subset_name(s): v for s, v in answers.items()}
    return Shapley(values, answers[whole], answers[nothing], names, not_trained, prior is not None)


def check_mode(model: EmotionModel) -> None:
    """Raise ValueError in training mode, where dropout would make every answer another one."""
    if model.training:
        raise ValueError("the model is in training mode: its answers are drawn at random; call model.eval() first")


def task_of(model: EmotionModel, name: str) -> Task:
    """The model's task of that name; raises DataError naming those it has."""
    for task in model.tasks:
        if task.name == name:
            return task
    raise DataError(f"the model has no task {name!r}; {nearest(name, (t.name for t in model.tasks))}")


def class_of(task: Task, name: str) -> int:
    """The place of a class; raises DataError naming those there are."""
    if name not in task.classes:
        raise DataError(f"{task.name} has no class {name!r}; {nearest(name, task.classes)}")
    return task.classes.index(name)


@torch.no_grad()
def _answers(
    model: EmotionModel, batch: Batch, task: Task, target: int, sets: list[Subset]
) -> tuple[Float[np.ndarray, " sets"], Bool[np.ndarray, " sets"]]:
    """What the model answers from each set, and whether it has learnt to."""
    batch = batch.to(model.device)
    tokens = {m: repeated(t, len(sets)) for m, t in model.encode(batch).items()}
    there = {m: torch.tensor([m in s for s in sets], device=model.device) for m in batch.present}
    logits = {name: values.double() for name, values in model.fuse(tokens, there).logits.items()}
    subset = replace(batch, present=there).subset_index()
    supported, raw = (model.answers(logits, subset, unsupported)[task.name] for unsupported in (False, True))
    supported_sets = ~supported.isnan().any(dim=1)
    decoded = torch.where(supported_sets[:, None], supported, raw)[:, target if task.classes else 0]
    return decoded.cpu().numpy(), supported_sets.cpu().numpy()


def _value(modality: Modality, whole: Subset, answers: dict[Subset, float]) -> float:
    n, others, total = len(whole), whole - {modality}, 0.0
    for size in range(n):
        weight = factorial(size) * factorial(n - size - 1) / factorial(n)
        for chosen in combinations(sorted(others), size):
            total += weight * float(answers[frozenset((*chosen, modality))] - answers[frozenset(chosen)])
    return total
