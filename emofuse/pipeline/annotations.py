"""Annotations: an analysis as what annotators use, Praat TextGrid, ELAN eaf, RTTM, and a row a second."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

from emofuse.errors import MediaError, require_package
from emofuse.files import well_formed
from emofuse.pipeline import formats
from emofuse.pipeline.aggregate import aggregate
from emofuse.types import Prediction

Words = Callable[[Prediction], str]
_LEAST = 0.001
"""Seconds of the shortest interval."""


def rttm(source: str | None, segments: Sequence[Prediction]) -> str:
    """Who speaks when, in NIST's Rich Transcription Time Marked format; nobody who is not known by a name."""
    stem = "_".join(Path(source).stem.split()) if source else "clip"
    lines = []
    for p in segments:
        if p.speaker is not None:
            name = "_".join(p.speaker.split())
            length = max(p.end - p.start, _LEAST)
            lines.append(f"SPEAKER {stem} 1 {p.start:.3f} {length:.3f} <NA> <NA> {name} <NA> <NA>\n")
    return "".join(lines)


def textgrid(segments: Sequence[Prediction], words: Words, duration: float | None) -> str:
    """A TextGrid with, for each speaker or person, a tier of emotions and one of words. Needs the extra `annotate`."""
    require_package("pympi", extra="annotate")
    from pympi.Praat import TextGrid

    tiers = _tiers(segments, words)
    end = max([duration or 0.0, _LEAST, *(stop for tier in tiers.values() for _, stop, _ in tier)])
    grid = TextGrid(xmin=0, xmax=end)
    for name, intervals in tiers.items():
        tier = grid.add_tier(name)
        for start, stop, value in intervals:
            tier.add_interval(start, stop, value.replace('"', '""'))
    return _written(lambda path: grid.to_file(str(path)), "a.TextGrid")


def eaf(source: str | None, segments: Sequence[Prediction], words: Words) -> str:
    """An ELAN document with the tiers of `textgrid`, linked to the source. Needs the extra `annotate`."""
    require_package("pympi", extra="annotate")
    from pympi.Elan import Eaf

    document = Eaf(author="emofuse")
    document.remove_tier("default")
    if source:
        document.add_linked_file(Path(source).resolve().as_uri(), relpath=Path(source).name, mimetype=_kind(source))
    for name, intervals in _tiers(segments, words).items():
        document.add_tier(name)
        for start, stop, value in intervals:
            document.add_annotation(name, round(start * 1000), max(round(stop * 1000), round(start * 1000) + 1), value)
    return _written(lambda path: document.to_file(str(path)), "a.eaf")


def check_step(step: float) -> float:
    """The seconds between two rows. Raises `MediaError` for too few or too many."""
    if not isinstance(step, Real) or not 0.01 <= step <= 3600:
        raise MediaError(f"a step of {step!r:.80} s is not usable; 0.01 to 3600 s are")
    return step


def by_second(source: str | None, segments: Sequence[Prediction], step: float = 1.0) -> list[dict[str, Any]]:
    """One flat row each `step` seconds and whom a prediction is about: the mean of what overlaps it, by its share."""
    rows = []
    last = max((p.end for p in segments), default=0.0)
    for number in range(math.ceil(last / step - 1e-9)):
        start, end = number * step, (number + 1) * step
        here = [p for p in segments if p.start < end - 1e-9 and p.end > start + 1e-9]
        for key in dict.fromkeys((p.speaker, p.person) for p in here):
            parts = [
                replace(p, start=max(p.start, start), end=min(p.end, end)) for p in here if (p.speaker, p.person) == key
            ]
            mean = aggregate(parts)
            assert mean is not None
            row = formats.as_row(source, replace(mean, start=start, end=end), "")
            rows.append({name: value for name, value in row.items() if name != "text"})
    return rows


def _tiers(segments: Sequence[Prediction], words: Words) -> dict[str, list[tuple[float, float, str]]]:
    """Name → intervals in order, none over another: what would be is cut where the next one begins."""
    tiers: dict[str, list[tuple[float, float, str]]] = {}
    for p in sorted(segments, key=lambda p: p.start):
        who = p.speaker or (f"person {p.person}" if p.person is not None else "clip")
        label = f"{p.top[0]} {p.top[1]:.2f}" if p.top else ""
        for kind, value in (("emotion", label), ("words", words(p))):
            if value:
                tiers.setdefault(f"{well_formed(who)} {kind}", []).append(
                    (p.start, max(p.end, p.start + _LEAST), value)
                )
    return {name: list(_apart(intervals)) for name, intervals in tiers.items()}


def _apart(intervals: Sequence[tuple[float, float, str]]) -> Iterator[tuple[float, float, str]]:
    for (start, end, value), following in zip(intervals, [*(i[0] for i in intervals[1:]), math.inf], strict=True):
        if min(end, following) - start >= _LEAST / 2:
            yield start, min(end, following), value


def _written(write: Callable[[Path], object], name: str) -> str:
    """The text of what a library can only write to a file."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_text("utf-8")


def _kind(source: str) -> str:
    """What ELAN calls the kind of a file, by its ending; a sound where it is not known."""
    import mimetypes

    return mimetypes.guess_type(source)[0] or "audio/x-wav"
