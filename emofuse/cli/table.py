"""An analysis as people read it in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emofuse.pipeline.analysis import Analysis
from emofuse.types import MODALITIES, Prediction


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


def _headline(overall: Prediction) -> Text:
    """The three leading emotions of the clip, and the values that are known."""
    ranked = sorted((overall.emotions or {}).items(), key=lambda pair: -pair[1])[:3]
    parts = [f"{name} {share:.0%}" for name, share in ranked]
    if overall.polarity:
        parts.append(_leading(overall.polarity))
    parts += [
        f"{name} {value:+.2f}" for name in ("valence", "arousal") if (value := getattr(overall, name)) is not None
    ]
    return Text("overall: " + ", ".join(parts))


def _table(analysis: Analysis) -> Table:
    """Columns that say nothing for this clip (a single person, no words, an untrained value) are left out."""
    segments = analysis.segments
    columns: dict[str, list[str]] = {"time": [f"{_clock(p.start)} – {_clock(p.end)}" for p in segments]}
    if len({p.person for p in segments}) > 1:
        columns["person"] = ["" if p.person is None else str(p.person) for p in segments]
    columns["emotion"] = [_leading(p.emotions) for p in segments]
    for modality in MODALITIES:
        columns[modality] = [_leading(p.by_modality.get(modality)) for p in segments]
    columns["polarity"] = [_leading(p.polarity) for p in segments]
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
