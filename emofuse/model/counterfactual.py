"""Counterfactuals: answers to a segment with parts of it taken away, and the fewest parts that change them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb

import numpy as np
import torch
from jaxtyping import Float

from emofuse.batch import Batch, collate
from emofuse.modalities import Modality
from emofuse.model.model import EmotionModel
from emofuse.tasks import Task
from emofuse.torch_state import plain_torch
from emofuse.types import SAMPLE_RATE, Segment, Tokens

WINDOW = 0.5
"""Seconds of sound that are silenced together; longer where a segment would have more than MOST_PARTS of them."""
MOST_PARTS = 60
PAIRS = 400
"""Pairs of parts up to which all of them are tried."""
ROWS = 32
"""Variants that are run as one batch."""
Parts = frozenset[int]
Margins = Callable[[Sequence[Parts]], np.ndarray]
"""How far the answer is changed, by what is taken away: above 0 it is."""


class Replies:
    """Answers of one task to variants of a segment that differ in one modality; the others are encoded once."""

    def __init__(self, model: EmotionModel, segment: Segment, task: Task) -> None:
        self.model, self.segment, self.task = model, segment, task
        self._batch = collate([model.prepare(segment)]).to(model.device)
        self._tokens: dict[Modality, Tokens] | None = None

    def __call__(self, variants: Sequence[Segment], modality: Modality) -> Float[np.ndarray, "variants width"]:
        """Calibrated; NaN where the model has not learnt the task from what is present."""
        parts = [variants[i : i + ROWS] for i in range(0, len(variants), ROWS)]
        found = [self._fused([v.only(modality) for v in part], modality) for part in parts]
        return np.concatenate(found) if found else np.empty((0, self.task.width))

    def without(self, gone: Sequence[frozenset[Modality]]) -> Float[np.ndarray, "variants width"]:
        """With whole modalities taken away."""
        tokens = {m: repeated(t, len(gone)) for m, t in self._encoded().items()}
        there = {m: torch.tensor([m not in g for g in gone], device=self.model.device) for m in tokens}
        return self._answers(tokens, self._present(there, len(gone)))

    def _fused(self, changed: Sequence[Segment], modality: Modality) -> np.ndarray:
        varied = collate([self.model.prepare(segment) for segment in changed]).to(self.model.device)
        tokens = {m: repeated(t, len(changed)) for m, t in self._encoded().items() if m != modality}
        tokens[modality] = self._encode(varied)[modality]
        return self._answers(tokens, self._present({modality: varied.present[modality]}, len(changed)))

    def _present(self, there: dict[Modality, torch.Tensor], rows: int) -> dict[Modality, torch.Tensor]:
        return {m: there[m] if m in there else v.expand(rows) for m, v in self._batch.present.items()}

    def _encoded(self) -> dict[Modality, Tokens]:
        self._tokens = self._tokens or self._encode(self._batch)
        return self._tokens

    @plain_torch()
    @torch.no_grad()
    def _encode(self, batch: Batch) -> dict[Modality, Tokens]:
        return self.model.encode(batch)

    @plain_torch()
    @torch.no_grad()
    def _answers(self, tokens: dict[Modality, Tokens], present: dict[Modality, torch.Tensor]) -> np.ndarray:
        logits = self.model.fuse(tokens, present).logits
        subset = replace(self._batch, present=present).subset_index()
        return self.model.answers(logits, subset)[self.task.name].double().cpu().numpy()


def repeated(tokens: Tokens, times: int) -> Tokens:
    """The tokens of one sample as those of several."""
    return Tokens(*(part.expand(times, *part.shape[1:]) for part in (tokens.states, tokens.mask, tokens.times)))


def without_words(segment: Segment, gone: Parts) -> Segment:
    """The segment with the words of these places left out."""
    return replace(segment, words=tuple(w for i, w in enumerate(segment.words or ()) if i not in gone))


def windows(segment: Segment) -> list[tuple[float, float]]:
    """Start and end, in seconds of the sound, of what is silenced together."""
    length = 0.0 if segment.waveform is None else len(segment.waveform) / SAMPLE_RATE
    step = max(WINDOW, length / MOST_PARTS)
    return [(float(start), min(length, float(start + step))) for start in np.arange(0, length - 1e-6, step)]


def silenced(segment: Segment, gone: Parts) -> Segment:
    """The segment with these of its `windows` silent."""
    if segment.waveform is None:
        return segment
    waveform, parts = segment.waveform.copy(), windows(segment)
    for place in gone:
        start, end = parts[place]
        waveform[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] = 0
    return replace(segment, waveform=waveform)


def towards(answers: Float[np.ndarray, "variants width"], target: int) -> Float[np.ndarray, " variants"]:
    """By how much a class leads the others; what was not learnt never does."""
    others = np.delete(answers, target, axis=1).max(axis=1)
    return np.nan_to_num(answers[:, target] - others, nan=-np.inf)


@dataclass(frozen=True)
class Found:
    """What a search took away."""

    gone: Parts
    changed: bool
    """Whether that changes the answer; else it is what comes nearest."""
    least: int
    """No fewer parts than these change it: all sets of fewer were tried."""
    tried: int


def search(margins: Margins, parts: int, most: int, *, pairs: int = PAIRS) -> Found:
    """The fewest of some parts to take away for a margin above 0, at most `most` of them and never all.

    Every single part is tried, then every pair where there are no more than `pairs`: what is found there is the least
    there is. Beyond, the search is greedy: it takes away what helps most, one part after another, and puts back what
    was not needed, so that of what is found no single part can be put back, but fewer others may do. It asks for the
    margins of `parts` × `most` + `most`² + `pairs` sets at most.
    """
    most, tried = min(most, parts - 1), 0
    if most < 1:
        return Found(frozenset(), False, 1, 0)
    singles = [frozenset({i}) for i in range(parts)]
    gone, margin = _best(singles, margins(singles))
    tried, least = parts, 2
    if margin <= 0 and most > 1 and comb(parts, 2) <= pairs:
        both = [frozenset(pair) for pair in combinations(range(parts), 2)]
        better, its = _best(both, margins(both))
        tried, least = tried + len(both), 3
        gone, margin = (better, its) if its > margin else (gone, margin)
    elif margin > 0:
        return Found(gone, True, 1, tried)
    while margin <= 0 and len(gone) < most:
        further = [gone | {i} for i in range(parts) if i not in gone]
        gone, margin = _best(further, margins(further))
        tried += len(further)
    while margin > 0 and len(gone) > least:
        fewer = [gone - {i} for i in sorted(gone)]
        smaller, its = _best(fewer, margins(fewer))
        tried += len(fewer)
        if its <= 0:
            break
        gone = smaller
    return Found(gone, margin > 0, min(least, len(gone)) if margin > 0 else least, tried)


def _best(sets: Sequence[Parts], margins: np.ndarray) -> tuple[Parts, float]:
    place = int(np.argmax(margins))
    return sets[place], float(margins[place])
