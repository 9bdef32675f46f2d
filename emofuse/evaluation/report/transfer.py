"""The cross-corpus table as a page, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emofuse import pages
from emofuse.evaluation.report.cards import number
from emofuse.evaluation.transfer import Crossing, Figures, Transfer
from emofuse.files import write_file
from emofuse.metrics.task import LABELS

INTRO = (
    "Trained on {home}, measured on corpora that it was not trained on, over the labels that both have: samples of "
    "others are not counted, and probabilities are shares among the shared classes. The line of {home} is its own "
    "development data, which chose the epoch, over the same labels. Brackets are 95 % intervals over speakers, "
    "dialogues or videos of the mean of {runs}; ± is the standard deviation over seeds."
)


def write(found: Transfer, out: str | Path) -> Path:
    """transfer.html, transfer.md, transfer.csv and transfer.json in the folder `out`."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    write_file(out / "transfer.json", text + "\n")
    write_file(out / "transfer.csv", table_csv(found))
    write_file(out / "transfer.md", markdown(found))
    write_file(out / "transfer.html", html(found))
    return out


def html(found: Transfer) -> str:
    """One page."""
    tables = [(_heading(c), _shared(c), *_table(c)) for c in found.crossings]
    return pages.render(
        "transfer.html",
        title=_title(found),
        intro=_intro(found),
        notes=found.notes,
        tables=tables,
        protocols=[_protocol(p) for p in found.protocols],
    )


def markdown(found: Transfer) -> str:
    """The same tables as text."""
    lines = [f"# {_title(found)}", "", _intro(found), ""]
    for crossing in found.crossings:
        header, rows = _table(crossing)
        lines += [f"## {_heading(crossing)}", "", _shared(crossing), ""]
        lines += ["| " + " | ".join(cells) + " |" for cells in (header, ("---",) * len(header), *rows)]
        lines.append("")
    lines += [*(f"- {note}" for note in found.notes), ""] if found.notes else []
    lines += ["## Protocol", ""]
    lines += [f"- {'; '.join(f'{k} {v}' for k, v in _protocol(p))}" for p in found.protocols]
    return "\n".join(lines).rstrip() + "\n"


def table_csv(found: Transfer) -> str:
    """A row a corpus, task and metric."""
    text = io.StringIO(newline="")
    columns = (
        "task",
        "trained_on",
        "measured_on",
        "labels",
        "metric",
        "mean",
        "low",
        "high",
        "deviation",
        "n",
        "chance",
    )
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for c in found.crossings:
        for corpus, figures in ((c.home, c.at_home), (c.abroad, c.away)):
            for metric, i in figures.interval.items():
                chance = c.chance if metric == "uar" else None
                cells = (c.task, c.home, corpus, " ".join(c.labels), metric, i.estimate, i.low, i.high)
                row = (*cells, figures.deviation.get(metric), figures.n, chance)
                writer.writerow(dict(zip(columns, row, strict=True)))
    return text.getvalue()


def _title(found: Transfer) -> str:
    return f"{found.name} across corpora"


def _intro(found: Transfer) -> str:
    home = found.crossings[0].home if found.crossings else found.name
    seeds = ", ".join(map(str, found.seeds))
    return INTRO.format(
        home=home, runs=f"the runs of seeds {seeds}" if len(found.seeds) > 1 else f"one run, seed {seeds}"
    )


def _heading(crossing: Crossing) -> str:
    return f"{crossing.home} to {crossing.abroad}: {crossing.task}"


def _shared(crossing: Crossing) -> str:
    if not crossing.labels:
        return "A number, on the scale that both are folded into."
    text = f"Shared: {', '.join(crossing.labels)}."
    text += f" Left out: {', '.join(crossing.left_out)}." if crossing.left_out else ""
    return text + (f" A guess has a UAR of {number(crossing.chance)}." if crossing.chance else "")


def _table(crossing: Crossing) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    names = tuple(crossing.away.interval)
    sides = ((f"{crossing.home}, dev", crossing.at_home), (crossing.abroad, crossing.away))
    rows = [(corpus, *(_cell(figures, m) for m in names), str(figures.n)) for corpus, figures in sides]
    lost = (number(crossing.away.interval[m].estimate - crossing.at_home.interval[m].estimate) for m in names)
    return ("measured on", *(LABELS[m] for m in names), "samples"), [*rows, ("difference", *lost, "")]


def _cell(figures: Figures, metric: str) -> str:
    i = figures.interval[metric]
    spread = f" ± {number(figures.deviation[metric])}" if metric in figures.deviation else ""
    return f"{number(i.estimate)}{spread} ({number(i.low)} to {number(i.high)})"


def _protocol(protocol: Mapping[str, Any]) -> list[tuple[str, str]]:
    kept = ("corpus", "split", "n", "split_hash", "evaluated_hash", "cluster", "duplicates", "limit", "options")
    shown = [(k, protocol.get(k)) for k in (*kept, "citation", "licence")]
    return [(k.replace("_", " "), str(v)) for k, v in shown if v not in (None, "", {}, [])]
