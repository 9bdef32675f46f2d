"""Metrics of several labels a sample, against scikit-learn and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from emofuse.metrics import (
    MetricWarning,
    multilabel_auroc,
    multilabel_f1,
    multilabel_f1_per_class,
    multilabel_report,
    task_report,
    tune_thresholds,
)
from emofuse.tasks import Task

EXACT = {"rel": 0, "abs": 1e-9}


@pytest.mark.parametrize("seed", range(4))
def test_f1_and_auroc_agree_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = (rng.random((200, 6)) < 0.2).astype(float)
    probs = np.clip(0.4 * truth + rng.random((200, 6)) * 0.6, 0, 1)
    cuts = rng.uniform(0.3, 0.6, 6)
    for average in ("macro", "micro"):
        theirs = reference.f1_score(truth, probs >= cuts, average=average)
        assert multilabel_f1(truth, probs, cuts, average=average) == pytest.approx(theirs, **EXACT)
    assert multilabel_auroc(truth, probs) == pytest.approx(
        reference.roc_auc_score(truth, probs, average="macro"), **EXACT
    )


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=1, max_size=25).filter(
        lambda r: any(t for t, _ in r)
    )
)
def test_tuned_threshold_is_as_good_as_any(rows: list[tuple[bool, int]]) -> None:
    truth = np.array([[t] for t, _ in rows], dtype=float)
    probs = np.array([[s / 10] for _, s in rows])
    tuned = multilabel_f1(truth, probs, tune_thresholds(truth, probs))
    guesses = probs >= np.linspace(0, 1, 41)
    every = 2 * (truth * guesses).sum(axis=0) / (truth.sum() + guesses.sum(axis=0))
    assert tuned == pytest.approx(max(every), **EXACT)


def test_equally_good_thresholds_settle_nearest_one_half() -> None:
    truth, probs = np.array([[1.0], [0.0]]), np.array([[0.9], [0.3]])
    assert tune_thresholds(truth, probs)[0] == pytest.approx(0.6)


def test_a_class_nobody_has_keeps_one_half_and_is_named() -> None:
    truth = np.array([[1.0, 0.0], [0.0, 0.0]])
    with pytest.warns(MetricWarning, match="class 1"):
        assert tune_thresholds(truth, np.array([[0.9, 0.9], [0.1, 0.8]]))[1] == 0.5


def test_no_label_at_all_is_nan_and_says_so() -> None:
    nobody = np.zeros((3, 2))
    with pytest.warns(MetricWarning, match="undefined"):
        assert np.isnan(multilabel_f1(nobody, nobody))
    with pytest.warns(MetricWarning, match="class 0, 1"):
        assert np.isnan(multilabel_auroc(nobody, nobody))
    with pytest.warns(MetricWarning, match="class 0, 1"):
        assert np.isnan(multilabel_auroc(np.empty((0, 2)), np.empty((0, 2))))


def test_report_by_task_kind() -> None:
    truth = np.array([[1.0, 0.0], [0.6, 1.0], [np.nan, np.nan], [0.0, 1.0]])
    probs = np.array([[0.8, 0.1], [0.7, 0.2], [0.5, 0.5], [0.1, 0.9]])
    report = task_report(Task("mood", "multilabel", ("up", "down")), probs, truth)
    assert report == multilabel_report(probs, truth, ("up", "down"))
    assert (report["n"], report["unlabelled"], report["kind"]) == (3, 1, "multilabel")
    assert report["micro_f1"] == pytest.approx(2 * 3 / 7)
    assert report["per_class"]["down"] == pytest.approx({"f1": 2 / 3, "support": 2})
    with pytest.warns(MetricWarning, match="gone: no sample has it"):
        multilabel_report(np.full((2, 2), 0.9), np.array([[1.0, 0.0]] * 2), ("here", "gone"))
    scalar = task_report(Task("sentiment", "scalar", low=-3, high=3), probs[:2, :1], truth[:2, :1])
    assert scalar["kind"] == "scalar"
    assert "acc7" in scalar
    assert task_report(Task("mood", "categorical", ("up", "down")), probs, truth)["kind"] == "categorical"


def test_a_label_that_half_of_the_annotators_gave_is_there() -> None:
    """A share of exactly one half counts, and so does a score exactly at its threshold."""
    half, below = np.array([[0.5, 1.0]]), np.array([[np.nextafter(0.5, 0), 1.0]])
    certain = np.array([[0.5, 0.9]])
    assert multilabel_f1(half, certain) == 1.0
    assert multilabel_f1(below, certain) == 0.5
    assert multilabel_f1(half, certain, np.array([np.nextafter(0.5, 1), 0.5])) == 0.5
    assert multilabel_f1(below, certain, average="micro") == pytest.approx(2 / 3)
    assert multilabel_report(certain, half, ("a", "b"))["per_class"]["a"] == {"f1": 1.0, "support": 1}


def test_each_class_has_its_own_f1_and_none_where_it_never_is() -> None:
    truth, probs = np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]]), np.array([[0.9, 0.1, 0.1], [0.1, 0.1, 0.9]])
    each = multilabel_f1_per_class(truth, probs)
    np.testing.assert_allclose(each, [2 / 3, np.nan, 0.0])
    assert multilabel_f1(truth, probs) == pytest.approx(1 / 3)
    assert multilabel_f1(truth, probs, average="micro") == pytest.approx(2 * 1 / 5)


def test_thresholds_lie_half_way_between_scores() -> None:
    truth, probs = np.array([[1.0], [1.0], [0.0], [0.0]]), np.array([[0.9], [0.8], [0.7], [0.1]])
    assert tune_thresholds(truth, probs) == pytest.approx([0.75])
    assert tune_thresholds(np.ones((2, 1)), np.array([[0.9], [0.2]])) == pytest.approx([0.1])
    assert tune_thresholds(np.array([[1.0], [0.0], [1.0]]), np.array([[0.9], [0.4], [0.4]])) == pytest.approx([0.2])


def test_auroc_is_averaged_over_the_classes_that_have_both() -> None:
    truth, probs = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[0.9, 0.5], [0.1, 0.4]])
    with pytest.warns(MetricWarning, match="^AUROC leaves out class 1: only one of present and absent$"):
        assert multilabel_auroc(truth, probs) == 1.0


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^targets \(1, 2\) and probs \(1, 3\) must have one shape$"):
        multilabel_f1(np.zeros((1, 2)), np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"^multilabel targets must be samples × classes; came \(2,\)$"):
        multilabel_f1(np.zeros(2), np.zeros(2))


def test_a_report_keeps_its_thresholds_and_names_what_is_missing() -> None:
    truth, probs = np.array([[1.0, 0.0], [np.nan, np.nan], [1.0, 0.0]]), np.full((3, 2), 0.4)
    report = multilabel_report(probs, truth, ("a", "b"), thresholds=0.3, quiet=True)
    assert (report["n"], report["unlabelled"], report["thresholds"]) == (2, 1, [0.3, 0.3])
    assert report["notes"] == ["b: no sample has it"]
    assert report["macro_f1"] == 0.5 and report["micro_f1"] == pytest.approx(4 / 6)
    empty = multilabel_report(np.empty((0, 2)), np.empty((0, 2)), ("a", "b"), quiet=True)
    assert empty["notes"] == ["nothing to score: every metric is undefined"]
