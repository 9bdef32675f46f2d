"""Which words belong to which moment: cues of a transcript laid on the clip's clock, and words cut out of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emofuse.media.segment import Span, sentences
from emofuse.media.transcript import Cue, join, spread, tokenize
from emofuse.types import Word

CHARACTERS_PER_SECOND = 15.0
"""How fast a text without sound is taken to be spoken, so that its words have times on the scale of speech."""


def by_sentence(cues: Sequence[Cue]) -> list[Cue]:
    """The same words with one cue for each sentence."""
    return [
        replace(cue, text=join(sentence))
        for cue in cues
        for sentence in sentences(Word(token, 0.0, 0.0) for token in tokenize(cue.text))
    ]


def laid_out(cues: Sequence[Cue], spoken: Sequence[tuple[float, float]] | None = None) -> list[Cue]:
    """Cues without times given the seconds they are probably said in, by their number of characters.

    `spoken` are the stretches (start, end) of the clip in which somebody speaks; None = there is no clip, and the text
    begins at 0 and is read at CHARACTERS_PER_SECOND.
    """
    sizes = np.array([sum(len(token) + 1 for token in tokenize(cue.text)) for cue in cues], float)
    ends = np.cumsum(sizes)
    total = float(ends[-1]) if len(ends) else 0.0
    if spoken is None:
        spoken = [(0.0, total / CHARACTERS_PER_SECOND)]
    lengths = np.array([end - start for start, end in spoken])
    reached = np.concatenate([[0.0], np.cumsum(lengths)])

    def moment(share: float, at_start: bool) -> float:
        position = share * reached[-1]
        side = "right" if at_start else "left"
        i = int(np.clip(np.searchsorted(reached, position, side) - 1, 0, len(lengths) - 1))
        return float(spoken[i][0] + min(max(position - reached[i], 0.0), lengths[i]))

    return [
        replace(cue, start=moment((end - size) / total, True), end=moment(end / total, False))
        for cue, size, end in zip(cues, sizes.tolist(), ends.tolist(), strict=True)
    ]


class CueReader:
    """Cues with times, read once from front to back."""

    def __init__(self, cues: Sequence[Cue]) -> None:
        self._cues = sorted((cue for cue in cues if cue.timed), key=lambda cue: cue.start or 0.0)
        self._first = 0

    def words(self, span: Span) -> tuple[Word, ...]:
        """The words whose middle lies in a span; spans are asked for in order of time."""
        while self._first < len(self._cues) and (self._cues[self._first].end or 0.0) < span.start:
            self._first += 1
        found: list[Word] = []
        for cue in self._cues[self._first :]:
            assert cue.start is not None and cue.end is not None
            if cue.start > span.end:
                break
            whole = span.start <= cue.start and cue.end <= span.end
            words = spread(cue.text, cue.start, cue.end)
            found += words if whole else [w for w in words if span.start <= (w.start + w.end) / 2 < span.end]
        return tuple(found)

    def speaker(self, span: Span) -> str | None:
        """Who says most of a span, as far as the cues name speakers."""
        shares: dict[str, float] = {}
        for cue in self._cues[self._first :]:
            assert cue.start is not None and cue.end is not None
            if cue.start > span.end:
                break
            if cue.speaker:
                shared = min(cue.end, span.end) - max(cue.start, span.start)
                shares[cue.speaker] = shares.get(cue.speaker, 0.0) + shared
        return max(shares, key=lambda name: shares[name]) if shares and max(shares.values()) > 0 else None
