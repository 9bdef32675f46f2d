"""Label spaces, and every folding of a corpus's own labels into them, written out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from emofuse.errors import DataError, nearest

EMOTIONS = ("neutral", "joy", "sadness", "anger", "fear", "disgust", "surprise")
POLARITIES = ("negative", "neutral", "positive")
SENTIMENT2 = ("negative", "non-negative")
"""The two classes of the published tables of CMU-MOSI, CMU-MOSEI and CH-SIMS; zero is non-negative."""
GOEMOTIONS = (
    "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire",
    "disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy",
    "love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise", "neutral",
)  # fmt: skip
"""In the order of the corpus's labels.txt."""
FERPLUS = ("neutral", "joy", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
MOSEI_EMOTIONS = ("joy", "sadness", "anger", "surprise", "disgust", "fear")
IEMOCAP4 = ("neutral", "joy", "sadness", "anger")
IEMOCAP6 = ("neutral", "joy", "sadness", "anger", "excited", "frustrated")


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
        Task("dominance", "scalar", low=-1.0, high=1.0),
        Task("sentiment", "scalar", low=-3.0, high=3.0),
        Task("sentiment2", "categorical", SENTIMENT2),
        Task("sarcasm", "categorical", ("literal", "sarcastic")),
        Task("goemotions28", "multilabel", GOEMOTIONS),
        Task("goemotions_ekman", "multilabel", EMOTIONS),
        Task("ferplus8", "categorical", FERPLUS),
        Task("iemocap4", "categorical", IEMOCAP4),
        Task("iemocap6", "categorical", IEMOCAP6),
        Task("mosei6", "multilabel", MOSEI_EMOTIONS),
        Task("sims_sentiment", "scalar", low=-1.0, high=1.0),
        Task("sims_text", "scalar", low=-1.0, high=1.0),
        Task("sims_audio", "scalar", low=-1.0, high=1.0),
        Task("sims_vision", "scalar", low=-1.0, high=1.0),
    )
}
"""Every task by name. `sims_*` keep CH-SIMS's own scale: its -1..1 is not a third of the -3..3 of MOSI and MOSEI."""


@dataclass(frozen=True)
class Names:
    """A folding of class names or votes: own name → class of the task, None = says nothing about the task.

    `flat`: several labels share the mass equally over the *distinct* classes they fold to, whatever their weights.
    `reject`: own names that make an utterance unlabelled when one of them alone leads the vote.
    `empty`: the class of an utterance whose votes are all zero.
    """

    key: str
    table: Mapping[str, str | None]
    flat: bool = False
    reject: frozenset[str] = frozenset()
    empty: str | None = None


@dataclass(frozen=True)
class Number:
    """A folding of a number into a scalar task."""

    key: str
    scale: Callable[[float], float] = float


@dataclass(frozen=True)
class Sign:
    """A folding of a number by its sign: the classes of what is below zero, zero, and above zero."""

    key: str
    classes: tuple[str, str, str] = POLARITIES


Folding = Names | Number | Sign


def _same(*names: str) -> dict[str, str | None]:
    return {name: name for name in names}


_GOEMOTIONS_EKMAN: dict[str, str | None] = {
    "anger": "anger", "annoyance": "anger", "disapproval": "anger",
    "disgust": "disgust",
    "fear": "fear", "nervousness": "fear",
    "joy": "joy", "amusement": "joy", "approval": "joy", "excitement": "joy", "gratitude": "joy", "love": "joy",
    "optimism": "joy", "relief": "joy", "pride": "joy", "admiration": "joy", "desire": "joy", "caring": "joy",
    "sadness": "sadness", "disappointment": "sadness", "embarrassment": "sadness", "grief": "sadness",
    "remorse": "sadness",
    "surprise": "surprise", "realization": "surprise", "confusion": "surprise", "curiosity": "surprise",
    "neutral": "neutral",
}  # fmt: skip
"""goemotions/data/ekman_mapping.json of the corpus's repository (Demszky et al. 2020)."""

_GOEMOTIONS_SENTIMENT: dict[str, str | None] = {
    "amusement": "positive", "excitement": "positive", "joy": "positive", "love": "positive", "desire": "positive",
    "optimism": "positive", "caring": "positive", "pride": "positive", "admiration": "positive",
    "gratitude": "positive", "relief": "positive", "approval": "positive",
    "fear": "negative", "nervousness": "negative", "remorse": "negative", "embarrassment": "negative",
    "disappointment": "negative", "sadness": "negative", "grief": "negative", "disgust": "negative",
    "anger": "negative", "annoyance": "negative", "disapproval": "negative",
    "realization": None, "surprise": None, "curiosity": None, "confusion": None,
    "neutral": "neutral",
}  # fmt: skip
"""goemotions/data/sentiment_dict.json; the four it calls ambiguous fold to nothing."""

_FERPLUS: dict[str, str | None] = {
    "neutral": "neutral", "happiness": "joy", "surprise": "surprise", "sadness": "sadness", "anger": "anger",
    "disgust": "disgust", "fear": "fear", "contempt": None, "unknown": None, "NF": None,
}  # fmt: skip

