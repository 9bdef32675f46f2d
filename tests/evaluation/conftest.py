"""Samples whose labels a model can partly know, for evaluations that have something to find."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from emofuse.data.examples import Sample
from emofuse.tasks import TASKS
from emofuse.types import Segment


@pytest.fixture
def samples(make_segment: Callable[[int], Segment]) -> list[Sample]:
    """24 samples of 4 speakers: every third without a face, every fifth without text, every seventh unlabelled."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(24):
        gone = (["face"] if i % 3 == 0 else []) + (["text"] if i % 5 == 0 else [])
        emotion = np.eye(7, dtype=np.float32)[rng.integers(0, 7)] * (np.nan if i % 7 == 6 else 1.0)
        targets = {
            "emotion": emotion.astype(np.float32),
            "polarity": np.full(3, np.nan, np.float32),
            "intensity": np.array([rng.random()], np.float32),
        }
        assert set(targets) <= set(TASKS)
        groups = {"speaker": f"s{i % 4}", "sex": "female" if i % 4 < 2 else "male"}
        found.append(Sample(f"clip <{i}>", _Load(make_segment, i, tuple(gone)), targets, f"s{i % 4}", groups))
    return found


class _Load:
    def __init__(self, make: Callable[[int], Segment], seed: int, gone: tuple[str, ...]) -> None:
        self.make, self.seed, self.gone = make, seed, gone

    def __call__(self) -> Segment:
        return self.make(self.seed).without(*self.gone)  # type: ignore[arg-type]
