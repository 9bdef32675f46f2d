"""Causes: the earlier turns of a dialogue, and their words, that moved an answer, by leaving each out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from emofuse.media.transcript import join, tokenize
from emofuse.tasks import Task
from emofuse.types import Segment, Word

if TYPE_CHECKING:
    from emofuse.model.model import EmotionModel

Turns = tuple[str, ...]
Answer = Callable[[Sequence[Turns]], Sequence[float]]
"""The number that is explained, for each of several histories."""
_NAMED = re.compile(r"^([^:]{1,100}:\s+)(?=\S)")


@dataclass(frozen=True)
class WordCause:
    """A word of an earlier turn; `effect` is the answer less that without the word."""

    text: str
    effect: float


@dataclass(frozen=True)
class Cause:
    """An earlier turn; `effect` is the answer with everything, less the answer had the turn not been said."""

    turn: int
    """-1 = the one just before."""
    text: str
    effect: float
    """Points of calibrated probability (of a scalar: its units)."""
    words: tuple[WordCause, ...] = ()
    """Of the turn that moved the answer most, else empty."""

    def to_dict(self) -> dict[str, Any]:
        """JSON's types."""
        return asdict(self)


def causes(answer: Answer, history: Sequence[str]) -> tuple[Cause, ...]:
    """Each earlier turn with its effect, oldest first; of the turn with the largest, each word with its own.

    Effects are of one thing left out at a time. They need not add up, and two turns that say the same each have little.
    """
    turns = tuple(history)
    if not turns:
        return ()
    full, *without = answer([turns, *(turns[:i] + turns[i + 1 :] for i in range(len(turns)))])
    effects = [full - value for value in without]
    strongest = max(range(len(turns)), key=lambda i: abs(effects[i]))
    name, words = _split(turns[strongest])
    shorter = [(*turns[:strongest], name + _less(words, i), *turns[strongest + 1 :]) for i in range(len(words))]
    moved = tuple(
        WordCause(word, full - value) for word, value in zip(words, answer(shorter) if shorter else (), strict=True)
    )
    return tuple(
        Cause(i - len(turns), turn, effects[i], moved if i == strongest else ()) for i, turn in enumerate(turns)
    )


def causes_of(model: EmotionModel, segment: Segment, task: Task, place: int) -> tuple[Cause, ...]:
    """The causes of one answer among the turns that the model reads; none where it has no words or no history."""
    if "text" not in segment.present or not model.context_turns:
        return ()
    from emofuse.model.counterfactual import Replies  # a turn's causes in a conversation are found without PyTorch

    replies = Replies(model, segment, task)

    def answer(histories: Sequence[Turns]) -> list[float]:
        return replies([replace(segment, context=turns) for turns in histories], "text")[:, place].tolist()

    return causes(answer, segment.context[-model.context_turns :])


def _split(turn: str) -> tuple[str, list[str]]:
    """Who says it, with its colon, and the words."""
    named = _NAMED.match(turn)
    name = named.group(1) if named else ""
    return name, tokenize(turn[len(name) :])


def _less(words: Sequence[str], gone: int) -> str:
    return join([Word(word, 0.0, 0.0) for i, word in enumerate(words) if i != gone])
