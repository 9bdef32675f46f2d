"""Foldings: the rules by which a corpus's own labels become the target vector of a task."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from emofuse.errors import DataError, nearest
from emofuse.tasks import POLARITIES, SENTIMENT2, Task, unlabelled

Table = Mapping[str, str | None]
"""Own name → class of the task, None = says nothing about it."""


@dataclass(frozen=True)
class Names:
    """A folding of class names or votes: own name → class of the task, None = says nothing about the task.

    `flat`: several labels share the mass equally over the *distinct* classes they fold to, whatever their weights.
    `reject`: own names that make an utterance unlabelled when one of them leads the vote, alone or in a tie: what is
    left of such a vote is no majority.
    `empty`: the class of an utterance whose votes are all zero.
    `open`: overrides may name words that are not in the table.
    """

    key: str
    table: Table
    flat: bool = False
    reject: frozenset[str] = frozenset()
    empty: str | None = None
    open: bool = False


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

SENTIMENT_BY_SIGN = Sign("sentiment", (SENTIMENT2[0], SENTIMENT2[1], SENTIMENT2[1]))
"""The two classes of the published tables of CMU-MOSI and CMU-MOSEI."""


VALENCE: dict[str, str | None] = {
    "joy": "positive", "sadness": "negative", "anger": "negative", "fear": "negative", "disgust": "negative",
    "surprise": None, "neutral": "neutral",
}  # fmt: skip
"""Polarity of the emotions; a surprise may be either."""


def polarity_of(emotions: Mapping[str, str | None]) -> dict[str, str | None]:
    """The table of polarities that follows from a table of a corpus's own names → emotions."""
    return {own: None if emotion is None else VALENCE[emotion] for own, emotion in emotions.items()}


def same(*names: str) -> dict[str, str | None]:
    """The table of names that are classes of the task already."""
    return {name: name for name in names}


def fold(
    rule: Folding | None, labels: Mapping[str, Any], task: Task, overrides: Table | None = None, corpus: str = ""
) -> Float[np.ndarray, " width"]:
    """A corpus's own labels of one utterance as the target vector of a task, float32, NaN = unlabelled.

    `rule` None: the corpus says nothing about the task. `overrides` replaces lines of a table of names. Raises
    DataError, with the name of the `corpus`, for an unknown class name or override, or a number outside the task's
    range.
    """
    overrides = overrides or {}
    if overrides and isinstance(rule, Number | Sign):
        raise DataError(f"{task.name} of {corpus} is folded from a number: overrides {sorted(overrides)} name no class")
    value = None if rule is None else labels.get(rule.key)
    if rule is None or _is_missing(value):
        return unlabelled(task)
    if isinstance(rule, Names):
        return _fold_names(corpus, value, task, rule, _with_overrides(corpus, rule, task, overrides))
    number = _number(corpus, rule.key, value)
    return _fold_sign(number, task, rule) if isinstance(rule, Sign) else _fold_number(corpus, number, task, rule)


def _fold_sign(number: float, task: Task, rule: Sign) -> Float[np.ndarray, " width"]:
    target = np.zeros(task.width, dtype=np.float32)
    target[task.classes.index(rule.classes[int(np.sign(number)) + 1])] = 1.0
    return target


def _fold_number(corpus: str, number: float, task: Task, rule: Number) -> Float[np.ndarray, " width"]:
    scaled = rule.scale(number)
    if not task.low - 1e-6 <= scaled <= task.high + 1e-6:
        raise DataError(
            f"{rule.key}={number:g} of {corpus} gives {task.name} {scaled:g}, outside {task.low:g}..{task.high:g}"
        )
    return np.array([scaled], dtype=np.float32)


def leaders(votes: Mapping[str, float]) -> tuple[str, ...]:
    """The names with the most votes, several in a tie; none where nobody voted."""
    most = max(votes.values(), default=0.0)
    return tuple(name for name, weight in votes.items() if weight == most and most > 0)


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _with_overrides(corpus: str, rule: Names, task: Task, overrides: Table) -> Table:
    for own, target in overrides.items():
        if not rule.open and own not in rule.table:
            raise DataError(f"override of {own!r}: {corpus} has no such label; {nearest(own, rule.table)}")
        if target is not None and target not in task.classes:
            raise DataError(f"override {own!r}: {target!r} is no class of {task.name}; {nearest(target, task.classes)}")
    return {**rule.table, **overrides}


def _votes(corpus: str, key: str, value: Any, *, several: bool) -> dict[str, float]:
    if isinstance(value, Mapping):
        votes = {str(name): _number(corpus, key, weight) for name, weight in value.items()}
        if any(not math.isfinite(w) or w < 0 for w in votes.values()):
            raise DataError(f"votes of {corpus} {key} are {votes}; each must be a number of at least 0")
        return votes
    if not isinstance(value, str):
        raise DataError(f"{key} of {corpus} is {value!r}; a class name or a mapping of names to votes belongs there")
    names = re.split(r"\s*[|;]\s*", value.strip()) if several else [value.strip()]
    return {name: 1.0 for name in names if name}


def _fold_names(corpus: str, value: Any, task: Task, rule: Names, table: Table) -> Float[np.ndarray, " width"]:
    votes = _votes(corpus, rule.key, value, several=not task.exclusive)
    target = np.zeros(task.width, dtype=np.float32)
    for name, weight in votes.items():
        if name not in table:
            raise DataError(f"{rule.key} {name!r} of {corpus} is no label for {task.name}; {_hint(name, table)}")
        folded = table[name]
        if folded is not None:
            target[task.classes.index(folded)] += weight
    if not task.exclusive:
        return task.from_votes(target)
    if any(name in rule.reject and table[name] is None for name in leaders(votes)):
        return unlabelled(task)
    if not any(votes.values()) and rule.empty:
        target[task.classes.index(rule.empty)] = 1.0
    if rule.flat:
        target = (target > 0).astype(np.float32)
    return task.from_votes(target)


_SYNONYMS = {
    "happy": "joy", "happiness": "joy", "joyful": "joy", "hap": "joy", "sad": "sadness", "angry": "anger",
    "ang": "anger", "fearful": "fear", "afraid": "fear", "scared": "fear", "disgusted": "disgust",
    "surprised": "surprise", "calm": "neutral", "neu": "neutral", "pos": "positive", "neg": "negative",
}  # fmt: skip


def _hint(name: str, table: Table) -> str:
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
