"""Tasks: the width of a target, what says nothing, and what a kind decides."""

from __future__ import annotations

import numpy as np
import pytest

from emofuse.tasks import EMOTIONS, TASKS, Task, unlabelled


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
