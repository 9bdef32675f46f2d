"""Composition: opinions of modalities put together by class, with errors as correlated as one person's are.

Corpora of one modality hold no person in words, voice and face at once. Drawn at random, their samples err
independently, and a pool fitted on them believes in that. Here the parts of a composed sample are drawn at correlated
ranks of how clearly they show their class; those that miss it often miss it alike, for a class drawn at the rate at
which the modalities confuse the two; and now and then one part shows something else altogether.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from emofuse.modalities import Modality

CORRELATION = 0.5
"""Rank correlation of how clearly two modalities of one person show its emotion: not known, so rather too much."""
CONFLICT = 0.2
"""Share of samples in which one part is of a random class."""
BALANCE = 0.5
"""Classes as the data have them at 0, all alike at 1."""


@dataclass(frozen=True, eq=False)
class Opinions:
    """Log-probabilities that one modality gives the classes of labelled samples, and how much each sample counts."""

    values: Float[np.ndarray, "n classes"]
    labels: Int[np.ndarray, " n"]
    weights: Float[np.ndarray, " n"]

    @cached_property
    def shares(self) -> Float[np.ndarray, " classes"]:
        """Of each class."""
        found = np.bincount(self.labels, self.weights, self.values.shape[1])
        return found / found.sum()

    @cached_property
    def confusion(self) -> Float[np.ndarray, "classes classes"]:
        """Mean probability of each other class, by true class; rows sum to 1, even where a class has no samples."""
        number = self.values.shape[1]
        table = np.ones((number, number))
        for label in np.unique(self.labels):
            own = self.labels == label
            table[label] = np.average(np.exp(self.values[own]), axis=0, weights=self.weights[own])
        np.fill_diagonal(table, 0)
        return table / table.sum(1, keepdims=True)

    def pick(self, label: int, rank: float, near_miss: int | None = None) -> Float[np.ndarray, " classes"]:
        """The sample of a class at this rank of clarity, 0 to 1; where it is mistaken, for `near_miss` if any is."""
        order, reached, margins, likest = self._by_clarity(label)
        place = min(int(np.searchsorted(reached, rank)), len(order) - 1)
        if near_miss is not None and margins[place] < 0:
            alike = np.flatnonzero((likest == near_miss) & (margins < 0))
            place = int(alike[np.abs(alike - place).argmin()]) if len(alike) else place
        return self.values[order[place]]

    def _by_clarity(self, label: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Places of a class's samples by their margin over the likest other class, the share up to each, both."""
        if label not in self._ranks:
            own = np.flatnonzero(self.labels == label)
            others = np.where(np.arange(self.values.shape[1]) == label, -np.inf, self.values[own])
            margins = self.values[own, label] - others.max(1)
            order = np.argsort(margins, kind="stable")
            reached = np.cumsum(self.weights[own[order]])
            self._ranks[label] = own[order], reached / reached[-1], margins[order], others.argmax(1)[order]
        return self._ranks[label]

    @cached_property
    def _ranks(self) -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        return {}


def compose(
    opinions: Mapping[Modality, Opinions],
    size: int,
    *,
    correlation: float = CORRELATION,
    conflict: float = CONFLICT,
    seed: int = 0,
) -> tuple[Float[np.ndarray, "n m classes"], Int[np.ndarray, " n"]]:
    """Parts in the order of `opinions`, and labels; there are none where the modalities share no class."""
    rng, columns = np.random.default_rng(seed), list(opinions.values())
    shares = np.mean([c.shares for c in columns], axis=0) ** (1 - BALANCE)
    shares = np.where(np.all([c.shares > 0 for c in columns], axis=0), shares, 0)
    if not shares.any():
        return np.empty((0, len(columns), len(shares))), np.empty(0, np.int64)
    odds = shares / shares.sum()
    confusion = np.mean([c.confusion for c in columns], axis=0)
    labels = rng.choice(len(odds), size, p=odds)
    ranks = correlated_ranks(rng, size, len(columns), correlation)
    stray = np.where(rng.random(size) < conflict, rng.integers(len(columns), size=size), -1)
    others = rng.choice(len(odds), size, p=odds)
    parts = np.empty((size, len(columns), len(odds)))
    for i, label in enumerate(labels):
        near_miss = int(rng.choice(len(odds), p=confusion[label])) if rng.random() < correlation else None
        for j, column in enumerate(columns):
            shown = (int(others[i]), None) if stray[i] == j else (int(label), near_miss)
            parts[i, j] = column.pick(shown[0], ranks[i, j], shown[1])
    return parts, labels.astype(np.int64)


def correlated_ranks(
    rng: np.random.Generator, size: int, number: int, correlation: float
) -> Float[np.ndarray, "size number"]:
    """Uniform in (0, 1), each pair of columns at this rank correlation (a Gaussian copula)."""
    latent = 2 * np.sin(np.pi * correlation / 6)
    common = rng.standard_normal((size, 1)) * np.sqrt(latent)
    own = rng.standard_normal((size, number)) * np.sqrt(1 - latent)
    return special.ndtr(common + own)


def opinions_of(
    values: Sequence[Float[np.ndarray, "_ classes"]], targets: Sequence[Float[np.ndarray, "_ classes"]]
) -> Opinions:
    """From log-probabilities and targets by source; every source counts the same, votes as their leading class."""
    weights = [np.full(len(v), 1 / (len(v) * len(values))) for v in values]
    return Opinions(np.concatenate(values), np.concatenate(targets).argmax(1), np.concatenate(weights))
