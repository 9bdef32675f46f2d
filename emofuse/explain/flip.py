"""Flips: the least that must be taken away of a segment for another answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from emofuse.errors import DataError
from emofuse.modalities import PHRASES, ordered
from emofuse.model.counterfactual import (
    Parts,
    Replies,
    search,
    silenced,
    towards,
    windows,
    without_words,
)
from emofuse.model.model import EmotionModel
from emofuse.tasks import Task
from emofuse.types import Segment

MOST = 8
"""Changes of one kind that are made at most."""


@dataclass(frozen=True)
class Change:
    """What is taken away: a word, a stretch of the sound, or a modality, with its seconds of the clip."""

    what: str
    start: float
    end: float


@dataclass(frozen=True)
class Flip:
    """The changes of one kind that make `target` the leading class, or come nearest to it."""

    kind: str
    """"words" are left out, "sound" is silenced, a "modality" is removed."""
    target: str
    changes: tuple[Change, ...]
    flipped: bool
    before: float
    after: float
    """Calibrated probabilities of the target."""
    least: int
    """No fewer changes of this kind do it: all sets of fewer were tried (see `model.counterfactual.search`)."""
    tried: int
    """Variants that were predicted."""

    def to_dict(self) -> dict[str, Any]:
        """JSON's types."""
        return asdict(self)

    def sentence(self) -> str:
        """The flip in plain words."""
        move = f"{self.target} {100 * self.before:.0f} → {100 * self.after:.0f} %"
        if self.flipped and not self.changes:
            return f"{self.target} leads already ({100 * self.before:.0f} %)."
        what = ", ".join(change.what for change in self.changes)
        if not self.flipped:
            return f"{_HOW[self.kind]}: no change found that makes {self.target} lead; nearest: {what} ({move})."
        proof = "the fewest there are" if len(self.changes) <= self.least else f"at least {self.least} are needed"
        return f"{_HOW[self.kind]}: {what} ({move}; {len(self.changes)} change(s), {proof})."


_HOW = {"words": "Words left out", "sound": "Sound silenced", "modality": "Removed"}


def flips(model: EmotionModel, segment: Segment, task: Task, target: int, *, most: int = MOST) -> tuple[Flip, ...]:
    """For each kind of change that the segment allows, the least that makes class `target` lead.

    Of words and of half seconds of sound never all are taken, nor all modalities. Raises `DataError` for a task without
    exclusive classes.
    """
    if not task.exclusive:
        raise DataError(f"{task.name} has no leading class that could be another; a flip is of emotion, polarity, …")
    replies, name = Replies(model, segment, task), task.classes[target]
    full = replies.without([frozenset()])
    before = float(full[0, target])
    if towards(full, target)[0] > 0:
        return (Flip("words", name, (), True, before, before, 0, 1),)
    made = []
    for kind, parts, vary in _kinds(segment, replies):
        if len(parts) > 1:
            answers: dict[Parts, float] = {}
            margins = _margins(vary, target, answers)
            found = search(margins, len(parts), most)
            changes = tuple(parts[i] for i in sorted(found.gone))
            made.append(Flip(kind, name, changes, found.changed, before, answers[found.gone], found.least, found.tried))
    return tuple(made)


Vary = Callable[[Sequence[Parts]], np.ndarray]


def _margins(vary: Vary, target: int, answers: dict[Parts, float]) -> Callable[[Sequence[Parts]], np.ndarray]:
    """The margins of sets of parts; the target's probability of each is kept in `answers`."""

    def margins(sets: Sequence[Parts]) -> np.ndarray:
        found = vary(sets)
        answers.update(zip(sets, found[:, target].tolist(), strict=True))
        return towards(found, target)

    return margins


def _kinds(segment: Segment, replies: Replies) -> list[tuple[str, list[Change], Vary]]:
    """Kind, what there is to take away, and the answers without."""
    kinds: list[tuple[str, list[Change], Vary]] = []
    read = segment.present & set(replies.model.modalities)
    if "text" in read:
        said = [Change(f"“{w.text}”", w.start, w.end) for w in segment.words or ()]
        kinds.append(("words", said, lambda sets: replies([without_words(segment, gone) for gone in sets], "text")))
    if "speech" in read:
        spans = [(segment.start + a, segment.start + b) for a, b in windows(segment)]
        moments = [Change(f"{a:.1f}–{b:.1f} s", a, b) for a, b in spans]
        kinds.append(("sound", moments, lambda sets: replies([silenced(segment, gone) for gone in sets], "speech")))
    there = list(ordered(read))
    whole = [Change(PHRASES.get(m, f"the {m}"), segment.start, segment.end) for m in there]
    kinds.append(
        ("modality", whole, lambda sets: replies.without([frozenset(there[i] for i in gone) for gone in sets]))
    )
    return kinds
