"""Metrics of one label per sample, against scikit-learn."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from emofuse.metrics import (
    MetricWarning,
    accuracy,
    auroc,
    classification_report,
    confusion_matrix,
    macro_f1,
    per_class,
    uar,
    weighted_f1,
)

EXACT = {"rel": 0, "abs": 1e-9}


def labels(seed: int, n: int = 300, classes: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.choice(classes, n, p=rng.dirichlet(np.ones(classes) * 5))
    return truth, np.where(rng.random(n) < 0.6, truth, rng.integers(0, classes, n))


@pytest.mark.parametrize("seed", range(5))
def test_metrics_agree_with_scikit_learn(seed: int) -> None:
    truth, guess = labels(seed)
    assert accuracy(truth, guess) == pytest.approx(reference.accuracy_score(truth, guess), **EXACT)
    assert uar(truth, guess, 7) == pytest.approx(reference.balanced_accuracy_score(truth, guess), **EXACT)
    assert macro_f1(truth, guess, 7) == pytest.approx(reference.f1_score(truth, guess, average="macro"), **EXACT)
    assert weighted_f1(truth, guess, 7) == pytest.approx(reference.f1_score(truth, guess, average="weighted"), **EXACT)
    np.testing.assert_array_equal(confusion_matrix(truth, guess, 7), reference.confusion_matrix(truth, guess))


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_averages_agree_with_scikit_learn_when_classes_are_missing(pairs: list[tuple[int, int]]) -> None:
    truth, guess = (np.array(side) for side in zip(*pairs, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both sides warn of the classes that are missing
        ours = [uar(truth, guess, 5), macro_f1(truth, guess, 5), weighted_f1(truth, guess, 5)]
        theirs = [
            reference.balanced_accuracy_score(truth, guess),
            reference.f1_score(truth, guess, average="macro"),
            reference.f1_score(truth, guess, average="weighted"),
        ]
        each = per_class(confusion_matrix(truth, guess, 5))
        expected = reference.precision_recall_fscore_support(truth, guess, labels=range(5), zero_division=np.nan)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
    for mine, their in zip((each.precision, each.recall, each.f1, each.support), expected, strict=True):
        np.testing.assert_allclose(mine, their, rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_auroc_agrees_with_scikit_learn_with_and_without_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, 200)
    for scores in (rng.random(200), rng.integers(0, 4, 200) / 4):
        assert auroc(truth, scores) == pytest.approx(reference.roc_auc_score(truth, scores), **EXACT)


def test_nothing_to_score_is_nan_and_says_so() -> None:
    none = np.empty(0, dtype=int)
    for metric in (
        accuracy,
        lambda t, p: uar(t, p, 3),
        lambda t, p: macro_f1(t, p, 3),
        lambda t, p: weighted_f1(t, p, 3),
    ):
        with pytest.warns(MetricWarning, match="no samples"):
            assert np.isnan(metric(none, none))


def test_a_class_without_samples_is_left_out_of_uar_and_named() -> None:
    with pytest.warns(MetricWarning, match="class 2"):
        assert uar(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2]), 3) == 0.75


def test_macro_f1_counts_a_class_that_is_only_predicted_wrongly_as_zero() -> None:
    with pytest.warns(MetricWarning, match="class 2"):
        assert macro_f1(np.array([0, 1]), np.array([0, 2]), 4) == pytest.approx((1 + 0 + 0) / 3)


def test_one_sided_auroc_is_nan_and_says_so() -> None:
    with pytest.warns(MetricWarning, match="3 and 0"):
        assert np.isnan(auroc(np.ones(3), np.arange(3.0)))


@pytest.mark.parametrize(("truth", "guess"), [([0, 3], [0, 1]), ([0, 1], [0, -1])])
def test_an_index_outside_the_classes_is_refused(truth: list[int], guess: list[int]) -> None:
    with pytest.raises(ValueError, match="valid: 0…2"):
        confusion_matrix(np.array(truth), np.array(guess), 3)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        uar(np.zeros(3, dtype=int), np.zeros(2, dtype=int), 2)


def test_report_takes_soft_targets_and_leaves_out_unlabelled_rows() -> None:
    probs = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.2, 0.5, 0.3]])
    targets = np.array([[0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [np.nan] * 3, [0.0, 0.1, 0.9]])
    report = classification_report(probs, targets, ("a", "b", "c"))
    assert (report["n"], report["unlabelled"], report["ties"], report["notes"]) == (3, 1, 0, [])
    assert report["accuracy"] == pytest.approx(2 / 3)
    assert report["uar"] == pytest.approx((1 + 1 + 0) / 3)
    assert report["nll"] == pytest.approx(
        -(0.6 * np.log(0.7) + 0.4 * np.log(0.2) + np.log(0.8) + 0.1 * np.log(0.5) + 0.9 * np.log(0.3)) / 3
    )
    assert report["per_class"]["b"] == pytest.approx(
        {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "auroc": 1.0, "support": 1}
    )
    assert report["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]


def test_report_names_missing_classes_and_constant_predictions() -> None:
    probs = np.tile([0.8, 0.1, 0.1], (4, 1))
    targets = np.eye(3)[[0, 0, 1, 0]]
    with pytest.warns(MetricWarning, match="no sample is c.*every prediction is a"):
        report = classification_report(probs, targets, ("a", "b", "c"))
    assert report["uar"] == 0.5
    assert report["accuracy"] == 0.75
    assert np.isnan(report["per_class"]["c"]["recall"])
    assert len(report["notes"]) == 2


def test_a_quiet_report_keeps_its_notes_to_itself() -> None:
    report = classification_report(np.empty((0, 2)), np.empty((0, 2)), ("a", "b"), quiet=True)
    assert report["n"] == 0
    assert report["notes"] == ["nothing to score: every metric is undefined"]
    assert all(
        np.isnan(report[m]) for m in ("accuracy", "uar", "macro_f1", "weighted_f1", "auroc", "nll", "brier", "ece")
    )


def test_scores_of_a_confusion_by_hand() -> None:
    each = per_class(np.array([[2, 1, 0], [0, 3, 0], [0, 0, 0]]))
    np.testing.assert_allclose(each.precision, [1.0, 0.75, np.nan])
    np.testing.assert_allclose(each.recall, [2 / 3, 1.0, np.nan])
    np.testing.assert_allclose(each.f1, [0.8, 6 / 7, np.nan])
    assert each.support.tolist() == [3, 3, 0]
    np.testing.assert_array_equal(
        confusion_matrix(np.array([0, 2]), np.array([1, 2]), 3), [[0, 1, 0], [0] * 3, [0, 0, 1]]
    )


def test_what_is_undefined_is_called_by_its_name() -> None:
    none = np.empty(0, dtype=int)
    for metric, message in (
        (accuracy, "accuracy of no samples is undefined: NaN"),
        (lambda t, p: uar(t, p, 3), "UAR of no samples is undefined: NaN"),
        (lambda t, p: macro_f1(t, p, 3), "macro F1 of no samples is undefined: NaN"),
        (lambda t, p: weighted_f1(t, p, 3), "weighted F1 of no samples is undefined: NaN"),
        (auroc, "AUROC needs both positives and negatives; came 0 and 0: NaN"),
    ):
        with pytest.warns(MetricWarning) as caught:
            assert np.isnan(metric(none, none))
        assert str(caught[0].message) == message
    gap = "class 1, 2 has no samples and does not count as recalled or missed"
    for metric, name in ((uar, "UAR"), (macro_f1, "macro F1")):
        with pytest.warns(MetricWarning) as caught:
            assert metric(np.zeros(2, int), np.zeros(2, int), 3) == 1.0
        assert str(caught[0].message) == f"{name}: {gap}"


def test_what_does_not_fit_is_refused_with_what_came() -> None:
    with pytest.raises(ValueError, match=r"^targets \(3,\) and predictions \(2,\) must have one shape$"):
        accuracy(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match=r"^targets \(1, 2\) and predictions \(1, 2\) must be vectors of one length$"):
        confusion_matrix(np.zeros((1, 2), int), np.zeros((1, 2), int), 2)
    with pytest.raises(ValueError, match=r"^predictions hold 0…3; valid: 0…2$"):
        confusion_matrix(np.array([0, 1]), np.array([0, 3]), 3)
    with pytest.raises(ValueError, match=r"^targets hold -1…1; valid: 0…2$"):
        confusion_matrix(np.array([-1, 1]), np.array([0, 1]), 3)
    with pytest.raises(ValueError, match=r"^probs \(2, 3\) and targets \(2, 2\) must both be samples × 2 classes$"):
        classification_report(np.zeros((2, 3)), np.zeros((2, 2)), ("a", "b"))
