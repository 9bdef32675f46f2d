"""Confident learning: the paper's rule by hand, out-of-fold probes that never see their cluster, injected noise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from emofuse.training.cleaning.label_noise import DECAY, confident_learning, flipped, out_of_fold, probe


def test_the_joint_is_that_of_the_papers_rule():
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.15, 0.85], [0.6, 0.4]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    found = confident_learning(p, labels)  # thresholds: mean of class 0 among its rows 0.6, of class 1 0.65
    assert found.joint.tolist() == [[2, 1], [1, 2]]
    assert found.rows.tolist() == [2, 5] and found.suggested.tolist() == [1, 0]


def test_rows_that_are_confidently_of_no_class_are_not_suspected():
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9], [0.5, 0.5]])
    found = confident_learning(p, np.array([0, 0, 1, 1, 0]))
    assert 4 not in found.rows.tolist() and found.joint.sum() == 4


def test_the_probe_is_a_logistic_regression():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 5))
    y = (x[:, 0] + 0.5 * rng.normal(size=120) > 0).astype(int) + (x[:, 1] > 1)
    ours = probe(x[:90], y[:90], x[90:], 3)
    scaled = (x - x[:90].mean(0)) / x[:90].std(0)
    reference = LogisticRegression(C=1 / (DECAY * 90), max_iter=1000, tol=1e-8).fit(scaled[:90], y[:90])
    assert np.allclose(ours, reference.predict_proba(scaled[90:]), atol=5e-3)


def test_no_row_is_judged_by_a_probe_that_saw_its_speaker():
    """Features that name the speaker and nothing else tell nothing out of fold, where speakers bear one label each."""
    rng = np.random.default_rng(0)
    speakers = np.repeat(np.arange(30), 6)
    labels = rng.integers(0, 2, 30)[speakers]
    p = out_of_fold(np.eye(30)[speakers], labels, 2, speakers)
    assert p.sum(1) == pytest.approx(np.ones(180)) and (p.argmax(1) == labels).mean() < 0.7
    leaky = out_of_fold(np.eye(30)[speakers], labels, 2, np.arange(180))
    assert (leaky.argmax(1) == labels).mean() > 0.95


def test_changed_labels_are_found_again():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, 400)
    features = np.eye(4)[labels] * 3 + rng.normal(size=(400, 4))
    changed = flipped(labels, 7, 0.1)
    wrong = changed != labels
    assert wrong.sum() == 40 and set(np.unique(changed)) <= set(range(4))
    p = out_of_fold(features, changed, 7, np.arange(400))
    found = confident_learning(p, changed).rows
    assert wrong[found].mean() > 0.8 and wrong[found].sum() >= 24
    assert wrong[found[:20]].mean() >= 0.9
