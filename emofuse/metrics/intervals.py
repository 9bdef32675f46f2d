"""How far a number would move with other speakers: intervals and paired tests that resample whole clusters.

Utterances of one speaker (or video) are alike, so resampling them one by one makes intervals too narrow. `clusters`
names the cluster of each row; None makes every row its own. Fewer than FEW clusters leave too little to draw from, and
intervals of them alone come out too narrow: rows are then resampled within each drawn cluster too (Davison & Hinkley
1997, §3.8, strategy 2), which makes up for most of it. With a single cluster nothing can be said of others: rows
are resampled instead, and a `MetricWarning` says that the interval speaks of this one only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from emofuse.metrics.undefined import counted_elsewhere, warn

if TYPE_CHECKING:
    from scipy import sparse

FEW = 10
"""Clusters below which their rows are resampled too."""
_AT_ONCE = 100
"""Resamples of many sums that are held as weights at a time."""
Statistic = Callable[..., float]
"""Takes the arrays it was given with, their rows resampled, and returns one number."""


@dataclass(frozen=True)
class Interval:
    """An estimate with the percentile bounds of its bootstrap distribution."""

    estimate: float
    low: float
    high: float
    level: float
    clusters: int
    """How many clusters were resampled (rows, when there were none to speak of)."""

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Comparison:
    """The difference b − a of one metric between two models on the same samples, and how surprising it is."""

    a: float
    b: float
    difference: Interval
    p_bootstrap: float
    p_permutation: float


def bootstrap(
    statistic: Statistic,
    *arrays: np.ndarray,
    clusters: Sequence[str] | np.ndarray | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The percentile interval of `statistic(*arrays)` over resampled clusters (Davison & Hinkley 1997, §3.8).

    Empty arrays give NaN bounds. Resamples on which the statistic is undefined are left out, and counted in a warning.
    """
    arrays = tuple(np.asarray(a) for a in arrays)
    estimate = statistic(*arrays)
    if not len(arrays[0]):
        warn("an interval of no samples is undefined: NaN")
        return Interval(estimate, float("nan"), float("nan"), level, 0)
    groups = _groups(clusters, len(arrays[0]))
    with counted_elsewhere():
        values = np.array([statistic(*(a[rows] for a in arrays)) for rows in _resampled(groups, resamples, seed)])
    return _interval(estimate, values, level, len(groups))


def resampled_sums(
    rows: np.ndarray | sparse.csr_array, *, resamples: int = 1000, seed: int = 0
) -> Float[np.ndarray, "resamples columns"]:
    """The sums of many columns [rows, columns] over as many rows, drawn with replacement, as there are.

    One row is what is drawn as a whole: a clip, a document, a speaker. Means and shares are ratios of two columns.
    """
    rng, count = np.random.default_rng(seed), rows.shape[0]  # type: ignore[index]
    share = np.full(count, 1 / count)
    drawn = (rng.multinomial(count, share, min(_AT_ONCE, resamples - i)) for i in range(0, resamples, _AT_ONCE))
    return np.concatenate([np.asarray(weights @ rows) for weights in drawn])


