"""Metrics of a task: which there are follows from its kind, and rows without an answer or a label do not count."""

from __future__ import annotations

import numpy as np
import pytest

from emofuse.metrics import MetricWarning, classification_report, sentiment_scores, sims_scores, task_report
from emofuse.metrics.task import (
    ACCURACIES,
    LABELS,
    accuracies_of,
    by_subset,
    headline,
    metric_names,
    row_errors,
    scores_of,
    task_metrics,
)
from emofuse.tasks import TASKS, Task

MOOD, BOTH = Task("mood", "categorical", ("up", "down")), Task("mood", "multilabel", ("up", "down"))


@pytest.mark.parametrize(
    ("task", "names"),
    [
        (MOOD, ("accuracy", "uar", "macro_f1", "weighted_f1", "nll")),
        (BOTH, ("macro_f1", "micro_f1", "auroc")),
        (TASKS["valence"], ("mae", "pearson", "ccc")),
        (TASKS["sentiment"], ("mae", "pearson", "ccc", *ACCURACIES[sentiment_scores])),
        (TASKS["sims_text"], ("mae", "pearson", "ccc", *ACCURACIES[sims_scores])),
    ],
)
def test_the_kind_decides_the_metrics(task: Task, names: tuple[str, ...]) -> None:
    assert metric_names(task) == names
    assert set(names) <= set(LABELS)


def test_protocols_of_scalars_belong_to_their_scale() -> None:
    assert accuracies_of(TASKS["sentiment"]) is sentiment_scores
    assert accuracies_of(Task("own", "scalar", low=-3, high=3)) is sentiment_scores
    assert accuracies_of(TASKS["sims_audio"]) is sims_scores
    assert accuracies_of(TASKS["valence"]) is accuracies_of(MOOD) is None
    assert accuracies_of(Task("own", "scalar", low=-3, high=1)) is accuracies_of(Task("own", "scalar", high=3)) is None
    assert accuracies_of(Task("sims_mood", "categorical", ("up", "down"))) is None


def test_rows_without_a_label_or_an_answer_do_not_count() -> None:
    values = np.array([[0.8, 0.2], [0.4, 0.6], [np.nan, np.nan], [0.9, 0.1]])
    targets = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [np.nan, np.nan]])
    found = task_metrics(MOOD, values, targets)
    assert (found["n"], found["accuracy"], found["uar"]) == (2, 0.5, 0.5)
    assert found["nll"] == pytest.approx(-(np.log(0.8) + np.log(0.4)) / 2)
    assert list(found) == ["n", *metric_names(MOOD)]
    assert task_metrics(MOOD, values[2:], targets[2:]) == {"n": 0}
    scalar = task_metrics(TASKS["valence"], np.array([[0.5], [-1.0]]), np.array([[1.0], [np.nan]]))
    assert (scalar["n"], scalar["mae"]) == (1, 0.5)


def test_the_threshold_is_for_labels_beside_each_other() -> None:
    values, targets = np.array([[0.35, 0.1]]), np.array([[1.0, 0.0]])
    assert scores_of(BOTH, 0.3)["macro_f1"](targets, values) == 1.0
    assert scores_of(BOTH)["macro_f1"](targets, values) == 0.0
    assert scores_of(BOTH, 0.3)["micro_f1"](targets, values) == 1.0
    with pytest.warns(MetricWarning, match="down: no sample has it"):
        assert task_report(BOTH, values, targets, threshold=0.3)["thresholds"] == [0.3, 0.3]


def test_a_report_of_classes_by_hand() -> None:
    probs = np.array([[0.7, 0.3], [0.4, 0.6], [0.6, 0.4], [0.5, 0.5]])
    targets = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [np.nan, np.nan]])
    report = classification_report(probs, targets, ("up", "down"), quiet=True)
    assert (report["kind"], report["n"], report["unlabelled"], report["ties"]) == ("categorical", 3, 1, 1)
    assert report["confusion"] == [[1, 0], [1, 0]], "the row that ties is neither up nor down"
    assert (report["accuracy"], report["uar"]) == pytest.approx((1 / 2, 1 / 2))
    assert (report["macro_f1"], report["weighted_f1"]) == pytest.approx((1 / 3, 1 / 3))
    assert report["auroc"] == 1.0
    assert report["brier"] == pytest.approx((2 * 0.09 + 2 * 0.01 + 2 * 0.36) / 3)
    assert report["ece"] == pytest.approx((abs(0.7 - 1) + abs(0.6 - 0)) / 2)
    assert report["classes"] == ["up", "down"] and report["notes"] == ["every prediction is up"]
    assert report["per_class"]["up"] == pytest.approx(
        {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "auroc": 1.0, "support": 1}
    )


