"""The voice's own heads, fitted anew over an encoder that has learnt: a convex problem, solved to its end.

    python recipes/emofuse-small/speech_heads.py ROOT --to runs/emofuse-small-voice

Heads that learn with the encoder chase features that move. Fitted afterwards (Kirichenko et al. 2023, last-layer
retraining), with every corpus's classes and speakers weighing the same and a strong penalty, they hear corpora that
they have not met better. Temperatures and scores of prediction sets are then fitted on the recipe's dev parts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from emofuse.batch import collate
from emofuse.calibration.refit import calibrate
from emofuse.data.examples import Example
from emofuse.model.model import EmotionModel
from emofuse.model.weights import rounded
from emofuse.training.assemble import assemble
from emofuse.training.dataset.sources import SourceExamples
from emofuse.training.recipe.read import dump_recipe, load_recipe
from emofuse.training.validate import evidence_of_sets, mark_supported_subsets, metrics_of, predict_set

PENALTY = 0.03
"""On the squares of the weights, of standardised features, beside the mean loss; chosen on dev among 0.003 to 0.1."""
RIDGE = 3e3
"""The same for valence and arousal, beside the sum of squared errors."""
BATCH = 32
EPSILON = 1e-4
"""Least deviation of a feature."""


@torch.no_grad()
def pooled(model: EmotionModel, examples: Sequence[Example]) -> Tensor:
    """[examples, 2 * dim]: mean and deviation of the speech tokens over time, as the head's pooling gives them."""
    head: Any = model.modality_heads["speech"]
    rows = []
    for start in range(0, len(examples), BATCH):
        segments = [example.load() for example in examples[start : start + BATCH]]
        tokens = model.encode(collate([model.prepare(s) for s in segments]))["speech"]
        rows.append(head.pool(tokens.states, tokens.mask))
    return torch.cat(rows)


def reset_pool(model: EmotionModel) -> None:
    """Attention that weighs every moment the same, and a norm without scale: what is left to learn is linear."""
    pool: Any = model.modality_heads["speech"].pool
    torch.nn.init.zeros_(pool.score[-1].weight)
    pool.norm.reset_parameters()


def fit_classes(features: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Multinomial logistic regression [classes, width], [classes], by L-BFGS."""
    linear = torch.nn.Linear(features.shape[1], targets.shape[1])
    torch.nn.init.zeros_(linear.weight)
    optimizer = torch.optim.LBFGS(linear.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        rows = -(targets * linear(features).log_softmax(-1)).sum(-1)
        loss = (rows * weights).sum() / weights.sum() + PENALTY * linear.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return linear.weight.detach(), linear.bias.detach()


def fit_scalar(features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Ridge regression [1, width], [1], through the rows' products, of which there are fewer than features."""
    mean = targets.mean()
    gram = features @ features.T + RIDGE * torch.eye(len(features))
    return (features.T @ torch.linalg.solve(gram, targets - mean)).T, mean[None]


def lay_in(model: EmotionModel, task: str, weight: Tensor, bias: Tensor, mean: Tensor, deviation: Tensor) -> None:
    """Put a fit of standardised features into the head of a task, for the features as they are."""
    linear: Any = model.modality_heads["speech"].tasks[task].linear
    with torch.no_grad():
        linear.weight.copy_(weight / deviation)
        linear.bias.copy_(bias - (weight / deviation) @ mean)


def fits(
    tasks: Sequence[Any], examples: Sequence[Example], features: Tensor, weights: Tensor
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Task, weight and bias of each task that some example is labelled with."""
    for task in tasks:
        targets = torch.from_numpy(np.stack([example.targets[task.name] for example in examples]))
        known = ~targets.isnan().any(-1)
        if bool(known.any()):
            rows = features[known]
            own = targets[known]
            yield (
                task.name,
                *(fit_scalar(rows, own) if task.kind == "scalar" else fit_classes(rows, own, weights[known])),
            )


def refit_heads(model: EmotionModel, sources: Sequence[SourceExamples]) -> None:
    """Fit every task's head on the training examples of all sources, each as often as an epoch sees it."""
    reset_pool(model)
    examples = [example for source in sources for example in source.train]
    weights = torch.from_numpy(np.concatenate([source.times() for source in sources])).float()
    features = pooled(model, examples)
    mean, deviation = features.mean(0), features.std(0) + EPSILON
    for task, weight, bias in fits(model.tasks, examples, (features - mean) / deviation, weights):
        lay_in(model, task, weight, bias, mean, deviation)


def main() -> None:
    """Read, fit, calibrate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="the folder of the corpora")
    parser.add_argument("--model", type=Path, default=Path("runs/emofuse-small-speech/model"))
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="at most so many utterances a corpus and split")
    options = parser.parse_args()
    recipe = load_recipe(options.model / "recipe.yaml", [f"root={options.root}"])
    model = EmotionModel.from_pretrained(options.model)
    data = assemble(recipe, recipe.seed, model, options.limit)
    refit_heads(model, data.gathered)
    model.load_state_dict(rounded(model.state_dict(), recipe.output.dtype))
    found = [predict_set(model, dev, BATCH) for dev in data.dev]
    calibrate(model, evidence_of_sets(model, data.dev, found, BATCH))
    mark_supported_subsets(model, found, whole=True)
    for dev, predictions in zip(data.dev, found, strict=True):
        sys.stdout.write(f"{dev.name}: {json.dumps(metrics_of(model.tasks, predictions))}\n")
    model.save_pretrained(
        options.to, dtype=recipe.output.dtype, recipe=dump_recipe(recipe.model_copy(update={"root": None}))
    )


if __name__ == "__main__":
    main()