_IEMOCAP: dict[str, str | None] = {
    "neu": "neutral", "hap": "joy", "sad": "sadness", "ang": "anger", "fea": "fear", "dis": "disgust",
    "sur": "surprise", "exc": None, "fru": None, "oth": None, "xxx": None,
}  # fmt: skip
_IEMOCAP_NONE: dict[str, str | None] = dict.fromkeys(_IEMOCAP)

_MOSEI: dict[str, str | None] = {
    "happiness": "joy", "sadness": "sadness", "anger": "anger", "surprise": "surprise", "disgust": "disgust",
    "fear": "fear",
}  # fmt: skip

_TWO = Sign("sentiment", (SENTIMENT2[0], SENTIMENT2[1], SENTIMENT2[1]))
_MOSI: dict[str, Folding] = {
    "sentiment": Number("sentiment"),
    "intensity": Number("sentiment", lambda s: abs(s) / 3),
    "polarity": Sign("sentiment"),
    "sentiment2": _TWO,
}
_SIMS: dict[str, Folding] = {
    "sims_sentiment": Number("sentiment"),
    "sims_text": Number("sentiment_text"),
    "sims_audio": Number("sentiment_audio"),
    "sims_vision": Number("sentiment_vision"),
    "intensity": Number("sentiment", abs),
    "polarity": Sign("sentiment"),
    "sentiment2": _TWO,
}

FOLDINGS: dict[str, dict[str, Folding]] = {
    "ravdess": {
        "emotion": Names(
            "emotion",
            {
                "neutral": "neutral", "calm": "neutral", "happy": "joy", "sad": "sadness", "angry": "anger",
                "fearful": "fear", "disgust": "disgust", "surprised": "surprise",
            },
        ),
    },
    "crema_d": {
        "emotion": Names(
            "emotion",
            {
                "neutral": "neutral", "happy": "joy", "sad": "sadness", "anger": "anger", "fear": "fear",
                "disgust": "disgust",
            },
        ),
    },
    "emodb": {
        "emotion": Names(
            "emotion",
            {
                "neutral": "neutral", "happiness": "joy", "sadness": "sadness", "anger": "anger", "fear": "fear",
                "disgust": "disgust", "boredom": None,
            },
        ),
    },
    "ferplus": {
        "emotion": Names("emotion", _FERPLUS, reject=frozenset({"contempt", "unknown", "NF"})),
        "ferplus8": Names("emotion", _FERPLUS | {"contempt": "contempt"}, reject=frozenset({"unknown", "NF"})),
    },
    "goemotions": {
        "emotion": Names("emotion", _GOEMOTIONS_EKMAN, flat=True),
        "polarity": Names("emotion", _GOEMOTIONS_SENTIMENT, flat=True),
        "goemotions28": Names("emotion", _same(*GOEMOTIONS)),
        "goemotions_ekman": Names("emotion", _GOEMOTIONS_EKMAN),
    },
    "meld": {
        "emotion": Names("emotion", _same(*EMOTIONS)),
        "polarity": Names("sentiment", _same(*POLARITIES)),
    },
    "iemocap": {
        "emotion": Names("emotion", _IEMOCAP),
        "iemocap4": Names(
            "emotion", _IEMOCAP_NONE | {"neu": "neutral", "hap": "joy", "sad": "sadness", "ang": "anger"}
        ),
        "iemocap6": Names(
            "emotion",
            _IEMOCAP_NONE
            | {
                "neu": "neutral", "hap": "joy", "sad": "sadness", "ang": "anger", "exc": "excited",
                "fru": "frustrated",
            },
        ),
        "valence": Number("valence", lambda v: (v - 3) / 2),
        "arousal": Number("activation", lambda a: (a - 3) / 2),
        "dominance": Number("dominance", lambda d: (d - 3) / 2),
    },
    "mosi": _MOSI,
    "mosi_features": _MOSI,
    "mosei": {
        **_MOSI,
        "emotion": Names("emotion", _MOSEI, empty="neutral"),
        "mosei6": Names("emotion", _MOSEI),
    },
    "ch_sims": _SIMS,
    "ch_sims_v2": _SIMS,
    "mustard": {"sarcasm": Names("sarcasm", _same("literal", "sarcastic"))},
}  # fmt: skip
"""corpus → task → how its own labels fold; a task that is not here is unlabelled in that corpus.

RAVDESS's normal/strong tells how hard the actor played, not the strength of a sentiment, so it folds to nothing.
IEMOCAP's valence, activation and dominance go from its 1..5 to -1..1.
"""

MANIFEST = "manifest"
"""The corpus name of anyone's own data: its label columns carry the names and the classes of the tasks."""