def test_a_report_names_what_it_cannot_score() -> None:
    one = np.array([[0.9, 0.1]])
    with pytest.warns(MetricWarning) as caught:
        report = classification_report(one, np.array([[1.0, 0.0]]), ("up", "down"))
    note = "no sample is down: left out of UAR; its recall and AUROC are undefined"
    assert report["notes"] == [note] == [str(w.message) for w in caught]
    many = classification_report(np.repeat(one, 2, 0), np.eye(2), ("up", "down"), quiet=True)
    assert many["notes"] == ["every prediction is up"]


def test_a_report_of_a_scalar_takes_vectors_and_columns_alike() -> None:
    values, targets = np.array([0.5, -1.0]), np.array([1.0, -1.0])
    flat = task_report(TASKS["sentiment"], values, targets)
    assert flat == task_report(TASKS["sentiment"], values[:, None], targets[:, None])
    assert (flat["acc2_non0"], flat["mae"]) == (1.0, 0.25)
    with pytest.warns(MetricWarning, match="the targets are all 1: correlation is undefined"):
        task_report(TASKS["valence"], np.array([0.0, 1.0]), np.ones(2))


def test_raters_who_tie_name_no_class() -> None:
    """Swapping the two classes that tie changes nothing, and whatever is predicted for such a row is no error."""
    targets = np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]])
    values = np.array([[0.1, 0.9], [0.8, 0.2], [0.7, 0.3]])
    found, swapped = task_metrics(MOOD, values, targets), task_metrics(MOOD, values[:, ::-1], targets[:, ::-1])
    assert found == pytest.approx(swapped) and (found["n"], found["accuracy"]) == (3, 0.5)
    for name, score in scores_of(MOOD).items():
        assert score(targets, values) == score(targets[1:], values[1:]), name
    off, wrong = row_errors(MOOD, values, targets)
    assert wrong.tolist() == [False, False, True]
    assert off == pytest.approx([-0.5 * np.log(4 * 0.1 * 0.9), -np.log(0.8), -np.log(0.3)])


def test_errors_of_labels_and_values_are_their_mean_difference() -> None:
    off, wrong = row_errors(BOTH, np.array([[0.5, 0.0], [1.0, 0.0]]), np.array([[1.0, 1.0], [1.0, 0.0]]))
    assert off.tolist() == [0.75, 0.0] and wrong.tolist() == [True, False]
    off, wrong = row_errors(TASKS["valence"], np.array([[0.5], [np.nan]]), np.array([[-0.5], [0.0]]))
    assert off[0] == 1.0 and np.isnan(off[1]) and wrong.tolist() == [True, False]
    off, _ = row_errors(MOOD, np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert off == pytest.approx([-np.log(1e-12)]), "no probability is taken for less than 1e-12"


def test_metrics_of_tables_follow_from_the_kind() -> None:
    for task in (MOOD, BOTH, TASKS["valence"]):
        assert set(headline(task)) <= set(LABELS) and set(by_subset(task)) <= set(LABELS)
    assert headline(MOOD)[0] == "accuracy" and by_subset(MOOD)[-1] == "ece"
    assert headline(BOTH) == ("macro_f1", "micro_f1", "auroc") and by_subset(BOTH) == ("macro_f1", "micro_f1")
    assert headline(TASKS["valence"]) == ("mae", "pearson", "ccc") and by_subset(TASKS["valence"]) == ("mae", "ccc")


def test_every_accuracy_of_a_protocol_is_found_by_its_name() -> None:
    values, targets = np.array([0.4, -1.2, 2.6, 0.0]), np.array([1.0, -1.0, 2.0, -0.4])
    for name, value in sentiment_scores(targets, values).items():
        assert scores_of(TASKS["sentiment"])[name](targets, values) == value
