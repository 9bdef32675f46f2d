"""Attacks: the words or half seconds of a segment whose loss takes its label off the lead, found with the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from emofuse.modalities import Modality
from emofuse.model.counterfactual import Parts, Replies, search, silenced, towards, windows, without_words
from emofuse.model.model import EmotionModel
from emofuse.tasks import Task
from emofuse.types import Segment


@dataclass(frozen=True)
class Attack:
    """What may be taken away of a modality, and how much of it at each severity."""

    name: str
    modality: Modality
    severities: tuple[int, ...]
    unit: str
    parts: Callable[[Segment], int]
    without: Callable[[Segment, Parts], Segment]

    def on(self, model: EmotionModel, segment: Segment, task: Task, label: int, most: int) -> Segment:
        """The segment with the fewest of its parts gone, `most` of them, for which another class than the label leads;
        where none does, with those gone that come nearest (see `counterfactual.search`, here greedy from the start)."""
        replies = Replies(model, segment, task)

        def margins(sets: Sequence[Parts]) -> np.ndarray:
            return -towards(replies([self.without(segment, gone) for gone in sets], self.modality), label)

        if towards(replies.without([frozenset()]), label)[0] <= 0:
            return segment
        return self.without(segment, search(margins, self.parts(segment), most, pairs=0).gone)


ATTACKS = {
    attack.name: attack
    for attack in (
        Attack("word attack", "text", (1, 2, 4), "words left out", lambda s: len(s.words or ()), without_words),
        Attack("sound attack", "speech", (1, 2, 4), "half seconds silenced", lambda s: len(windows(s)), silenced),
    )
}
"""By name."""