def compare_paired(
    statistic: Statistic,
    targets: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    *,
    clusters: Sequence[str] | np.ndarray | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Is model b better than a: `statistic(targets, b) − statistic(targets, a)` with an interval and two p-values.

    The bootstrap p is twice the smaller share of resampled differences on one side of 0. The permutation p swaps the
    two models within whole clusters (Fisher-Pitman; all 2^k swaps when there are no more than `resamples`, else that
    many drawn), and is the better one when clusters are few. Both are two-sided and never below 1 / (draws + 1) unless
    every swap was tried.
    """
    targets, a, b = np.asarray(targets), np.asarray(a), np.asarray(b)
    if not len(targets) == len(a) == len(b):
        raise ValueError(f"a paired test needs the same samples: {len(targets)} targets, {len(a)} and {len(b)} outputs")
    score_a, score_b = statistic(targets, a), statistic(targets, b)
    nothing = Interval(score_b - score_a, float("nan"), float("nan"), level, 0)
    if not len(targets):
        warn("a comparison on no samples is undefined: NaN")
        return Comparison(score_a, score_b, nothing, float("nan"), float("nan"))
    groups = _groups(clusters, len(targets))
    with counted_elsewhere():
        drawn = np.array(
            [
                statistic(targets[rows], b[rows]) - statistic(targets[rows], a[rows])
                for rows in _resampled(groups, resamples, seed)
            ]
        )
    interval = _interval(score_b - score_a, drawn, level, len(groups))
    drawn = drawn[~np.isnan(drawn)]
    tail = min(np.sum(drawn <= 0), np.sum(drawn >= 0))
    p_bootstrap = min(1.0, 2 * (tail + 1) / (len(drawn) + 1))
    p_permutation = _permutation(statistic, targets, a, b, groups, resamples, seed)
    return Comparison(score_a, score_b, interval, float(p_bootstrap), p_permutation)


def mcnemar(right_a: Bool[np.ndarray, " n"], right_b: Bool[np.ndarray, " n"]) -> float:
    """The exact two-sided p that two classifiers err equally often (McNemar 1947): binomial on where they disagree.

    It takes samples as independent; prefer `compare_paired` where they come in clusters. 1 when they never disagree.
    """
    from scipy import stats

    right_a, right_b = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    if right_a.shape != right_b.shape:
        raise ValueError(f"a paired test needs the same samples: came {right_a.shape} and {right_b.shape}")
    if not len(right_a):
        warn("McNemar's test of no samples is undefined: NaN")
        return float("nan")
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def _permutation(
    statistic: Statistic,
    targets: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    groups: list[np.ndarray],
    draws: int,
    seed: int,
) -> float:
    observed = abs(statistic(targets, b) - statistic(targets, a))
    owner = np.empty(len(targets), dtype=np.int64)
    for index, rows in enumerate(groups):
        owner[rows] = index
    exact = len(groups) < 63 and 2 ** len(groups) <= draws
    if np.isnan(observed):
        return float("nan")
    count = extreme = 0
    with counted_elsewhere():
        for swaps in _all_swaps(len(groups)) if exact else _random_swaps(len(groups), draws, seed):
            swap = swaps[owner].reshape(-1, *[1] * (a.ndim - 1))
            shifted = abs(statistic(targets, np.where(swap, a, b)) - statistic(targets, np.where(swap, b, a)))
            if not np.isnan(shifted):
                count += 1
                extreme += bool(shifted >= observed - 1e-12)
    if exact:
        return extreme / count if count else float("nan")
    return (extreme + 1) / (count + 1)


def _all_swaps(groups: int) -> Iterator[Bool[np.ndarray, " groups"]]:
    for code in range(2**groups):
        yield (code >> np.arange(groups)) & 1 == 1


def _random_swaps(groups: int, draws: int, seed: int) -> Iterator[Bool[np.ndarray, " groups"]]:
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield rng.integers(0, 2, groups) == 1


def _groups(clusters: Sequence[str] | np.ndarray | None, rows: int) -> list[Int[np.ndarray, " rows"]]:
    """The rows of each cluster; of each row alone when there is one cluster or none."""
    if clusters is not None:
        if len(clusters) != rows:
            raise ValueError(f"{len(clusters)} cluster names for {rows} samples")
        names, inverse = np.unique(np.asarray(clusters), return_inverse=True)
        if len(names) > 1:
            order = np.argsort(inverse, kind="stable")
            return np.split(order, np.cumsum(np.bincount(inverse))[:-1])
        only = f"a single cluster ({names[0]}): its samples are resampled, and the interval speaks of no other"
        warn(only)
    return [np.array([row]) for row in range(rows)]


def _resampled(groups: list[np.ndarray], resamples: int, seed: int) -> Iterator[Int[np.ndarray, " rows"]]:
    rng = np.random.default_rng(seed)
    singles = all(len(g) == 1 for g in groups)
    flat = np.concatenate(groups)
    for _ in range(resamples):
        picked = rng.integers(0, len(groups), len(groups))
        if singles:
            yield flat[picked]
        elif len(groups) >= FEW:
            yield np.concatenate([groups[i] for i in picked])
        else:
            yield np.concatenate([rng.choice(groups[i], len(groups[i])) for i in picked])


def _interval(estimate: float, values: np.ndarray, level: float, clusters: int) -> Interval:
    undefined = int(np.isnan(values).sum())
    if undefined:
        left_out = f"{undefined} of {len(values)} resamples leave the metric undefined and are left out of its interval"
        warn(left_out)
    kept = values[~np.isnan(values)]
    if not len(kept):
        return Interval(estimate, float("nan"), float("nan"), level, clusters)
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), level, clusters)
