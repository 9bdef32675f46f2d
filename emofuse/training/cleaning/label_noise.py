"""Label noise by confident learning (Northcutt et al. 2021) from out-of-fold probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import nn

DECAY = 1e-2
"""L2 weight of the probe, by the mean loss."""
STEPS = 60
"""Of L-BFGS, at most."""


@dataclass(frozen=True, eq=False)
class Noise:
    """Rows whose label the others speak against, the least believed first."""

    rows: Int[np.ndarray, " suspects"]
    suggested: Int[np.ndarray, " suspects"]
    """The class that is believed instead."""
    joint: Int[np.ndarray, "classes classes"]
    """Rows that are confidently of a class, by the given label (rows) and that class (columns): the paper's eq. 1."""


def confident_learning(p: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"]) -> Noise:
    """Rows that are confidently of another class than their label.

    A row is confidently of a class whose probability reaches the mean probability of that class among the rows that
    bear its label; of several such classes it is of the likeliest (§3.1). What lies off the diagonal of the joint is
    suspected, in the order of the probability of the given label.
    """
    count = p.shape[1]
    means = np.array([p[labels == j, j].mean() if (labels == j).any() else np.inf for j in range(count)])
    confident = p >= means - 1e-9
    best = np.where(confident, p, -1.0).argmax(1)
    counted = confident.any(1)
    joint = np.zeros((count, count), np.int64)
    np.add.at(joint, (labels[counted], best[counted]), 1)
    rows = np.flatnonzero(counted & (best != labels))
    rows = rows[np.argsort(p[rows, labels[rows]], kind="stable")]
    return Noise(rows, best[rows], joint)


def out_of_fold(
    features: Float[np.ndarray, "n width"],
    labels: Int[np.ndarray, " n"],
    classes: int,
    clusters: Int[np.ndarray, " n"],
    *,
    folds: int = 5,
    seed: int = 0,
) -> Float[np.ndarray, "n classes"]:
    """Probabilities of each row by a probe that was fitted without any row of its cluster (speaker or dialogue)."""
    names = np.unique(clusters)
    fold = np.random.default_rng(seed).permutation(len(names)) % min(folds, len(names))
    own = fold[np.searchsorted(names, clusters)]
    p = np.zeros((len(labels), classes))
    for number in range(int(fold.max()) + 1):
        held = own == number
        p[held] = probe(features[~held], labels[~held], features[held], classes)
    return p


def probe(
    features: Float[np.ndarray, "n width"],
    labels: Int[np.ndarray, " n"],
    others: Float[np.ndarray, "m width"],
    classes: int,
) -> Float[np.ndarray, "m classes"]:
    """Probabilities of `others` by multinomial logistic regression on standardised features, from zero weights."""
    mean, deviation = features.mean(0), features.std(0) + 1e-6
    x, new = (torch.from_numpy((a - mean) / deviation).float() for a in (features, others))
    y, layer = torch.from_numpy(labels), nn.Linear(x.shape[1], classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(layer(x), y) + DECAY / 2 * layer.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        return layer(new).double().softmax(-1).numpy()


def flipped(labels: Int[np.ndarray, " n"], classes: int, share: float, seed: int = 0) -> Int[np.ndarray, " n"]:
    """The labels with a share of them changed to another class that occurs, all such classes equally likely."""
    rng = np.random.default_rng([seed, 3])
    there = np.unique(labels)
    changed = labels.copy()
    for row in rng.permutation(len(labels))[: round(share * len(labels))]:
        changed[row] = rng.choice(there[there != labels[row]])
    return changed
