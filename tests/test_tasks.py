"""Tasks: the width of a target, and what says nothing."""

from __future__ import annotations

import numpy as np

from emofuse.tasks import EMOTIONS, TASKS, unlabelled


def test_unlabelled_has_the_width_of_its_task():
    assert unlabelled(TASKS["valence"]).shape == (1,)
    assert unlabelled(TASKS["emotion"]).shape == (len(EMOTIONS),)
    assert np.isnan(unlabelled(TASKS["emotion"])).all()
