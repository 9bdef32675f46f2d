"""Metrics of a scalar, against torchmetrics, SciPy's definition and hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from torchmetrics.functional import concordance_corrcoef, pearson_corrcoef

from emofuse.metrics import (
    MetricWarning,
    ccc,
    mae,
    pearson,
    regression_report,
    rmse,
    sentiment_scores,
    sims_scores,
)

EXACT = {"rel": 0, "abs": 1e-9}


@pytest.mark.parametrize("seed", range(5))
def test_metrics_agree_with_torchmetrics_and_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=400)
    guess = 0.7 * truth + rng.normal(size=400) + 0.3
    as_tensors = torch.from_numpy(guess), torch.from_numpy(truth)
    assert pearson(truth, guess) == pytest.approx(pearson_corrcoef(*as_tensors).item(), **EXACT)
    assert mae(truth, guess) == pytest.approx(sklearn_metrics.mean_absolute_error(truth, guess), **EXACT)
    assert rmse(truth, guess) == pytest.approx(sklearn_metrics.root_mean_squared_error(truth, guess), **EXACT)
    n = len(truth)  # torchmetrics divides by n - 1 in the moments but not in the distance of the means
    gap = (truth.mean() - guess.mean()) ** 2
    theirs = concordance_corrcoef(*as_tensors).item()
    cov = np.cov(truth, guess)
    assert theirs == pytest.approx(2 * cov[0, 1] / (cov[0, 0] + cov[1, 1] + gap), abs=1e-6)
    assert ccc(truth, guess) == pytest.approx(
        2 * cov[0, 1] * (n - 1) / n / ((cov[0, 0] + cov[1, 1]) * (n - 1) / n + gap), **EXACT
    )


def test_ccc_by_hand() -> None:
    # var(1,2,3) = var(2,3,4) = cov = 2/3; means 1 apart: 2·(2/3) / (4/3 + 1) = 4/7
    assert ccc(np.array([1.0, 2, 3]), np.array([2.0, 3, 4])) == pytest.approx(4 / 7, **EXACT)
    assert ccc(np.array([1.0, 2, 3]), np.array([1.0, 2, 3])) == pytest.approx(1.0, **EXACT)


def test_sentiment_scores_by_hand() -> None:
    truth = np.array([-3.0, -0.4, 0.0, 0.6, 2.6])
    guess = np.array([-1.6, 0.2, -0.1, 0.4, 3.4])
    scores = sentiment_scores(truth, guess)
    # has0: truth -,-,+,+,+ against -,+,-,+,+: 3 of 5; non0 leaves the third out: 3 of 4
    assert scores["acc2_has0"] == pytest.approx(0.6)
    assert scores["acc2_non0"] == pytest.approx(0.75)
    assert scores["f1_non0"] == pytest.approx((2 / 3 + 0.8) / 2)  # two negatives with F1 2/3, two positives with 4/5
    assert scores["f1_has0"] == pytest.approx((2 * 0.5 + 3 * 2 / 3) / 5)
    # acc3: -1,0,0,1,1 against -1,0,0,0,1; acc5: -2,0,0,1,2 against -2,0,0,0,2; acc7: -3,0,0,1,3 against -2,0,0,0,3
    assert (scores["acc3"], scores["acc5"], scores["acc7"]) == pytest.approx((0.8, 0.8, 0.6))


def test_sentiment_scores_do_not_see_beyond_the_scale() -> None:
    rng = np.random.default_rng(0)
    truth, guess = rng.uniform(-3, 3, 200), rng.uniform(-3, 3, 200)
    beyond = np.where(np.abs(guess) > 2.5, guess * 2, guess)
    assert sentiment_scores(truth, guess) == sentiment_scores(truth, beyond)
    assert sentiment_scores(truth, guess)["f1_has0"] == pytest.approx(
        sklearn_metrics.f1_score(truth >= 0, guess >= 0, average="weighted"), **EXACT
    )


def test_constant_predictions_are_answered_and_named() -> None:
    truth = np.array([0.0, 1.0, 2.0])
    with pytest.warns(MetricWarning, match="predictions are constant"):
        assert np.isnan(pearson(truth, np.ones(3)))
    with pytest.warns(MetricWarning, match="predictions are constant"):
        assert ccc(truth, np.ones(3)) == 0.0
    with pytest.warns(MetricWarning, match="targets and the predictions are constant"):
        assert np.isnan(ccc(np.ones(3), np.ones(3)))
    with pytest.warns(MetricWarning, match="constant"):
        assert ccc(np.ones(3), np.zeros(3)) == 0.0


@pytest.mark.parametrize("metric", [mae, rmse, pearson, ccc])
def test_nothing_to_score_is_nan_and_says_so(metric) -> None:
    with pytest.warns(MetricWarning, match="no samples"):
        assert np.isnan(metric(np.empty(0), np.empty(0)))


def test_pearson_survives_tiny_and_huge_values() -> None:
    x = np.array([1.0, 2.0, 4.0])
    assert pearson(x * 1e-200, x * 1e200) == pytest.approx(1.0, **EXACT)


def test_report_leaves_out_unlabelled_rows_and_notes_constants() -> None:
    truth = np.array([0.5, np.nan, 1.5])
    report = regression_report(np.array([1.0, 9.0, 1.0]), truth, quiet=True)
    assert (report["n"], report["unlabelled"], report["mae"], report["ccc"]) == (2, 1, 0.5, 0.0)
    assert "the predictions are all 1" in report["notes"][0]
    with pytest.warns(MetricWarning, match="nothing to score"):
        assert np.isnan(regression_report(np.empty(0), np.empty(0))["mae"])
    assert "acc7" in regression_report(np.array([1.0, 2.0]), np.array([1.0, 2.5]), accuracies=sentiment_scores)


def test_the_accuracies_of_ch_sims_are_those_of_its_published_bins() -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice(np.arange(-1, 1.01, 0.2), 400).round(1)
    guess = np.clip(truth + rng.normal(size=400) * 0.4, -1.5, 1.5)
    found = sims_scores(truth, guess)
    bins = {2: [-1.01, 0.0, 1.01], 3: [-1.01, -0.1, 0.1, 1.01], 5: [-1.01, -0.7, -0.1, 0.1, 0.7, 1.01]}
    for classes, edges in bins.items():
        sides = []
        for values in (truth, guess):
            clipped, own = np.clip(values, -1, 1), np.zeros(400, int)
            for k in range(classes):
                own[(clipped > edges[k]) & (clipped <= edges[k + 1])] = k
            sides.append(own)
        assert found[f"acc{classes}"] == pytest.approx(np.mean(sides[0] == sides[1]), abs=1e-12)
        if classes == 2:
            assert found["f1"] == pytest.approx(sklearn_metrics.f1_score(*sides, average="weighted"), abs=1e-9)


def test_a_prediction_of_exactly_zero_is_negative_where_zero_targets_are_left_out() -> None:
    """`non0` splits at > 0 (Zadeh et al.: negative and positive), `has0` at >= 0 (negative and non-negative)."""
    truth, guess = np.array([-1.0, 1.0, 1.0, -2.0]), np.array([0.0, 0.0, 2.0, -0.1])
    scores = sentiment_scores(truth, guess)
    assert (scores["acc2_non0"], scores["acc2_has0"]) == (0.75, 0.75)
    scores = sentiment_scores(truth[:1], guess[:1])
    assert (scores["acc2_non0"], scores["acc2_has0"]) == (1.0, 0.0)
    scores = sentiment_scores(truth[1:2], guess[1:2])
    assert (scores["acc2_non0"], scores["acc2_has0"]) == (0.0, 1.0)


def test_a_target_of_exactly_zero_counts_as_non_negative_or_not_at_all() -> None:
    truth, guess = np.array([0.0, 0.0, 0.0, -1.0]), np.array([0.1, 0.0, -0.1, -1.0])
    scores = sentiment_scores(truth, guess)
    assert (scores["acc2_has0"], scores["acc2_non0"]) == (0.75, 1.0)


def test_a_value_on_a_cut_of_ch_sims_belongs_below_it() -> None:
    cuts = np.array([0.0, -0.1, 0.1, -0.7, 0.7])
    above, below = np.nextafter(cuts, 1), np.nextafter(cuts, -1)
    at = sims_scores(cuts, below)
    assert (at["acc2"], at["acc3"], at["acc5"]) == (1.0, 1.0, 1.0)
    over = sims_scores(cuts, above)
    assert (over["acc2"], over["acc3"], over["acc5"]) == (0.8, 0.6, 0.2)


def test_errors_by_hand() -> None:
    truth, guess = np.array([1.0, -1.0]), np.array([0.0, 2.0])
    assert mae(truth, guess) == 2.0
    assert rmse(truth, guess) == pytest.approx(5**0.5, **EXACT)
    assert pearson(truth, guess) == -1.0


@pytest.mark.parametrize("metric", [mae, rmse, pearson, ccc, sentiment_scores, sims_scores])
def test_sides_of_two_shapes_are_refused(metric) -> None:
    with pytest.raises(ValueError, match=r"^targets \(2,\) and predictions \(3,\) must be vectors of one length$"):
        metric(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="vectors of one length"):
        metric(np.zeros((2, 1)), np.zeros((2, 1)))


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (mae, "MAE of no samples is undefined: NaN"),
        (rmse, "RMSE of no samples is undefined: NaN"),
        (pearson, "Pearson's correlation of no samples is undefined: NaN"),
        (ccc, "CCC of no samples is undefined: NaN"),
        (sentiment_scores, "the sentiment accuracies of no samples is undefined: NaN"),
        (sims_scores, "the accuracies of CH-SIMS of no samples is undefined: NaN"),
    ],
)
def test_what_is_undefined_is_called_by_its_name(metric, message: str) -> None:
    with pytest.warns(MetricWarning) as caught:
        metric(np.empty(0), np.empty(0))
    assert str(caught[0].message) == message


def test_constants_are_told_apart_by_side() -> None:
    for metric, name in ((pearson, "Pearson's correlation"), (ccc, "CCC")):
        for sides, message in (
            ((np.ones(2), np.arange(2.0)), "the targets are constant"),
            ((np.arange(2.0), np.ones(2)), "the predictions are constant"),
            ((np.ones(2), np.ones(2)), "the targets and the predictions are constant"),
        ):
            with pytest.warns(MetricWarning) as caught:
                metric(*sides)
            assert str(caught[0].message) == f"{name}: {message}"


def test_a_report_of_a_scalar_by_hand() -> None:
    report = regression_report(np.array([0.0, 2.0, 1.0]), np.array([1.0, 1.0, np.nan]), quiet=True)
    assert report["notes"] == ["the targets are all 1: correlation is undefined"]
    assert (report["kind"], report["n"], report["unlabelled"]) == ("scalar", 2, 1)
    assert (report["mae"], report["rmse"], report["ccc"]) == (1.0, 1.0, 0.0)
    assert np.isnan(report["pearson"])
    assert list(report) == ["kind", "n", "unlabelled", "mae", "rmse", "pearson", "ccc", "notes"]
