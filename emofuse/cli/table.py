"""Tables of an analysis for the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emofuse.corpora.stats import Statistics
from emofuse.modalities import ordered
from emofuse.pipeline.analysis import Analysis
from emofuse.types import Prediction


def show(analysis: Analysis) -> None:
    """Print the whole clip's emotion, then a line a segment and person, then the notes."""
    console = Console()
    title = (
        analysis.source or "text" if analysis.duration is None else f"{analysis.source} ({_clock(analysis.duration)})"
    )
    console.print(Text(title, style="bold"), highlight=False)
    if analysis.overall is not None:
        console.print(_headline(analysis.overall), highlight=False)
    if analysis.segments:
        console.print(_table(analysis))
    for note in analysis.notes:
        console.print(Text(f"note: {note}", style="dim"), highlight=False)


def show_statistics(counted: Statistics) -> None:
    """Print what a data set holds: a line a split, then the labels."""
    splits = list(counted.utterances)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("", *splits):
        table.add_column(name, justify="left" if not name else "right")
    for name in ("utterances", "speakers", "dialogues", "hours"):
        counts = getattr(counted, name)
        if not any(counts.values()):
            continue
        table.add_row(name, *(f"{counts.get(split, 0):{'.2f' if name == 'hours' else ''}}" for split in splits))
    for label, by_split in counted.names.items():
        for name in sorted({name for counts in by_split.values() for name in counts}):
            table.add_row(f"{label}: {name}", *(f"{by_split.get(split, {}).get(name, 0):g}" for split in splits))
    for label, by_split in counted.numbers.items():
        cells = [by_split.get(split) for split in splits]
        table.add_row(f"{label}: mean ± std", *(f"{c['mean']:.2f} ± {c['std']:.2f}" if c else "" for c in cells))
    Console().print(table)
    if counted.unmeasured:
        Console().print(Text(f"note: the length of {counted.unmeasured} files is not known", style="dim"))


def _headline(overall: Prediction) -> Text:
    """The three leading emotions of the clip, and the values that are known."""
    ranked = sorted((overall.emotions or {}).items(), key=lambda pair: -pair[1])[:3]
    parts = [f"{name} {share:.0%}" for name, share in ranked]
    if overall.polarity:
        parts.append(_leading(overall.polarity))
    parts += [f"{overall.intensity_level} intensity"] if overall.intensity_level else []
    parts += [
        f"{name} {value:+.2f}" for name in ("valence", "arousal") if (value := getattr(overall, name)) is not None
    ]
    return Text("overall: " + ", ".join(parts))


def _table(analysis: Analysis) -> Table:
    """Columns that say nothing for this clip (one person, no words, a modality that is absent) are left out."""
    segments = analysis.segments
    columns: dict[str, list[str]] = {"time": [f"{_clock(p.start)}–{_clock(p.end)}" for p in segments]}
    if len({p.person for p in segments}) > 1:
        columns["person"] = ["" if p.person is None else str(p.person) for p in segments]
    columns["emotion"] = [_leading(p.emotions) for p in segments]
    if any("emotion" in p.sets for p in segments):
        columns["one of"] = [" or ".join(p.sets.get("emotion", ())) or "unclear" for p in segments]
    for modality in ordered(m for p in segments for m in p.by_modality):
        columns[modality] = [
            _leading(p.by_modality.get(modality)).rpartition(" ")[0] + "?" * (modality in p.unfamiliar)
            for p in segments
        ]
    columns["words"] = [analysis.words_of(p) for p in segments]
    table = Table(box=None, pad_edge=False, header_style="dim")
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    for name in shown:
        table.add_column(name, no_wrap=name != "words", overflow="fold" if name == "words" else "ellipsis")
    for row in zip(*shown.values(), strict=True):
        table.add_row(*(Text(cell) for cell in row))
    return table


def _leading(shares: dict[str, float] | None) -> str:
    """The first of a distribution with its probability; "" for none."""
    if not shares:
        return ""
    name = max(shares, key=lambda key: shares[key])
    return f"{name} {shares[name]:.0%}"


def _clock(seconds: float) -> str:
    """minutes:seconds.tenths"""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02}.{tenths % 10}"
