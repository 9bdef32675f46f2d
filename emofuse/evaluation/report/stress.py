"""The robustness report: curves by severity, the largest losses, and whether fusion compensates."""

from __future__ import annotations

import json
import math
from pathlib import Path

from markupsafe import Markup

from emofuse import pages, plots
from emofuse.evaluation.report.cards import number
from emofuse.evaluation.stress import TOGETHER, Curve, Stress
from emofuse.files import write_file
from emofuse.metrics import Interval
from emofuse.metrics.task import LABELS, LOWER_IS_BETTER
from emofuse.modalities import ordered

HEADER = ("perturbation", "severity", "condition", "score", "interval", "samples changed")
INTRO = (
    "{metric} on {n} samples, as one modality gets worse: as the only one, and with the other modalities left whole "
    "where samples have them. Adversarial steps are in the space of embeddings, relative to their length, "
    "against the answer to everything that is there; attacks take away up to so many words or half seconds, "
    "greedily, until another class than the label leads. Bands are 95 % intervals: a rise within them is chance."
)
WORST_INTRO = "What each perturbation costs at its most severe, the largest loss first."
COMPENSATES = (
    "Does fusion compensate? As the only one, the corrupted modality keeps {unimodal:.0%} of its score on average; "
    "with the others left whole, {both:.0%} is kept. In {worse} of {all} leaving it out would have been better."
)


def write(found: Stress, out: str | Path) -> Path:
    """stress.json, stress.md and stress.html in the folder `out`."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    write_file(out / "stress.json", json.dumps(found.to_dict(), indent=2, allow_nan=False))
    write_file(out / "stress.md", markdown(found))
    write_file(out / "stress.html", html(found))
    return out


def html(found: Stress) -> str:
    """A page: what costs most, a curve for each perturbation, every number."""
    there = ordered(c.modality for c in found.curves)
    curves = [(m, [_picture(c, found.metric) for c in found.curves if c.modality == m]) for m in there]
    return pages.render(
        "stress.html",
        title=_title(found),
        intro=_intro(found),
        verdict=_verdict(found),
        costs=costs(found),
        curves=curves,
        header=HEADER,
        rows=[row for curve in found.curves for row in _rows(curve)],
    )


def markdown(found: Stress) -> str:
    """The same numbers as tables."""
    lines = [f"# {_title(found)}", "", _intro(found), "", "## Largest losses", "", _verdict(found), ""]
    lines += [*_table(*costs(found)), "", "## All scores", ""]
    lines += _table(HEADER, [row for curve in found.curves for row in _rows(curve)])
    return "\n".join(lines) + "\n"


def costs(found: Stress) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A row for each perturbation at its most severe: the metric before and after, unimodal and with the others."""
    together = any(TOGETHER in curve.points for curve in found.curves)
    rows = []
    for curve in sorted(found.curves, key=lambda c: -_cost(c, _unimodal(c), found.metric)):
        row = [curve.name, f"{curve.labels[-1]} ({curve.unit})", _change(curve, _unimodal(curve))]
        row.append(_signed(_cost(curve, _unimodal(curve), found.metric)))
        if together:
            has = TOGETHER in curve.points
            row.append(_change(curve, TOGETHER) if has else "–")
            row.append(_signed(_cost(curve, TOGETHER, found.metric)) if has else "–")
            row.append(number(curve.without.estimate) if curve.without else "–")
        rows.append(tuple(row))
    header = ("perturbation", "at its most severe", "unimodal", "cost")
    return (*header, TOGETHER, "cost", "the others by themselves") if together else header, rows


def _verdict(found: Stress) -> str:
    """What is kept at the most severe, unimodal and with the others, and whether the others by themselves do better."""
    both = [c for c in found.curves if c.without is not None and c.clean[TOGETHER].estimate > 0]
    if not both or found.metric in LOWER_IS_BETTER:
        return WORST_INTRO
    kept = {name: sum(_kept(c, name or _unimodal(c)) for c in both) / len(both) for name in ("", TOGETHER)}
    worse = sum(c.points[TOGETHER][-1].estimate < c.without.estimate for c in both if c.without is not None)
    return f"{WORST_INTRO} {COMPENSATES.format(unimodal=kept[''], both=kept[TOGETHER], worse=worse, all=len(both))}"


def _kept(curve: Curve, condition: str) -> float:
    clean = curve.clean[condition].estimate
    return curve.points[condition][-1].estimate / clean if clean > 0 else 0.0


def _unimodal(curve: Curve) -> str:
    return next(condition for condition in curve.points if condition != TOGETHER)


def _cost(curve: Curve, condition: str, metric: str) -> float:
    """How much worse the most severe is than the unperturbed, whichever way is better."""
    drop = curve.clean[condition].estimate - curve.points[condition][-1].estimate
    drop = 0.0 if math.isnan(drop) else drop
    return -drop if metric in LOWER_IS_BETTER else drop


def _change(curve: Curve, condition: str) -> str:
    return f"{number(curve.clean[condition].estimate)} → {number(curve.points[condition][-1].estimate)}"


def _signed(cost: float) -> str:
    return f"{cost:.3f}".replace("-", "−")


def _rows(curve: Curve) -> list[tuple[str, ...]]:
    rows = []
    for condition, intervals in curve.points.items():
        rows.append(_row(curve.name, "none", condition, curve.clean[condition], 0.0))
        rows += [
            _row(curve.name, f"{label} ({curve.unit})", condition, interval, share)
            for label, interval, share in zip(curve.labels, intervals, curve.changed, strict=True)
        ]
    return rows


def _row(name: str, severity: str, condition: str, i: Interval, share: float) -> tuple[str, ...]:
    return name, severity, condition, number(i.estimate), f"{number(i.low)} – {number(i.high)}", f"{100 * share:.0f} %"


def _picture(curve: Curve, metric: str) -> Markup:
    lines = {
        condition: [(x, (i.estimate, i.low, i.high)) for x, i in enumerate([curve.clean[condition], *intervals])]
        for condition, intervals in curve.points.items()
    }
    figure = plots.severity_curves(
        lines,
        level=("the others by themselves", curve.without.estimate) if curve.without else None,
        xlabel=curve.unit,
        ylabel=LABELS[metric],
        ticks=("none", *curve.labels),
        title=curve.name,
    )
    return pages.image(plots.png(figure), f"{LABELS[metric]} against {curve.name}", width=430, plot=True)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (header, ("---",) * len(header), *rows)]


def _intro(found: Stress) -> str:
    """What is measured, and how many samples no head has learnt to answer, each condition once."""
    counts = {name: n for curve in found.curves for name, n in curve.unanswered.items()}
    lacking = [
        f"{n} samples of {name} are left out: no head has learnt to answer from that." for name, n in counts.items()
    ]
    return " ".join([INTRO.format(metric=LABELS[found.metric], n=found.protocol["n"]), *lacking])


def _title(found: Stress) -> str:
    p = found.protocol
    what = " ".join(str(p[k]) for k in ("corpus", "split") if p.get(k))
    return f"{p.get('model') or 'a model'} under stress" + (f", {what}" if what else "") + f": {found.task}"
