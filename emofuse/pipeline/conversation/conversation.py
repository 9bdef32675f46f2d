"""The conversation: turn after turn, each predicted with the history that its model has learnt to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, TypedDict, Unpack

import numpy as np

from emofuse.errors import MediaError, check_coverage
from emofuse.explain.causes import Cause
from emofuse.explain.causes import causes as causes_among
from emofuse.media.clip import PathOrName, Sound
from emofuse.media.talk import among, read_context, read_name, read_names
from emofuse.media.transcript import join
from emofuse.pipeline import formats
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.conversation.acts import Act, read_acts
from emofuse.pipeline.conversation.apply import COVERAGE, Firing, Referee
from emofuse.pipeline.conversation.trajectory import Change, change
from emofuse.pipeline.measures import measures
from emofuse.types import Prediction


class TurnInputs(TypedDict, total=False):
    """What a turn may have beside its words and a file; see `ClipInputs`."""

    audio: Sound | None
    image: PathOrName | np.ndarray | None
    transcript: PathOrName | None


TURN_INPUTS = ("source", *TurnInputs.__annotations__)


@dataclass(frozen=True, eq=False)
class Turn:
    """One turn of a conversation, what is expressed in it, and what follows from it."""

    number: int
    """Counted from 0, over all speakers."""
    speaker: str | None
    text: str
    """The words as given or understood; "" where there are none."""
    prediction: Prediction | None
    """None where nothing could be predicted (`notes` say why), or the speaker is not among those who are."""
    change: Change | None
    """Since the speaker's turn before; None at the first."""
    acts: tuple[Firing, ...]
    abstained: dict[str, str]
    """Act → why it could not be decided."""
    notes: tuple[str, ...]
    context: tuple[str, ...]
    """The turns that the model was handed as history, oldest first."""
    causes: tuple[Cause, ...] | None = None
    """What each of those did to the leading emotion's probability; None = not asked for."""

    def to_dict(self) -> dict[str, Any]:
        """JSON's types."""
        return {
            "turn": self.number,
            "speaker": self.speaker,
            "text": self.text,
            "prediction": formats.as_dict(self.prediction) if self.prediction else None,
            "change": self.change.to_dict() if self.change else None,
            "acts": [firing.to_dict() for firing in self.acts],
            "abstained": self.abstained,
            "notes": list(map(str, self.notes)),
        } | ({} if self.causes is None else {"causes": [cause.to_dict() for cause in self.causes]})


class Conversation:
    """Say turns one after another; nothing is written to disk, and of media only predictions are kept.

    `predict` is the pipeline, `turns` how many earlier turns its model reads. `only` names the speakers who are
    predicted: what others say is history and nothing else. `context` holds what was said before the first turn.
    """

    def __init__(
        self,
        predict: Callable[..., Analysis],
        turns: int,
        *,
        acts: str | PathLike[str] | Sequence[Act] = (),
        only: Sequence[str] | str | None = None,
        context: Sequence[str] | None = None,
        coverage: float = COVERAGE,
    ) -> None:
        self._predict, self._reads, self._coverage = predict, turns, coverage
        check_coverage(coverage)
        self._only = read_names(only, "only")
        self._history = list(read_context(context))
        self._referee = Referee(read_acts(acts))
        self.turns: list[Turn] = []

    def say(
        self,
        text: str | None = None,
        *,
        speaker: str | None = None,
        source: PathOrName | None = None,
        causes: bool = False,
        **inputs: Unpack[TurnInputs],
    ) -> Turn:
        """The next turn: its words, its voice (`audio`, or a file as `source`), a picture, whichever are there.

        With `causes`, it is predicted again without each earlier turn, and without each word of the one that counts.

        Raises `MediaError` for what cannot be read; the conversation is then as it was before.
        """
        wrong = sorted(inputs.keys() - TurnInputs.__annotations__.keys())
        if wrong:
            raise MediaError(f"a turn takes no {wrong[0]}=; its inputs are text, speaker, {', '.join(TURN_INPUTS)}")
        name = read_name(speaker)
        context = tuple(self._history[-self._reads :]) if self._reads else ()
        predicted = self._only is None or among(name, self._only)
        given = {"source": source, "text": text, "speaker": name, **inputs}
        found = self._predict(context=context, only=None if predicted else (_NOBODY,), **given)
        said = join(found.transcript or ())
        prediction = found.at_coverage(self._coverage).overall if predicted else None
        notes = found.notes if predicted else tuple(n for n in found.notes if getattr(n, "code", "") != "only_absent")
        before = self._before(name)
        why = self._causes(found, context, given) if causes and predicted else None
        firings = self._referee.turn(prediction, said)
        turn = Turn(
            len(self.turns),
            name,
            said,
            prediction,
            None if prediction is None else change(before, prediction),
            tuple(firings),
            dict(self._referee.abstained),
            notes,
            context,
            why,
        )
        self.turns.append(turn)
        if said:
            self._history.append(f"{name}: {said}" if name else said)
        return turn

    def trajectory(self, speaker: str | None = None) -> list[dict[str, Any]]:
        """One row a predicted turn of a speaker (None = everybody): turn, speaker, emotion and every known measure."""
        rows = []
        for turn in self.turns:
            if turn.prediction is not None and (speaker is None or turn.speaker == speaker):
                top = turn.prediction.top
                row = {"turn": turn.number, "speaker": turn.speaker, "emotion": top[0] if top else None}
                rows.append(row | measures(turn.prediction))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Every turn, in JSON's types."""
        return {"turns": [turn.to_dict() for turn in self.turns]}

    def _causes(self, found: Analysis, context: tuple[str, ...], given: dict[str, Any]) -> tuple[Cause, ...]:
        """The causes of the leading emotion of a turn among those before it."""
        if found.top is None:
            return ()
        emotion = found.top[0]

        def answer(histories: Sequence[tuple[str, ...]]) -> list[float]:
            again = (self._predict(context=history, **given).overall for history in histories)
            return [p.emotions[emotion] for p in again if p is not None and p.emotions is not None]

        return causes_among(answer, context)

    def _before(self, speaker: str | None) -> Prediction | None:
        """The speaker's last turn that was predicted."""
        turns = (t.prediction for t in reversed(self.turns) if t.speaker == speaker and t.prediction is not None)
        return next(turns, None)


_NOBODY = "\N{REPLACEMENT CHARACTER}"
"""A speaker whom nobody is called: what is said is read, and nobody is predicted."""
