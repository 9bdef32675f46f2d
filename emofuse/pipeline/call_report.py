"""A call's report: how each speaker starts, gets and ends, who talks how much, and the moments to listen to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from emofuse import pages
from emofuse.errors import DataError
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.measures import check_measure, measure
from emofuse.pipeline.overview import clock
from emofuse.types import Prediction

RECOVERED = 0.1
"""How much of a measure's way from start to worst an end must be short of the worst, at least, to be a recovery …"""
EDGE = 60.0
"""Seconds at either end of a call that are its start and its end, or a quarter of it where that is less."""
MOMENTS = 5
SATISFACTION = "satisfaction"
"""The task of a model that has learnt from a column of that name (recipes/manifest)."""


@dataclass(frozen=True)
class Course:
    """One speaker's course through a call, by a measure of which more is worse."""

    speaker: str
    start: float
    worst: float
    worst_at: float
    """Second at which the worst segment begins."""
    end: float
    recovered: bool
    """Whether the end is nearer to the start than to the worst."""
    talk: float
    """Share of the call in which this speaker talks."""
    satisfaction: float | None = None
    """Of the whole, 1 to 5, by a model that has learnt it from ratings; else None."""


@dataclass(frozen=True)
class Moment:
    """A segment to listen to."""

    speaker: str | None
    start: float
    end: float
    value: float
    words: str


@dataclass(frozen=True)
class CallReport:
    """One call."""

    source: str | None
    duration: float
    of: str
    courses: tuple[Course, ...]
    silence: float | None
    """Share of the call in which nobody talks; None where speakers were left out, whose talk is not known."""
    overlap: float | None
    """Share in which several do."""
    moments: tuple[Moment, ...]

    def row(self) -> dict[str, Any]:
        """The call as one row of a table, for many calls side by side."""
        row: dict[str, Any] = {"source": self.source, "duration": self.duration, "silence": self.silence}
        row["overlap"] = self.overlap
        for course in self.courses:
            values = asdict(course)
            name = values.pop("speaker")
            row |= {f"{name}.{key}": value for key, value in values.items()}
        return row

    def to_html(self) -> str:
        """One page that holds all it shows."""
        header = ["speaker", "start", "worst", "at", "end", "recovered", "talks"]
        rated = any(c.satisfaction is not None for c in self.courses)
        header += ["satisfaction, 1 to 5"] if rated else []
        courses = [
            [
                *(c.speaker, f"{c.start:.2f}", f"{c.worst:.2f}", clock(c.worst_at), f"{c.end:.2f}"),
                *("yes" if c.recovered else "no", f"{c.talk:.0%}"),
                *(["" if c.satisfaction is None else f"{c.satisfaction:.1f}"] if rated else []),
            ]
            for c in self.courses
        ]
        moments = [[clock(m.start), m.speaker or "", f"{m.value:.2f}", m.words] for m in self.moments]
        title = f"{self.source or 'call'} ({clock(self.duration)})"
        shares = "who else talks was left out"
        if self.silence is not None and self.overlap is not None:
            shares = f"nobody talks in {self.silence:.0%}, several in {self.overlap:.0%} of the time"
        values = {"title": title, "of": self.of, "shares": shares, "header": header, "courses": courses}
        return str(pages.render("call.html", **values, moments=moments))


def call_report(analysis: Analysis, of: str = "negative") -> CallReport:
    """The report of a clip in which speakers are known; `of` is a measure of which more is worse.

    Raises `DataError` where nobody is known, or the model does not say the measure. It describes a call: it is no
    measure of how somebody does their work, and agents should be left out of it (`only=`).
    """
    check_measure(of)
    found = report_of(analysis.source, analysis.duration, analysis.segments, of, analysis.words_of, analysis.start)
    partly = any(getattr(note, "code", "") == "only" for note in analysis.notes)
    return replace(found, silence=None, overlap=None) if partly else found


def report_of(
    source: str | None,
    duration: float | None,
    segments: Sequence[Prediction],
    of: str,
    words_of: Callable[[Prediction], str] = lambda _: "",
    begins: float = 0.0,
) -> CallReport:
    """The same of predictions alone. Raises `DataError`."""
    spoken = [p for p in segments if p.speaker is not None and p.present & {"text", "speech"}]
    valued = [p for p in spoken if measure(p, of) is not None]
    if not valued or not duration:
        what = "has no clock" if not duration else f"has no speaker of whom {of} is known"
        raise DataError(f"{source or 'the clip'} {what}; give channels=, speakers= or a transcript with names")
    talked, several = _shares(spoken, duration)
    first, last = begins, begins + duration
    names = dict.fromkeys(p.speaker for p in valued if p.speaker is not None)
    courses = tuple(_course(name, [p for p in valued if p.speaker == name], of, first, last) for name in names)
    ranked = sorted(valued, key=lambda p: -(measure(p, of) or 0.0))[:MOMENTS]
    moments = tuple(Moment(p.speaker, p.start, p.end, measure(p, of) or 0.0, words_of(p)) for p in ranked)
    return CallReport(source, duration, of, courses, 1 - talked, several, moments)


def _course(name: str, segments: Sequence[Prediction], of: str, begins: float, ends: float) -> Course:
    duration = ends - begins
    edge = min(EDGE, duration / 4)
    first = [p for p in segments if p.start < begins + edge] or segments[:1]
    last = [p for p in segments if p.end > ends - edge] or segments[-1:]
    start, end = (_mean(part, [measure(p, of) or 0.0 for p in part]) for part in (first, last))
    worst = max(segments, key=lambda p: measure(p, of) or 0.0)
    peak = measure(worst, of) or 0.0
    recovered = peak - start >= RECOVERED and peak - end > (peak - start) / 2
    talk = sum(end - start for start, end in _merged(segments)) / duration
    rated = [(p, value) for p in segments if isinstance(value := p.others.get(SATISFACTION), float)]
    satisfied = _mean([p for p, _ in rated], [value for _, value in rated]) if rated else None
    return Course(name, start, peak, worst.start, end, recovered, min(1.0, talk), satisfied)


def _mean(segments: Sequence[Prediction], values: Sequence[float]) -> float:
    """Weighted by seconds."""
    seconds = [max(p.end - p.start, 1e-3) for p in segments]
    return sum(s * value for s, value in zip(seconds, values, strict=True)) / sum(seconds)


def _merged(segments: Sequence[Prediction]) -> list[tuple[float, float]]:
    """The seconds in which somebody talks, each once, however their segments overlap."""
    found: list[tuple[float, float]] = []
    for start, end in sorted((p.start, p.end) for p in segments):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _shares(segments: Sequence[Prediction], duration: float) -> tuple[float, float]:
    """(share in which somebody talks, share in which several do); a speaker's own segments count once."""
    names = {p.speaker for p in segments}
    stretches = [stretch for name in names for stretch in _merged([p for p in segments if p.speaker == name])]
    edges = sorted([(start, 1) for start, _ in stretches] + [(end, -1) for _, end in stretches])
    talked = several = before = 0.0
    count = 0
    for time, change in edges:
        talked += (time - before) * (count > 0)
        several += (time - before) * (count > 1)
        before, count = time, count + change
    return min(1.0, talked / duration), min(1.0, several / duration)
