"""Tasks: label space, kind, and what follows from the kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

EMOTIONS = ("neutral", "joy", "sadness", "anger", "fear", "disgust", "surprise")
POLARITIES = ("negative", "neutral", "positive")
SENTIMENT2 = ("negative", "non-negative")
"""The two classes of the published tables of CMU-MOSI and CMU-MOSEI; zero is non-negative."""
SIMS2 = ("non-positive", "positive")
"""The two classes of the published tables of CH-SIMS; zero is not positive, as in their Acc-2."""
GOEMOTIONS = (
    "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire",
    "disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy",
    "love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise", "neutral",
)  # fmt: skip
"""In the order of the corpus's labels.txt."""
FERPLUS = ("neutral", "joy", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
MOSEI_EMOTIONS = ("joy", "sadness", "anger", "surprise", "disgust", "fear")
IEMOCAP4 = ("neutral", "joy", "sadness", "anger")
IEMOCAP5 = (*IEMOCAP4, "frustrated")
IEMOCAP6 = ("neutral", "joy", "sadness", "anger", "excited", "frustrated")

KindName = Literal["categorical", "multilabel", "scalar"]
KINDS: tuple[KindName, ...] = get_args(KindName)

POSITIVE = 0.5
"""A share of annotators at or above this counts as the label being there."""


@dataclass(frozen=True)
class Task:
    """A thing to predict: its kind, its classes (empty for a scalar) and, for a scalar, its range.

    A target is a float vector: a distribution over `classes` (categorical), 0/1 or a share per class (multilabel),
    or one number (scalar). NaN throughout = unlabelled.
    """

    name: str
    kind: KindName
    classes: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0

    @property
    def width(self) -> int:
        """Length of the target vector."""
        return len(self.classes) or 1

    @property
    def exclusive(self) -> bool:
        """Whether exactly one of its classes holds."""
        return self.kind == "categorical"

    @property
    def tempered(self) -> bool:
        """Whether its raw outputs are logits, which a temperature divides; a scalar's are the values themselves."""
        return bool(self.classes)

    @property
    def on_sentiment_scale(self) -> bool:
        """Whether it is a number on the scale of CMU-MOSI and CMU-MOSEI, -3 to 3."""
        return not self.classes and (self.low, self.high) == (-3.0, 3.0)

    def flat(self, values: Float[np.ndarray, "n width"]) -> np.ndarray:
        """n × width as the metrics take it: n numbers for a scalar, else as it is."""
        return values if self.classes else values[:, 0]

    def truth(self, targets: Float[np.ndarray, "n width"]) -> Bool[np.ndarray, "n width"]:
        """The classes that hold: the leading one, none where several lead alike, or each at POSITIVE or more."""
        if not self.exclusive:
            return targets >= POSITIVE
        return leading(targets)[:, None] == np.arange(self.width)

    def from_votes(self, votes: Float[np.ndarray, " width"]) -> Float[np.ndarray, " width"]:
        """Votes for its classes as a target: their shares, or, where labels may stand beside each other, which have
        one; NaN throughout where exclusive classes have none."""
        if not self.exclusive:
            return (votes > 0).astype(np.float32)
        total = votes.sum()
        return votes / total if total > 0 else unlabelled(self)

    def decided(self, targets: Float[np.ndarray, "n width"]) -> Bool[np.ndarray, " n"]:
        """Rows whose truth is known: of exclusive classes those that one class leads, else all."""
        return leading(targets) >= 0 if self.exclusive else np.ones(len(targets), bool)

    def stratum(self, target: Float[np.ndarray, " width"]) -> int:
        """Index of the leading class; for a scalar, of the tenth of its range."""
        return int(target.argmax()) if self.classes else int(10 * (target[0] - self.low) / (self.high - self.low))

    @property
    def leading_metric(self) -> str:
        """Its leading metric where no protocol says otherwise."""
        return {"categorical": "uar", "multilabel": "macro_f1", "scalar": "ccc"}[self.kind]


TASKS: dict[str, Task] = {
    t.name: t
    for t in (
        Task("emotion", "categorical", EMOTIONS),
        Task("polarity", "categorical", POLARITIES),
        Task("intensity", "scalar", low=0.0, high=1.0),
        Task("valence", "scalar", low=-1.0, high=1.0),
        Task("arousal", "scalar", low=-1.0, high=1.0),
        Task("dominance", "scalar", low=-1.0, high=1.0),
        Task("satisfaction", "scalar", low=1.0, high=5.0),
        Task("sentiment", "scalar", low=-3.0, high=3.0),
        Task("sentiment2", "categorical", SENTIMENT2),
        Task("sarcasm", "categorical", ("literal", "sarcastic")),
        Task("goemotions28", "multilabel", GOEMOTIONS),
        Task("goemotions_ekman", "multilabel", EMOTIONS),
        Task("ferplus8", "categorical", FERPLUS),
        Task("iemocap4", "categorical", IEMOCAP4),
        Task("iemocap5", "categorical", IEMOCAP5),
        Task("iemocap6", "categorical", IEMOCAP6),
        Task("mosei6", "multilabel", MOSEI_EMOTIONS),
        Task("sims_sentiment", "scalar", low=-1.0, high=1.0),
        Task("sims_sentiment2", "categorical", SIMS2),
        Task("sims_text", "scalar", low=-1.0, high=1.0),
        Task("sims_audio", "scalar", low=-1.0, high=1.0),
        Task("sims_vision", "scalar", low=-1.0, high=1.0),
    )
}
"""Every task by name. `sims_*` keep CH-SIMS's own scale: its -1..1 is not a third of the -3..3 of MOSI and MOSEI."""


def leading(targets: Float[np.ndarray, "n classes"]) -> Int[np.ndarray, " n"]:
    """Index of the class that leads each row, -1 where several lead alike: raters who tie name no class."""
    if not len(targets):
        return np.empty(0, np.int64)
    several = (targets == targets.max(axis=1, keepdims=True)).sum(axis=1) > 1
    return np.where(several, -1, targets.argmax(axis=1))


def majority(targets: Float[np.ndarray, "n classes"]) -> Float[np.ndarray, "n classes"]:
    """Each row's whole mass on the class that leads it, in equal shares where several do."""
    leads = targets == targets.max(axis=1, keepdims=True)
    return leads / leads.sum(axis=1, keepdims=True)


def unlabelled(task: Task) -> Float[np.ndarray, " width"]:
    """The target vector that says nothing: NaN throughout."""
    return np.full(task.width, np.nan, dtype=np.float32)
