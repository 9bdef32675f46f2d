"""Corpus statistics: counts by split, speaker and label, hours, and a picture of them."""

from __future__ import annotations

import statistics as measures
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from emofuse.corpora.clips import inspect_clip
from emofuse.errors import require_package
from emofuse.files import replacing
from emofuse.types import SPLITS, Utterance

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
"""Colours that stay apart for colour-blind readers (Okabe & Ito 2008)."""


@dataclass(frozen=True)
class Statistics:
    """Counts of a set of utterances, by split."""

    utterances: dict[str, int]
    speakers: dict[str, int]
    dialogues: dict[str, int]
    hours: dict[str, float]
    """Of sound or video; utterances whose length is not known are in `unmeasured`."""
    unmeasured: int
    with_media: int
    with_text: int
    unlabelled: int
    by_speaker: dict[str, int]
    names: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """label → split → name → count; votes count as shares."""
    numbers: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """label → split → count, mean, std, min, max."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)


def statistics(utterances: Iterable[Utterance], measure: bool = True) -> Statistics:
    """Count utterances; with `measure`, files without start and end are opened for their length."""
    utterances = tuple(utterances)
    hours: dict[str, float] = defaultdict(float)
    lengths: dict[Path, float | None] = {}
    unmeasured = 0
    for u in utterances:
        if u.media is None:
            continue
        seconds = _seconds(u, lengths, measure)
        if seconds is None:
            unmeasured += 1
        else:
            hours[u.split] += seconds / 3600
    names, numbers = _labels(utterances)
    return Statistics(
        utterances=_by_split(Counter(u.split for u in utterances)),
        speakers=_by_split(Counter(split for split, _ in {(u.split, u.speaker) for u in utterances})),
        dialogues=_by_split(Counter(split for split, _ in {(u.split, u.dialogue) for u in utterances if u.dialogue})),
        hours=_by_split(hours),
        unmeasured=unmeasured,
        with_media=sum(u.media is not None for u in utterances),
        with_text=sum(bool(u.text) for u in utterances),
        unlabelled=sum(not u.labels for u in utterances),
        by_speaker=dict(Counter(u.speaker for u in utterances).most_common()),
        names=names,
        numbers=numbers,
    )


def _by_split(counts: Mapping[str, Any]) -> dict[str, Any]:
    return {split: counts[split] for split in SPLITS if split in counts}


def _seconds(utterance: Utterance, lengths: dict[Path, float | None], measure: bool) -> float | None:
    start, end, media = utterance.start or 0.0, utterance.end, utterance.media
    if end is None and measure and media is not None:
        if media not in lengths:
            lengths[media] = inspect_clip(media).seconds
        end = lengths[media]
    return None if end is None else max(0.0, end - start)


def _labels(utterances: tuple[Utterance, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    names: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    numbers: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for u in utterances:
        for key, value in u.labels.items():
            if isinstance(value, str):
                names[key][u.split][value] += 1
            elif isinstance(value, Mapping):
                votes = {name: vote for name, vote in value.items() if isinstance(vote, (int, float))}
                total = sum(votes.values()) or 1.0
                for name, vote in votes.items():
                    names[key][u.split][name] += vote / total  # type: ignore[assignment]
            elif isinstance(value, (int, float)):
                numbers[key][u.split].append(float(value))
    counted = {key: {s: dict(sorted(c.items())) for s, c in _by_split(by).items()} for key, by in names.items()}
    described = {key: {s: _describe(v) for s, v in _by_split(by).items()} for key, by in numbers.items()}
    return counted, described


def _describe(values: list[float]) -> dict[str, float]:
    return {
        "count": len(values),
        "mean": measures.fmean(values),
        "std": measures.pstdev(values),
        "min": min(values),
        "max": max(values),
    }


def plot_statistics(stats: Statistics, path: str | Path) -> Path:
    """Draw utterances by speaker and the labels by split into a PNG, SVG or PDF, whole or not at all.

    Raises MissingExtraError without matplotlib.
    """
    require_package("matplotlib", "plot")
    from matplotlib.figure import Figure

    path = Path(path)
    panels = [("speaker", None), *((key, stats.names[key]) for key in stats.names)]
    figure = Figure(figsize=(8, 3.2 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), squeeze=False)[:, 0]
    for axis, (title, counts) in zip(axes, panels, strict=True):
        if counts is None:
            sizes = list(stats.by_speaker.values())
            axis.bar(range(len(sizes)), sizes, width=1.0, color=OKABE_ITO[0])
            axis.set(title=f"{len(sizes)} speakers", xlabel="speaker, by size", ylabel="utterances")
        else:
            _bars(axis, title, counts)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
    return path


def _bars(axis: Any, title: str, counts: dict[str, dict[str, float]]) -> None:
    labels = sorted({name for by in counts.values() for name in by})
    width = 0.8 / max(1, len(counts))
    for i, (split, by) in enumerate(counts.items()):
        places = [j + (i - (len(counts) - 1) / 2) * width for j in range(len(labels))]
        axis.bar(places, [by.get(name, 0) for name in labels], width, label=split, color=OKABE_ITO[i])
    axis.set_xticks(range(len(labels)), labels, rotation=45 if len(labels) > 8 else 0)
    axis.set(title=title, ylabel="utterances")
    axis.legend()
