"""Predictions and analyses made by hand, a pipeline around a tiny model, and clips good and bad."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emofuse.labels import EMOTIONS, POLARITIES
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.overall import overall
from emofuse.types import Modality, Prediction, Word


def distribution(names: tuple[str, ...], first: str, share: float) -> dict[str, float]:
    """`share` on one name, the rest spread evenly."""
    return {name: share if name == first else (1 - share) / (len(names) - 1) for name in names}


@pytest.fixture
def make_prediction() -> Callable[..., Prediction]:
    """Builds a prediction whose every field follows from a few numbers."""

    def build(
        start: float = 0.0,
        end: float = 1.0,
        emotion: str = "joy",
        share: float = 0.7,
        present: tuple[Modality, ...] = ("text", "speech", "face"),
        person: int | None = 0,
        **fields: object,
    ) -> Prediction:
        alone = {m: distribution(EMOTIONS, emotion, 0.5) for m in present}
        values: dict = {
            "polarity": distribution(POLARITIES, "positive", 0.6),
            "valence": 0.25,
            "by_modality": alone,
            "embedding": np.array([1.0, 0.0], np.float32),
        } | fields
        return Prediction(start, end, person, frozenset(present), distribution(EMOTIONS, emotion, share), **values)

    return build


@pytest.fixture
def analysis(make_prediction) -> Analysis:
    """Two segments; in the second, a second person is in view."""
    segments = [
        make_prediction(0.0, 2.0),
        make_prediction(2.5, 4.0, "anger", 0.9),
        make_prediction(2.5, 4.0, "fear", 0.4, ("face",), person=1),
    ]
    words = (Word("I", 0.1, 0.3), Word("<can't> & won't", 0.3, 1.0), Word("“no”, ça", 3.0, 3.5))
    return Analysis("a, clip.mp4", 4.0, "tiny", overall(segments), segments, words, ("two people are in view",))


@pytest.fixture
def sample(repository: Path) -> Path:
    """The clip that comes with the project: a face, a voice, three sentences in sample.srt."""
    return repository / "demo" / "samples" / "sample.mp4"