def fold(
    corpus: str, labels: Mapping[str, Any], task: Task, overrides: Mapping[str, str | None] | None = None
) -> Float[np.ndarray, " width"]:
    """A corpus's own labels of one utterance as the target vector of a task, float32, NaN = unlabelled.

    `overrides` replaces lines of the folding's table of names, own name → class or None (`{"exc": "joy"}`); for a
    manifest it names the file's own words. Scalar tasks have no names: there it is an error.
    Raises DataError for an unknown corpus, class name, override or a number outside the task's range.
    """
    overrides = overrides or {}
    rule = _rule(corpus, task)
    if overrides and not isinstance(rule, Names) and rule is not None:
        raise DataError(f"{task.name} of {corpus} is folded from a number: overrides {sorted(overrides)} name no class")
    value = None if rule is None else labels.get(rule.key)
    if rule is None or _is_missing(value):
        return unlabelled(task)
    if isinstance(rule, Names):
        return _fold_names(corpus, value, task, rule, _with_overrides(corpus, rule, task, overrides))
    number = _number(corpus, rule.key, value)
    if isinstance(rule, Sign):
        target = unlabelled(task)
        target[:] = 0.0
        target[task.classes.index(rule.classes[int(np.sign(number)) + 1])] = 1.0
        return target
    scaled = rule.scale(number)
    if not task.low - 1e-6 <= scaled <= task.high + 1e-6:
        raise DataError(
            f"{rule.key}={number:g} of {corpus} gives {task.name} {scaled:g}, outside {task.low:g}..{task.high:g}"
        )
    return np.array([scaled], dtype=np.float32)


def unlabelled(task: Task) -> Float[np.ndarray, " width"]:
    """The target vector that says nothing: NaN throughout."""
    return np.full(task.width, np.nan, dtype=np.float32)


def majority(votes: Mapping[str, float]) -> str | None:
    """The name with the most votes; None for a tie at the top or no votes at all."""
    ranked = sorted(votes.items(), key=lambda item: -item[1])
    if not ranked or ranked[0][1] <= 0 or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]


def _rule(corpus: str, task: Task) -> Folding | None:
    if corpus == MANIFEST:
        return Number(task.name) if task.kind == "scalar" else Names(task.name, _same(*task.classes))
    if corpus not in FOLDINGS:
        raise DataError(f"no folding of labels for a corpus {corpus!r}; {nearest(corpus, [*FOLDINGS, MANIFEST])}")
    return FOLDINGS[corpus].get(task.name)


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _with_overrides(
    corpus: str, rule: Names, task: Task, overrides: Mapping[str, str | None]
) -> Mapping[str, str | None]:
    for own, target in overrides.items():
        if corpus != MANIFEST and own not in rule.table:
            raise DataError(f"override of {own!r}: {corpus} has no such label; {nearest(own, rule.table)}")
        if target is not None and target not in task.classes:
            raise DataError(f"override {own!r}: {target!r} is no class of {task.name}; {nearest(target, task.classes)}")
    return {**rule.table, **overrides}


def _votes(corpus: str, key: str, value: Any, multilabel: bool) -> dict[str, float]:
    if isinstance(value, Mapping):
        votes = {str(name): _number(corpus, key, weight) for name, weight in value.items()}
        if any(not math.isfinite(w) or w < 0 for w in votes.values()):
            raise DataError(f"votes of {corpus} {key} are {votes}; each must be a number of at least 0")
        return votes
    if not isinstance(value, str):
        raise DataError(f"{key} of {corpus} is {value!r}; a class name or a mapping of names to votes belongs there")
    names = re.split(r"\s*[|;]\s*", value.strip()) if multilabel else [value.strip()]
    return {name: 1.0 for name in names if name}


def _fold_names(
    corpus: str, value: Any, task: Task, rule: Names, table: Mapping[str, str | None]
) -> Float[np.ndarray, " width"]:
    votes = _votes(corpus, rule.key, value, task.kind == "multilabel")
    target = np.zeros(task.width, dtype=np.float32)
    for name, weight in votes.items():
        if name not in table:
            raise DataError(f"{rule.key} {name!r} of {corpus} is no label for {task.name}; {_hint(name, table)}")
        folded = table[name]
        if folded is not None:
            target[task.classes.index(folded)] += weight
    if task.kind == "multilabel":
        return (target > 0).astype(np.float32)
    winner = majority(votes)
    if winner in rule.reject and table[winner] is None:
        return unlabelled(task)
    if not any(votes.values()) and rule.empty:
        target[task.classes.index(rule.empty)] = 1.0
    if rule.flat:
        target = (target > 0).astype(np.float32)
    total = target.sum()
    return target / total if total > 0 else unlabelled(task)


_SYNONYMS = {
    "happy": "joy", "happiness": "joy", "joyful": "joy", "hap": "joy", "sad": "sadness", "angry": "anger",
    "ang": "anger", "fearful": "fear", "afraid": "fear", "scared": "fear", "disgusted": "disgust",
    "surprised": "surprise", "calm": "neutral", "neu": "neutral", "pos": "positive", "neg": "negative",
}  # fmt: skip


def _hint(name: str, table: Mapping[str, str | None]) -> str:
    synonym = _SYNONYMS.get(name.lower())
    if name.lower() in table or synonym in table:
        return f"did you mean {name.lower() if name.lower() in table else synonym!r}? valid: {', '.join(sorted(table))}"
    return nearest(name, table)


def _number(corpus: str, key: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{key} of {corpus} is {value!r}; a finite number belongs there")
    return number
