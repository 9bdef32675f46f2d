"""The report of missing modalities: one table, as Markdown and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emofuse import plots
from emofuse.evaluation.missing import MissingScores
from emofuse.evaluation.report.cards import number
from emofuse.files import write_file
from emofuse.metrics.task import LABELS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write(found: MissingScores, out: str | Path) -> Path:
    """missing.json, missing.md and, of rates, missing.png in the folder `out`."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    write_file(out / "missing.json", json.dumps(found.to_dict(), indent=2, allow_nan=False))
    write_file(out / "missing.md", markdown(found))
    if any(row.condition.startswith("missing ") for row in found.rows):
        write_file(out / "missing.png", plots.png(plot(found)))
    return out


def plot(found: MissingScores) -> Figure:
    """The score against the share of modalities that was taken away, with the bounds of its 95 % interval."""
    rows = sorted((r for r in found.rows if not r.condition.startswith("only ")), key=lambda r: r.missing)
    shares = [r.missing for r in rows]
    curves = {"mean over seeds": (shares, [r.score.estimate for r in rows])}
    curves |= {f"95 % interval, {k}": (shares, [getattr(r.score, k) for r in rows]) for k in ("low", "high")}
    label = LABELS.get(found.metric, found.metric)
    known = [y for _, ys in curves.values() for y in ys if not math.isnan(y)]
    return plots.lines(
        curves, xlabel="share of modalities taken away", ylabel=label, title=f"{found.task}, {label}",
        limits=(min(0.0, *known), 1.02 * max(1.0, *known)) if known else None,
    )  # fmt: skip


def markdown(found: MissingScores) -> str:
    """What was measured on, and a row for each condition."""
    about = found.protocol
    split = f", split {about['split']} (hash {about['split_hash']})" if "split_hash" in about else ""
    seeds = ", ".join(map(str, about["seeds"]))
    lines = [
        f"{found.task} of {about['corpus'] or 'samples'}{split}, seeds {seeds}. {_chosen(about)}",
        "",
        f"| condition | n | taken away | {LABELS.get(found.metric, found.metric)} | 95 % interval | ± over seeds |",
        "|---|---|---|---|---|---|",
    ]
    for row in found.rows:
        band = f"{number(row.score.low)} to {number(row.score.high)}"
        spread = number(row.deviation) if len(row.seeds) > 1 else "–"
        lines.append(
            f"| {row.condition} | {row.n} | {row.missing:.1%} | {number(row.score.estimate)} | {band} | {spread} |"
        )
    lines += ["", *(f"Note: {note}.\n" for note in found.notes)] if found.notes else []
    return "\n".join(lines).rstrip() + "\n"


def _chosen(about: Mapping[str, Any]) -> str:
    """Whether these samples may have chosen anything."""
    if about.get("split") == "dev":
        return "This evaluation chooses nothing; training may have chosen its epoch on these dev samples."
    return "This evaluation chooses nothing."
