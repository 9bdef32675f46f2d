"""Alignment: cues of a transcript on the clip's clock, and the words of each moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emofuse.media.segmentation import Span, sentences
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

    `spoken` are the stretches (start, end) of the clip in which somebody speaks, and a cue that ends near the end of
    one ends there; None = there is no clip, and the text begins at 0 and is read at CHARACTERS_PER_SECOND.
    """
    sizes = np.array([sum(len(token) + 1 for token in tokenize(cue.text)) for cue in cues], float)
    if not len(sizes):
        return []
    stretches = np.array(spoken or [(0.0, sizes.sum() / CHARACTERS_PER_SECOND)])
    reached = np.concatenate([[0.0], np.cumsum(stretches[:, 1] - stretches[:, 0])])
    ends = _snapped(np.cumsum(sizes) / sizes.sum() * reached[-1], reached[1:-1])
    starts = np.concatenate([[0.0], ends[:-1]])
    first = np.clip(np.searchsorted(reached, starts + 1e-6, "right") - 1, 0, len(stretches) - 1)
    last = np.clip(np.searchsorted(reached, ends - 1e-6, "left") - 1, 0, len(stretches) - 1)
    begin = stretches[first, 0] + starts - reached[first]
    end = stretches[last, 0] + ends - reached[last]
    return [replace(cue, start=a, end=max(a, b)) for cue, a, b in zip(cues, begin.tolist(), end.tolist(), strict=True)]


def spoken_by(cues: Sequence[Cue], voices: Sequence[Span]) -> list[Cue]:
    """Cues with the speaker who is heard for most of each; of nobody where no voice is."""
    return [replace(cue, speaker=_heard_in(cue, voices)) for cue in cues]


def _heard_in(cue: Cue, voices: Sequence[Span]) -> str | None:
    shares: dict[str | None, float] = {}
    for span in voices:
        shared = min(cue.end or 0.0, span.end) - max(cue.start or 0.0, span.start)
        if shared > 0:
            shares[span.speaker] = shares.get(span.speaker, 0.0) + shared
    return max(shares, key=lambda name: shares[name]) if shares else None


def _snapped(ends: np.ndarray, pauses: np.ndarray) -> np.ndarray:
    """Ends of cues, in seconds of speech, moved to a pause no further off than a third of the shorter cue beside it."""
    lengths = np.diff(ends, prepend=0.0)
    snapped = ends.copy()
    for i in range(len(ends) - 1 if len(pauses) else 0):
        nearest = pauses[np.abs(pauses - ends[i]).argmin()]
        if abs(nearest - ends[i]) <= min(lengths[i], lengths[i + 1]) / 3:
            snapped[i] = nearest
    return snapped


def _begins_before(cue: Cue, end: float) -> bool:
    """Whether a cue begins before this second and ends after it."""
    assert cue.start is not None and cue.end is not None
    return cue.start < end < cue.end


class CueReader:
    """Cues with times, read once from front to back."""

    def __init__(self, cues: Sequence[Cue]) -> None:
        self._cues = sorted((cue for cue in cues if cue.timed), key=lambda cue: cue.start or 0.0)
        self._first, self._asked = 0, 0.0

    def end_at(self, end: float) -> None:
        """The clip ends here: what a cue that begins before has not said yet, it says until then."""
        self._cues = [self._ended(cue, end) if _begins_before(cue, end) else cue for cue in self._cues]

    def _ended(self, cue: Cue, end: float) -> Cue:
        assert cue.start is not None and cue.end is not None
        left = [w for w in spread(cue.text, cue.start, cue.end) if (w.start + w.end) / 2 >= self._asked]
        return replace(cue, text=join(left), start=min(max(cue.start, self._asked), end), end=end) if left else cue

    def words(self, span: Span) -> tuple[Word, ...]:
        """The words whose middle lies in a span; spans are asked for in order of time."""
        self._asked = span.end
        while self._first < len(self._cues) and (self._cues[self._first].end or 0.0) < span.start:
            self._first += 1
        found: list[Word] = []
        for cue in self._cues[self._first :]:
            assert cue.start is not None and cue.end is not None
            if cue.start > span.end:
                break
            whole = span.start <= cue.start and cue.end <= span.end
            words = tuple(replace(word, speaker=cue.speaker) for word in spread(cue.text, cue.start, cue.end))
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
