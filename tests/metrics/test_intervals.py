"""Intervals and paired tests: coverage of the truth, agreement with SciPy, defined answers at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from emofuse.metrics import MetricWarning, accuracy, bootstrap, compare_paired, mcnemar, pearson


def test_interval_of_a_mean_agrees_with_scipy() -> None:
    values = np.random.default_rng(0).exponential(size=150)
    ours = bootstrap(lambda v: float(v.mean()), values, resamples=4000)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=0).confidence_interval
    assert ours.estimate == values.mean()
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)
    assert ours.clusters == 150
    assert str(ours) == f"{ours.estimate:.3f} [{ours.low:.3f}, {ours.high:.3f}]"


def test_clusters_widen_the_interval_when_their_members_are_alike() -> None:
    rng = np.random.default_rng(1)
    speakers = np.repeat(np.arange(20), 30)
    values = rng.normal(size=20)[speakers] + 0.1 * rng.normal(size=600)
    apart = bootstrap(lambda v: float(v.mean()), values)
    whole = bootstrap(lambda v: float(v.mean()), values, clusters=speakers)
    assert whole.clusters == 20
    assert whole.high - whole.low > 3 * (apart.high - apart.low)
    assert whole.high - whole.low == pytest.approx(
        2 * 1.96 * values.reshape(20, 30).mean(axis=1).std() / 20**0.5, rel=0.15
    )


@pytest.mark.slow
def test_few_clusters_give_intervals_that_hold_the_truth() -> None:
    """Four speakers who differ: drawn whole, their intervals would hold the truth in 81 of 100 studies."""
    held = 0
    for study in range(150):
        rng = np.random.default_rng(study)
        speakers = np.repeat(np.arange(4), 60)
        right = (rng.random(240) < 0.55 + rng.normal(0, 0.04, 4)[speakers]).astype(float)
        found = bootstrap(lambda v: float(v.mean()), right, clusters=speakers, resamples=200)
        held += found.low <= 0.55 <= found.high
    assert held >= 0.9 * 150


def test_the_interval_does_not_depend_on_the_names_of_the_clusters_but_on_the_seed() -> None:
    values = np.random.default_rng(2).normal(size=60)
    numbers = np.repeat(np.arange(6), 10)
    names = np.array([f"actor {n}" for n in numbers])
    assert bootstrap(np.mean, values, clusters=numbers) == bootstrap(np.mean, values, clusters=names)
    assert bootstrap(np.mean, values, seed=1) != bootstrap(np.mean, values, seed=2)


def test_a_single_speaker_is_resampled_by_sample_and_says_so() -> None:
    values = np.arange(30.0)
    with pytest.warns(MetricWarning, match=r"single cluster \(anna\)"):
        alone = bootstrap(np.mean, values, clusters=["anna"] * 30)
    assert alone == bootstrap(np.mean, values)


def test_no_samples_give_nan_bounds_and_say_so() -> None:
    with pytest.warns(MetricWarning) as caught:
        empty = bootstrap(accuracy, np.empty(0), np.empty(0))
        pair = compare_paired(accuracy, np.empty(0), np.empty(0), np.empty(0))
    assert any("interval of no samples" in str(w.message) for w in caught)
    assert np.isnan([empty.estimate, empty.low, empty.high, pair.p_bootstrap, pair.p_permutation]).all()


def test_resamples_without_an_answer_are_counted_not_hidden() -> None:
    flat = np.array([0.0, 0.0, 0.0, 1.0])
    with pytest.warns(MetricWarning, match=r"\d+ of 500 resamples"):
        interval = bootstrap(pearson, flat, flat, resamples=500)
    assert (interval.low, interval.high) == pytest.approx((1.0, 1.0))


def test_names_must_be_as_many_as_samples() -> None:
    with pytest.raises(ValueError, match="2 cluster names for 3"):
        bootstrap(np.mean, np.arange(3.0), clusters=["a", "b"])
    with pytest.raises(ValueError, match="same samples"):
        compare_paired(accuracy, np.arange(3), np.arange(3), np.arange(2))


def models(gain: float, n: int = 400, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    a = np.where(rng.random(n) < 0.5, truth, (truth + 1) % 3)
    return truth, a, np.where(rng.random(n) < gain, truth, a)


def test_a_better_model_is_found_better() -> None:
    truth, a, b = models(gain=0.3)
    found = compare_paired(accuracy, truth, a, b, resamples=500)
    assert found.difference.low > 0
    assert found.difference.estimate == pytest.approx(found.b - found.a)
    assert found.p_bootstrap < 0.01
    assert found.p_permutation < 0.01
    assert mcnemar(a == truth, b == truth) < 0.01


def test_a_model_does_not_beat_itself() -> None:
    truth, a, _ = models(gain=0.0)
    same = compare_paired(accuracy, truth, a, a, resamples=200)
    assert (same.difference.estimate, same.p_bootstrap, same.p_permutation) == (0.0, 1.0, 1.0)
    assert mcnemar(a == truth, a == truth) == 1.0


def test_few_clusters_try_every_swap() -> None:
    # 4 speakers, b better for each: of 2^4 swaps only none and all are as extreme
    truth, speakers = np.ones(40), np.repeat(np.arange(4), 10)
    a, b = np.zeros(40), np.ones(40)
    found = compare_paired(accuracy, truth, a, b, clusters=speakers, resamples=100)
    assert found.p_permutation == pytest.approx(2 / 16)


def test_permutation_p_values_are_uniform_under_the_null() -> None:
    p_values = []
    for seed in range(60):
        truth, a, _ = models(0.0, n=60, seed=seed)
        b = np.random.default_rng(1000 + seed).permutation(a)
        b = np.where(b == truth, truth, b)
        noise = np.random.default_rng(seed).random(60) < 0.5
        a, b = np.where(noise, a, b), np.where(noise, b, a)
        p_values.append(compare_paired(accuracy, truth, a, b, resamples=99).p_permutation)
    assert 0.3 < np.mean(p_values) < 0.8
    assert np.mean(np.array(p_values) < 0.05) < 0.15


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 1), (3, 9), (50, 31), (0, 40), (700, 640), (3000, 2800)])
def test_mcnemar_agrees_with_the_binomial_test(only_a: int, only_b: int) -> None:
    right_a = np.array([True] * only_a + [False] * only_b + [True] * 5)
    right_b = np.array([False] * only_a + [True] * only_b + [True] * 5)
    theirs = stats.binomtest(only_a, only_a + only_b, 0.5).pvalue
    assert mcnemar(right_a, right_b) == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_mcnemar_of_nothing_is_nan() -> None:
    with pytest.warns(MetricWarning, match="no samples"):
        assert np.isnan(mcnemar(np.empty(0), np.empty(0)))


def test_a_p_value_is_never_below_one_in_draws_plus_one() -> None:
    """The sample itself is one of its draws (Davison & Hinkley 1997, §4.2.3): p = (extreme + 1) / (draws + 1)."""
    truth = np.ones(200)
    found = compare_paired(accuracy, truth, np.zeros(200), truth, resamples=99)
    assert found.p_bootstrap == 2 / 100
    assert found.p_permutation == 1 / 100


def test_a_bootstrap_p_counts_the_smaller_side_with_zero_on_both() -> None:
    """Of four samples one is better and three equal: the share of resamples without the better one is (3/4)^4."""
    truth, a, b = np.ones(4), np.array([0.0, 1, 1, 1]), np.ones(4)
    found = compare_paired(accuracy, truth, a, b, resamples=4000)
    assert found.p_bootstrap == pytest.approx(2 * 0.75**4, rel=0.1)
    assert (found.a, found.b, found.difference.estimate) == (0.75, 1.0, 0.25)
    assert found.p_permutation == 1.0


@pytest.mark.parametrize(("count", "inside"), [(9, True), (10, False), (11, False)])
def test_rows_are_resampled_within_clusters_below_ten_of_them(count: int, inside: bool) -> None:
    """Clusters of the rows 0 and 1: drawn whole, every mean is 1/2."""
    values, names = np.tile([0.0, 1.0], count), np.repeat(np.arange(count), 2)
    found = bootstrap(np.mean, values, clusters=names)
    assert (found.high > found.low) == inside
    assert found.clusters == count


def test_bounds_are_the_quantiles_of_the_level() -> None:
    """Of the mean of two rows 0 and 1: 0, 1/2 and 1 in a quarter, a half and a quarter of the resamples."""
    values = np.array([0.0, 1.0])
    for level, low, high in ((0.95, 0.0, 1.0), (0.6, 0.0, 1.0), (0.4, 0.5, 0.5)):
        found = bootstrap(np.mean, values, level=level)
        assert (found.low, found.high, found.level, found.estimate) == (low, high, level, 0.5)


def test_few_clusters_without_an_answer_leave_nan() -> None:
    with pytest.warns(MetricWarning, match="^100 of 100 resamples leave the metric undefined and are left out of its"):
        found = bootstrap(lambda v: float("nan"), np.arange(3.0), resamples=100)
    assert np.isnan([found.low, found.high]).all() and found.clusters == 3


@pytest.mark.parametrize(("clusters", "tried"), [(3, "every"), (4, "some")])
def test_every_swap_is_tried_where_the_draws_reach(clusters: int, tried: str) -> None:
    """Eight draws reach the 2^3 swaps of three clusters, not the 2^4 of four."""
    truth, names = np.ones(8 * clusters), np.repeat(np.arange(clusters), 8)
    found = compare_paired(accuracy, truth, np.zeros(8 * clusters), truth, clusters=names, resamples=8)
    if tried == "every":
        assert found.p_permutation == 2 / 8
    else:
        assert found.p_permutation * 9 == pytest.approx(round(found.p_permutation * 9))
        assert found.p_permutation >= 1 / 9


def test_probabilities_are_swapped_by_row() -> None:
    """Outputs of two dimensions: of four swaps of two rows, b alone is better in both, and a in none."""
    truth, a, b = np.eye(2), np.eye(2)[::-1], np.eye(2)
    found = compare_paired(lambda t, v: accuracy(t.argmax(1), v.argmax(1)), truth, a, b)
    assert found.p_permutation == 2 / 4


def test_mcnemar_by_hand() -> None:
    """One against three disagreements: 2 · (1 + 4) / 2^4."""
    right = np.array([True, False, False, False, True])
    assert mcnemar(right, ~right | np.array([False] * 4 + [True])) == pytest.approx(10 / 16)
    with pytest.raises(ValueError, match=r"^a paired test needs the same samples: came \(2,\) and \(3,\)$"):
        mcnemar(np.zeros(2), np.zeros(3))
