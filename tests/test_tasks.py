"""Tasks: the width of a target, what says nothing, and what a kind decides."""

from __future__ import annotations

import numpy as np
import pytest

from emofuse.tasks import EMOTIONS, TASKS, Task, leading, majority, unlabelled


def test_unlabelled_has_the_width_of_its_task():
    assert unlabelled(TASKS["valence"]).shape == (1,)
    assert unlabelled(TASKS["emotion"]).shape == (len(EMOTIONS),)
    assert np.isnan(unlabelled(TASKS["emotion"])).all()
    assert unlabelled(TASKS["emotion"]).dtype == np.float32


@pytest.mark.parametrize(("kind", "metric"), [("categorical", "uar"), ("multilabel", "macro_f1"), ("scalar", "ccc")])
def test_the_kind_decides_the_leading_metric(kind, metric):
    assert Task("mood", kind).leading_metric == metric


def test_every_task_is_known_by_its_own_name_and_its_range_is_one():
    for name, task in TASKS.items():
        assert task.name == name
        assert task.low < task.high
        assert len(set(task.classes)) == len(task.classes)
        assert bool(task.classes) == (task.kind != "scalar")


MOOD, BOTH = Task("mood", "categorical", ("up", "flat", "down")), Task("mood", "multilabel", ("up", "flat", "down"))
VOTES = np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.0, 0.0, 1.0], [0.5, 0.0, 0.5]], np.float32)


def test_classes_that_tie_have_no_leader():
    np.testing.assert_array_equal(leading(VOTES), [0, -1, 2, -1])
    assert leading(np.empty((0, 3))).shape == (0,)
    np.testing.assert_array_equal(majority(VOTES), [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1], [0.5, 0, 0.5]])


def test_the_truth_of_a_tie_is_no_class_and_of_labels_every_one_that_half_the_raters_saw():
    expected = [[True, False, False], [False] * 3, [False, False, True], [False] * 3]
    np.testing.assert_array_equal(MOOD.truth(VOTES), expected)
    np.testing.assert_array_equal(MOOD.decided(VOTES), [True, False, True, False])
    np.testing.assert_array_equal(
        BOTH.truth(VOTES), [[True, False, False], [False] * 3, [False, False, True], [True, False, True]]
    )
    np.testing.assert_array_equal(BOTH.decided(VOTES), [True] * 4)
    assert MOOD.decided(VOTES).dtype == BOTH.decided(VOTES).dtype == np.bool_


def test_votes_become_shares_or_labels_by_the_kind():
    votes = np.array([3.0, 1.0, 0.0], np.float32)
    np.testing.assert_array_equal(MOOD.from_votes(votes), [0.75, 0.25, 0.0])
    np.testing.assert_array_equal(BOTH.from_votes(votes), [1.0, 1.0, 0.0])
    assert BOTH.from_votes(votes).dtype == MOOD.from_votes(votes).dtype == np.float32
    nobody = np.zeros(3, np.float32)
    assert np.isnan(MOOD.from_votes(nobody)).all() and MOOD.from_votes(nobody).shape == (3,)
    np.testing.assert_array_equal(BOTH.from_votes(nobody), nobody)


def test_a_stratum_is_the_leading_class_or_a_tenth_of_the_range():
    assert [MOOD.stratum(row) for row in VOTES[:3]] == [0, 0, 2]
    sentiment = TASKS["sentiment"]
    values = [-3.0, -2.5, 0.0, 0.6, 2.99, 3.0]
    assert [sentiment.stratum(np.array([v])) for v in values] == [0, 0, 5, 6, 9, 10]


def test_values_are_flat_for_the_metrics_and_classes_are_not():
    column = np.array([[0.25], [0.75]])
    np.testing.assert_array_equal(TASKS["valence"].flat(column), [0.25, 0.75])
    assert MOOD.flat(VOTES) is VOTES


@pytest.mark.parametrize("name", TASKS)
def test_what_has_classes_is_tempered_and_one_scale_is_that_of_sentiment(name):
    task = TASKS[name]
    assert task.tempered == (task.kind != "scalar") and task.exclusive == (task.kind == "categorical")
    assert task.on_sentiment_scale == (name == "sentiment")
    assert task.width == max(1, len(task.classes))
    assert not Task("own", "scalar", low=-3.0, high=2.0).on_sentiment_scale
    assert not Task("own", "categorical", ("a",), low=-3.0, high=3.0).on_sentiment_scale
