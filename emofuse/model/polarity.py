"""Polarity that agrees with emotion: read from the emotions, and pooled with what the polarity head says itself.

Two heads that learnt from different corpora may contradict each other on one sample (joy at 0.93 beside a neutral
polarity), and the corpora of voices and of faces carry no polarity at all. Every emotion but surprise has a sign, so
the emotions say a polarity too: P(polarity) = Σ P(emotion) · P(polarity | emotion), with the fixed table SIGNS. Where
the polarity head has learnt the subset of modalities, the answer is the mean of the two distributions (a linear opinion
pool, Stone 1961); where it has not, that of the emotions alone. A linear pool rules contradictions out: an emotion held
with more than 0.8 gives its own sign more than 0.4, so the opposite one stays below 0.6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from emofuse.tasks import EMOTIONS, POLARITIES, TASKS, Task

if TYPE_CHECKING:
    from torch import Tensor

EMOTION, POLARITY = "emotion", "polarity"
SIGN = {
    "neutral": "neutral",
    "joy": "positive",
    "sadness": "negative",
    "anger": "negative",
    "fear": "negative",
    "disgust": "negative",
}
"""Polarity of an emotion; a surprise is pleasant as often as unpleasant."""
SIGNS: Float[np.ndarray, "emotions polarities"] = np.array(
    [[float(SIGN[e] == p) if e in SIGN else 0.5 * (p != "neutral") for p in POLARITIES] for e in EMOTIONS]
)
"""P(polarity | emotion)."""


def derives(tasks: Sequence[Task]) -> bool:
    """Whether a model of these tasks reads its polarity from its emotions: it has both, as `TASKS` defines them."""
    return {TASKS[EMOTION], TASKS[POLARITY]} <= set(tasks)


def sources(own: bool, emotions: bool) -> tuple[str, ...]:
    """The heads that a polarity rests on, where one of them is the emotions'; () where none is."""
    return ((EMOTION, POLARITY) if own else (EMOTION,)) if emotions else ()


def with_polarity(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Decoded tasks with the pooled polarity in the place of the head's own; rows of NaN are heads that say nothing."""
    own, emotions = values[POLARITY], values[EMOTION]
    read = emotions @ emotions.new_tensor(SIGNS)
    pooled = ((own + read) / 2).where(~read.isnan(), own).where(~own.isnan(), read)
    return {**values, POLARITY: pooled}


def pooled(own: Float[np.ndarray, "n 3"], emotions: Float[np.ndarray, "n 7"]) -> Float[np.ndarray, "n 3"]:
    """The same of arrays in which both heads speak."""
    return (own + emotions @ SIGNS) / 2
