"""Diarisation: who speaks when in sound of one channel, in as many voices as are given or found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, groupby, pairwise

import numpy as np
from jaxtyping import Float, Int

from emofuse.errors import require_package
from emofuse.media.audio import AudioBlock, SoundBuffer
from emofuse.media.cutting import spans_heard
from emofuse.media.segmentation import SegmentOptions, Span
from emofuse.media.talk import MOST_SPEAKERS, Count
from emofuse.media.voices.cepstrum import cepstra
from emofuse.media.voices.voiceprint import pauses, projection, statistics

PAUSE = 20
"""Frames of 10 ms for which a pause must last to be where another may begin to speak."""
LONGEST, SHORTEST = 300, 60
"""Frames a stretch of one voice has at most, and at least to be heard for who it is."""
APART = 3.6
"""Distance of the means of two voices, in spreads within a speaker, from which they are two and not one."""
MOST_LINKED = 2000
"""Stretches that are linked with one another, some fifty minutes of talk: 16 MB of distances."""
LEAST = 2.0
"""Seconds of a voice that is counted."""


@dataclass(frozen=True)
class Stretch:
    """A piece of a span in which one person speaks, with the statistics of the voice (None = too short)."""

    span: int
    start: float
    end: float
    voice: Float[np.ndarray, " features"] | None


def check_extra() -> None:
    """Raise `MissingExtraError` without scikit-learn, which groups the voices."""
    require_package("sklearn", "speakers")


def told_apart(blocks: Iterator[AudioBlock], options: SegmentOptions, gap: float, speakers: Count) -> list[Span]:
    """Spans of speech by voice, named "speaker 1", "speaker 2" in the order in which they are first heard.

    `speakers` is how many there are; "auto" finds it. More than `gap` seconds without sound end what was being said.
    Raises `MissingExtraError` without scikit-learn.
    """
    check_extra()
    spans, stretches = _listen(blocks, options, gap)
    if not stretches:
        return spans
    voices = grouped(stretches, speakers)
    order = {voice: number for number, voice in enumerate(dict.fromkeys(voices.tolist()), 1)}
    named = []
    pairs = zip(stretches, voices.tolist(), strict=True)
    for (span, voice), group in groupby(pairs, lambda pair: (pair[0].span, pair[1])):
        pieces = [stretch for stretch, _ in group]
        name = f"speaker {order[voice]}"
        named.append(replace(spans[span], start=pieces[0].start, end=pieces[-1].end, speaker=name))
    return named


def grouped(stretches: Sequence[Stretch], speakers: Count) -> Int[np.ndarray, " stretches"]:
    """The number of the voice of each stretch: by average linkage of the cosine, the short ones as the one before.

    Number "auto" is the largest at which each two voices are `APART`, and each has `LEAST` seconds.
    """
    heard = [i for i, stretch in enumerate(stretches) if stretch.voice is not None]
    labels = np.zeros(len(stretches), int)
    if len(heard) < 2 or speakers == 1:
        return labels
    voices = np.stack([v for i in heard if (v := stretches[i].voice) is not None])
    points = (voices - voices.mean(axis=0)) @ projection()
    seconds = np.array([stretches[i].end - stretches[i].start for i in heard])
    found = _clustered(points, seconds, speakers)
    for position, i in enumerate(heard):
        labels[i] = found[position]
    for i in range(len(stretches)):
        if stretches[i].voice is None:
            labels[i] = labels[min(heard, key=lambda j: (_between(stretches[i], stretches[j]), j))]
    return labels


def _between(one: Stretch, other: Stretch) -> float:
    """Seconds from the end of the earlier of two stretches to the start of the later."""
    return max(one.start - other.end, other.start - one.end, 0.0)


def _clustered(points: np.ndarray, seconds: np.ndarray, speakers: Count) -> np.ndarray:
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    if not lengths.all():  # as the mean to the bit: a sound that repeats itself, which has no direction
        return np.zeros(len(points), int)
    directions = points / (lengths + 1e-12)

    def labels(count: int) -> np.ndarray:
        return _settled(directions, seconds, _linked(directions, count))

    if speakers != "auto":
        return labels(min(speakers, len(points)))
    chosen = np.zeros(len(points), int)
    for count in range(2, min(MOST_SPEAKERS, len(points)) + 1):
        found = labels(count)
        if _closest(points, seconds, found) < APART:
            break
        chosen = found
    return chosen


def _linked(directions: np.ndarray, count: int) -> np.ndarray:
    """The group of each direction by average linkage, which takes memory by the square of what it links: of very many,
    some at equal distances are linked, and the others go to the nearest mean."""
    from sklearn.cluster import AgglomerativeClustering

    some = directions[:: -(-len(directions) // MOST_LINKED)]
    found = AgglomerativeClustering(min(count, len(some)), metric="cosine", linkage="average").fit_predict(some)
    if len(some) == len(directions):
        return found
    means = np.stack([some[found == group].mean(axis=0) for group in range(found.max() + 1)])
    means /= np.linalg.norm(means, axis=1, keepdims=True) + 1e-12
    return (directions @ means.T).argmax(axis=1)


def _closest(points: np.ndarray, seconds: np.ndarray, labels: np.ndarray) -> float:
    """The distance of the two means that are nearest; 0 where a voice has too few seconds."""
    voices = range(labels.max() + 1)
    if min(float(seconds[labels == voice].sum()) for voice in voices) < LEAST:
        return 0.0
    means = [np.average(points[labels == voice], axis=0, weights=seconds[labels == voice]) for voice in voices]
    return min(float(np.linalg.norm(one - other)) for one, other in combinations(means, 2))


def _settled(points: np.ndarray, seconds: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each stretch with the voice whose mean, weighted by seconds, is nearest; until nothing changes."""
    for _ in range(10):
        weights = np.stack([seconds * (labels == label) for label in range(labels.max() + 1)])
        means = weights @ points
        means /= np.linalg.norm(means, axis=1, keepdims=True) + 1e-12
        nearest = (points @ means.T).argmax(axis=1)
        if (nearest == labels).all() or len(set(nearest.tolist())) < len(means):
            break
        labels = nearest
    return labels


