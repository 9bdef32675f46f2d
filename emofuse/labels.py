"""Label spaces, and every folding of a corpus's own labels into them, written out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

EMOTIONS = ("neutral", "joy", "sadness", "anger", "fear", "disgust", "surprise")
POLARITIES = ("negative", "neutral", "positive")


@dataclass(frozen=True)
class Task:
    """A thing to predict: its kind, its classes (empty for a scalar) and, for a scalar, its range.

    A target is a float vector: a distribution over `classes` (categorical), 0/1 or a share per class (multilabel),
    or one number (scalar). NaN throughout = unlabelled.
    """

    name: str
    kind: Literal["categorical", "multilabel", "scalar"]
    classes: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0

    @property
    def width(self) -> int:
        """Length of the target vector."""
        return len(self.classes) or 1


TASKS: dict[str, Task] = {
    t.name: t
    for t in (
        Task("emotion", "categorical", EMOTIONS),
        Task("polarity", "categorical", POLARITIES),
        Task("intensity", "scalar", low=0.0, high=1.0),
        Task("valence", "scalar", low=-1.0, high=1.0),
        Task("arousal", "scalar", low=-1.0, high=1.0),
        Task("sentiment", "scalar", low=-3.0, high=3.0),
        Task("sarcasm", "categorical", ("literal", "sarcastic")),
    )
}
