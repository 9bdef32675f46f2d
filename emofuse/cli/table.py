"""Tables of an analysis for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emofuse.corpora.stats import Statistics
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.overview import clock, columns, headline


def show(analysis: Analysis, told: set[str] | None = None) -> None:
    """Print the whole clip's emotion, then a line a segment and person, then the notes that were not `told` before."""
    told = set() if told is None else told
    console = Console()
    title = (
        analysis.source or "text" if analysis.duration is None else f"{analysis.source} ({clock(analysis.duration)})"
    )
    console.print(Text(title, style="bold"), highlight=False)
    if analysis.overall is not None:
        console.print(Text(f"overall: {headline(analysis.overall)}"), highlight=False)
        if analysis.overall.by_prototype:
            likeness = ", ".join(f"{name} {value:+.2f}" for name, value in analysis.overall.by_prototype.items())
            console.print(Text(f"not learnt, by prototype: {likeness}"), highlight=False)
    for name, mean in analysis.speakers.items() if len(analysis.speakers) > 1 else ():
        console.print(Text(f"{name}: {headline(mean)}"), highlight=False)
    for number, mean in analysis.persons.items() if len(analysis.persons) > 1 and not analysis.speakers else ():
        console.print(Text(f"person {number}: {headline(mean)}"), highlight=False)
    if analysis.segments:
        console.print(_table(analysis))
    for firing in analysis.acts or ():
        at = "" if firing.start is None else f" at {clock(firing.start)}"
        console.print(Text(f"{firing.do} ({firing.act}){at}: {firing.say}".rstrip(": ")), highlight=False)
    for note in dict.fromkeys(note for note in analysis.notes if note not in told):
        console.print(Text(f"note: {note}", style="dim"), highlight=False)
    told |= set(analysis.notes)


def show_rows(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> None:
    """Print a table; columns after the first `left` are numbers."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for place, name in enumerate(header):
        table.add_column(name, justify="left" if place < left else "right")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


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


def _table(analysis: Analysis) -> Table:
    """As `columns` has it."""
    shown = columns(analysis.segments, analysis.words_of)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in shown:
        table.add_column(name, no_wrap=name != "words", overflow="fold" if name == "words" else "ellipsis")
    for row in zip(*shown.values(), strict=True):
        table.add_row(*(Text(cell) for cell in row))
    return table
