"""Applying acts: each condition held against a turn, with what was observed; abstention where the model abstains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from emofuse.media.talk import among
from emofuse.notes import Note
from emofuse.pipeline.conversation.acts import Act, Bound
from emofuse.pipeline.conversation.trajectory import change, moved
from emofuse.pipeline.measures import measure
from emofuse.types import Prediction

if TYPE_CHECKING:
    from emofuse.pipeline.analysis import Analysis

COVERAGE = 0.9
"""How often the sets that conditions go by hold the true class."""


@dataclass(frozen=True)
class Firing:
    """An act whose conditions hold, with what was observed for each, and the text of its template."""

    act: str
    do: str
    turn: int
    """Counted from 0, over all speakers."""
    speaker: str | None
    say: str
    because: dict[str, Any]
    start: float | None = None
    """Second of the clip at which the turn begins, where it is one of a clip."""

    def to_dict(self) -> dict[str, Any]:
        """JSON's types."""
        at = {} if self.start is None else {"start": round(self.start, 3)}
        shape = {"act": self.act, "do": self.do, "turn": self.turn, "speaker": self.speaker, "say": self.say}
        return shape | at | {"because": self.because}


@dataclass
class _Speaker:
    """What acts need of one speaker's turns so far."""

    turns: list[Prediction] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)
    """Act → turns in a row in which its conditions held."""
    fired: dict[str, int] = field(default_factory=dict)
    """Act → the speaker's turn at which it last fired."""


class Referee:
    """Turns in, firings out, by the sets that predictions have.

    An act of which a turn cannot say whether it holds abstains, by name and reason.
    """

    def __init__(self, acts: Sequence[Act]) -> None:
        self.acts = tuple(acts)
        self._speakers: dict[str | None, _Speaker] = {}
        self._count = 0
        self.abstained: dict[str, str] = {}
        """Act → why it could not be decided at the last turn."""

    def turn(self, prediction: Prediction | None, words: str, start: float | None = None) -> list[Firing]:
        """The acts that fire at the next turn; None = a turn that is not predicted, at which none does."""
        number, self._count, self.abstained = self._count, self._count + 1, {}
        if prediction is None:
            return []
        speaker = self._speakers.setdefault(prediction.speaker and prediction.speaker.casefold(), _Speaker())
        speaker.turns.append(prediction)
        fired = []
        for act in self.acts:
            if act.speakers and not among(prediction.speaker, act.speakers):
                continue
            because = self._holds(act, speaker, words)
            speaker.held[act.name] = speaker.held.get(act.name, 0) + 1 if because is not None else 0
            rests = len(speaker.turns) - speaker.fired.get(act.name, -_ALWAYS) <= act.wait
            if because is not None and speaker.held[act.name] >= act.turns and not rests:
                speaker.fired[act.name] = len(speaker.turns)
                fired.append(_firing(act, number, prediction, because, start))
        return fired

    def _holds(self, act: Act, speaker: _Speaker, words: str) -> dict[str, Any] | None:
        """What was observed for each condition, if all hold."""
        because: dict[str, Any] = {}
        try:
            for name, observed, holds in _conditions(act, speaker.turns, words):
                if not holds:
                    return None
                because[name] = observed
        except _UndecidedError as error:
            self.abstained[act.name] = str(error)
            return None
        return because


_ALWAYS = 10**9


def over_clip(acts: Sequence[Act], analysis: Analysis) -> Analysis:
    """The analysis of a clip with what follows from it: each segment in which somebody speaks is a turn.

    A note says which acts abstained, and at how many turns.
    """
    referee, firings, abstained = Referee(acts), [], Counter()
    for found in analysis.at_coverage(COVERAGE).segments:
        if is_turn(found):
            firings += referee.turn(found, analysis.words_of(found), found.start)
            abstained.update(list(referee.abstained))
    notes = [Note("acts_abstained", act=act, turns=turns) for act, turns in abstained.items()]
    return replace(analysis, acts=tuple(firings), notes=(*analysis.notes, *notes))


def is_turn(prediction: Prediction) -> bool:
    """Whether somebody speaks in it."""
    return not prediction.present.isdisjoint(("text", "speech"))


def by_segment(analysis: Analysis) -> list[list[Firing]]:
    """The firings at each of a clip's segments."""
    turns = [number for number, found in enumerate(analysis.segments) if is_turn(found)]
    fired: list[list[Firing]] = [[] for _ in analysis.segments]
    for firing in analysis.acts or ():
        fired[turns[firing.turn]].append(firing)
    return fired


class _UndecidedError(Exception):
    """The model does not say what a condition needs."""


def _conditions(act: Act, turns: Sequence[Prediction], words: str) -> Iterator[tuple[str, Any, bool]]:
    """(condition, what was observed, whether it holds); those that need no model come first."""
    now, before, sets = turns[-1], turns[-2] if len(turns) > 1 else None, turns[-1].sets
    if act.words:
        spoken = act.spoken(words)
        yield "words", list(spoken), bool(spoken)
    for task, classes in act.surely.items():
        found = _set(sets, task)
        yield task, found, set(found) <= set(classes)
    for task, classes in act.possibly.items():
        found = _set(sets, task)
        yield f"possible_{task}", found, not set(found).isdisjoint(classes)
    for bound in act.values:
        yield bound.of, *_outside(bound, measure(now, bound.of))
    since = change(before, now)
    for bound in act.changes:
        if since is None:
            yield f"change.{bound.of}", None, False
            return
        yield f"change.{bound.of}", *_outside(bound, since.by.get(bound.of))
    for trend in act.trends:
        by = moved(trend, turns)
        if by is None and len(turns) >= trend.over:
            raise _UndecidedError(f"the model does not say {trend.of} of the last {trend.over} turns")
        rises = by is not None and (by if trend.direction == "rising" else -by) >= trend.by
        yield f"trend.{trend.of}", by, rises


def _set(sets: Mapping[str, tuple[str, ...]], task: str) -> list[str]:
    found = sets.get(task)
    if found is None:
        raise _UndecidedError(f"the model is not calibrated for sets of {task} of what is present")
    if not found:
        raise _UndecidedError(f"too many classes of {task} are possible")
    return list(found)


def _outside(bound: Bound, value: float | None) -> tuple[float, bool]:
    if value is None:
        raise _UndecidedError(f"the model does not say {bound.of} of what is present")
    below = bound.below is None or value < bound.below
    return value, below and (bound.above is None or value > bound.above)


def _firing(act: Act, turn: int, prediction: Prediction, because: dict[str, Any], start: float | None) -> Firing:
    emotion = prediction.top[0] if prediction.top else ""
    words = ", ".join(because.get("words", []))
    say = act.say.format(speaker=prediction.speaker or "", emotion=emotion, words=words, act=act.name)
    return Firing(act.name, act.do, turn, prediction.speaker, say, because, start)