def _listen(blocks: Iterator[AudioBlock], options: SegmentOptions, gap: float) -> tuple[list[Span], list[Stretch]]:
    """Spans of speech and the stretches of each; of the sound, only what is not yet in a span is kept."""
    sound, spans, stretches = SoundBuffer(), [], []
    for span in spans_heard(blocks, options, gap, sound):
        waveform = sound.cut(span.start, span.end)
        if waveform is not None:
            stretches += _stretches(len(spans), span, waveform)
            spans.append(span)
        sound.forget(span.end)
    return spans, stretches


def _stretches(number: int, span: Span, waveform: np.ndarray) -> Iterator[Stretch]:
    """A span cut in its pauses, and where it goes on for long without one, into equal parts."""
    frames = cepstra(waveform)
    edges = [0, *_cuts(frames), len(frames)] if len(frames) else [0, 0]
    for begin, end in pairwise(edges):
        start = span.start if begin == 0 else span.start + begin / 100
        stop = span.end if end == len(frames) else span.start + end / 100
        part = frames[begin:end]
        spoken = int((~pauses(part)).sum()) if len(part) else 0
        yield Stretch(number, start, stop, statistics(part) if spoken >= SHORTEST else None)


def _cuts(frames: np.ndarray) -> list[int]:
    """Middles of pauses, then places that leave no part longer than LONGEST."""
    quiet = np.concatenate([[False], pauses(frames), [False]])
    begins, ends = (np.flatnonzero(quiet[1:] & ~quiet[:-1]), np.flatnonzero(~quiet[1:] & quiet[:-1]))
    middles = [(a + b) // 2 for a, b in zip(begins, ends, strict=True) if b - a >= PAUSE and a > 0 and b < len(frames)]
    edges, cuts = [0, *middles, len(frames)], []
    for begin, end in pairwise(edges):
        count = int(np.ceil((end - begin) / LONGEST))
        cuts += [int(cut) for cut in np.linspace(begin, end, count + 1)[1:]] if count else []
    return cuts[:-1]
