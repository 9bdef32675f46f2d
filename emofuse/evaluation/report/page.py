"""The evaluation report as HTML and Markdown."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from emofuse import pages, plots
from emofuse.data.examples import Example
from emofuse.evaluation.audit import FEWEST, gap
from emofuse.evaluation.evaluate import Evaluation, TaskEvaluation
from emofuse.evaluation.predict import GIVEN, save
from emofuse.evaluation.report import cards, published
from emofuse.evaluation.report.cards import number
from emofuse.files import write_file
from emofuse.metrics import Interval
from emofuse.metrics.task import LABELS, LOWER_IS_BETTER, by_subset
from emofuse.modalities import MODALITIES, Subset, named_subset, ordered, subset_name, subsets_of

FEW = 50
"""Samples below which a curve's steps are those of single samples."""
TOLD = ("seeds", "dev_chose")
"""What a checkpoint's report may not tell: said so, rather than left out."""
MOST_CURVES = 7
"""Lines that can be told apart; of more classes, the most frequent."""
SUBSETS_INTRO = (
    "One checkpoint, with no word of what is missing: each line scores the samples that have all of its modalities, "
    "with every other modality taken away."
)


CALIBRATION_INTRO = (
    "Of the samples given a confidence of 0.8, 80 % should be right. Before → after the temperature in the checkpoint; "
    "where it was fitted on this very split, the second number flatters. “By chance” is the ECE that so many samples "
    "would show if the confidence were exactly right: only what lies well above it is miscalibration. NLL and Brier "
    "compare with the whole distribution of votes where there are votes, ECE with what most raters said. In the "
    "diagrams a larger point holds more samples."
)


def write(found: Evaluation, out: str | Path) -> Path:
    """report.html, report.md, report.json and predictions.npz in the folder `out`."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    save(found.predictions, out / "predictions.npz")
    write_file(out / "report.json", json.dumps(found.to_dict(), indent=2, ensure_ascii=False, allow_nan=False))
    write_file(out / "report.md", markdown_report(found))
    write_file(out / "report.html", html_report(found))
    return out


def html_report(found: Evaluation) -> str:
    """One file with its pictures inside."""
    by_id = {s.id: s for s in found.samples}
    return pages.render(
        "evaluation.html",
        title=_title(found),
        headlines=_headlines(found),
        notes=found.notes,
        protocol=_protocol(found),
        tasks=[_task(task, by_id, found.protocol.get("corpus", "")) for task in found.tasks.values()],
    )


def _task(task: TaskEvaluation, by_id: Mapping[str, Example], corpus: str) -> dict[str, Any]:
    return {
        "name": task.task.name,
        "metrics": {"table": _metric_rows(task), "figure": _metrics(task)},
        "published": published.row(task, corpus),
        "classes": _classes(task),
        "curves": _curves(task),
        "subsets": {"intro": _subset_intro(task), "figure": _subsets(task), "table": _subset_rows(task)},
        "calibration": _calibration(task),
        "conformal": _conformal_rows(task) if task.conformal else None,
        "groups": [_group(task, kind) for kind in task.groups],
        "worst": cards.worst(task.worst, by_id),
        "worst_intro": cards.intro(task.worst),
    }


def markdown_report(found: Evaluation) -> str:
    """The same numbers as text and tables, without pictures."""
    lines = [f"# {_title(found)}", "", *(f"{line}\n" for line in _headlines(found))]
    if found.notes:
        lines += ["What these numbers cannot say:", "", *(f"- {n}" for n in found.notes), ""]
    for task in found.tasks.values():
        lines += [f"## {task.task.name}", "", *_markdown_table(*_metric_rows(task)), ""]
        if form := published.row(task, found.protocol.get("corpus", "")):
            lines += ["### As the papers' table has it", "", *_markdown_table(*form), ""]
        if "per_class" in task.report:
            lines += ["### Classes", "", *_markdown_table(*_class_rows(task)), ""]
        lines += ["### Subsets of modalities", "", _subset_intro(task), "", *_markdown_table(*_subset_rows(task)), ""]
        if task.calibration:
            lines += ["### Calibration", "", CALIBRATION_INTRO, "", *_markdown_table(*_calibration_rows(task)), ""]
        if task.conformal:
            lines += ["### Prediction sets", "", *_markdown_table(*_conformal_rows(task)), ""]
        for kind, groups in task.groups.items():
            lines += [
                f"### By {kind}",
                "",
                _gap_sentence(task, groups),
                "",
                *_markdown_table(*_group_rows(task, kind)),
                "",
            ]
        if task.worst:
            lines += ["### Worst errors", "", *_markdown_table(*cards.rows(task.worst)), ""]
    lines += ["## Protocol", "", *_markdown_table(("", ""), _protocol(found)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _title(found: Evaluation) -> str:
    p = found.protocol
    what = " ".join(str(p[k]) for k in ("corpus", "split") if p.get(k))
    return f"{p.get('model') or 'a model'} on {what or 'samples'}"


def _headlines(found: Evaluation) -> list[str]:
    lines = []
    for name, task in found.tasks.items():
        i = task.intervals[task.leading]
        lines.append(f"{name}: {LABELS[task.leading]} {_band(i)} over {task.report['n']} samples")
    return lines


def _band(i: Interval) -> str:
    if math.isnan(i.low):
        return number(i.estimate)
    return f"{number(i.estimate)} ({100 * i.level:.0f} % interval {number(i.low)} to {number(i.high)})"


def _protocol(found: Evaluation) -> list[tuple[str, str]]:
    names = {
        "model": "model", "emofuse": "emofuse", "reads": "what is read",
        "corpus": "corpus", "paired": "put together, each modality from",
        "views": "answered by the head of another task", "citation": "source", "licence": "licence",
        "split": "split", "split_hash": "split hash", "evaluated_hash": "hash of what was evaluated",
        "labels_hash": "hash of ids and labels", "seeds": "seeds of the training",
        "dev_chose": "chosen on development data in training",
        "utterances": "utterances in the split", "limit": "limit", "n": "samples evaluated", "unlabelled": "unlabelled",
        "duplicates": "left out as copies of training samples",
        "clusters": "clusters", "cluster": "intervals resample by", "resamples": "resamples",
        "options": "reader options", "overrides": "changes to the folding of labels",
        "problems": "problems in the files", "reader_notes": "reader's notes",
    }  # fmt: skip
    rows = []
    for key, label in names.items():
        value = found.protocol.get(key)
        if key in TOLD and key in found.protocol:
            value = "not told by the checkpoint" if value is None else value or "nothing"
        if value is None or value in ("", {}, []):
            continue
        if key == "limit":
            value = f"{value}, every class in its share"
        if isinstance(value, Mapping):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        rows.append((label, "; ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return rows


def _metric_rows(task: TaskEvaluation) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows = [(LABELS[n], number(i.estimate), f"{number(i.low)} – {number(i.high)}") for n, i in task.intervals.items()]
    rest = [k for k in LABELS if k in task.report and k not in task.intervals]
    rows += [(LABELS[k], number(task.report[k]), "") for k in rest]
    for way, scores in (task.decided or {}).items():
        rows += [(f"{LABELS[metric]}, {way}", number(value), "") for metric, value in scores.items()]
    return ("metric", "value", "interval"), rows


def _metrics(task: TaskEvaluation) -> Markup:
    drawn = {LABELS[n]: (i.estimate, i.low, i.high) for n, i in task.intervals.items() if n != "mae"}
    lowest = min([0.0, *(v[0] for v in drawn.values() if not math.isnan(v[0]))])
    return _figure(plots.bars(drawn, xlabel="score, with its 95 % interval", limits=(lowest, 1.15)), "metrics")


def _class_rows(task: TaskEvaluation) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    each = task.report["per_class"]
    columns = [c for c in ("precision", "recall", "f1", "auroc") if c in next(iter(each.values()))]
    rows = [(name, *(number(v[c]) for c in columns), str(v["support"])) for name, v in each.items()]
    return ("class", *("AUROC" if c == "auroc" else "F1" if c == "f1" else c for c in columns), "samples"), rows


def _classes(task: TaskEvaluation) -> dict[str, Any] | None:
    if "per_class" not in task.report:
        return None
    confusion = task.report.get("confusion")
    drawn = "" if confusion is None else plots.confusion_matrix(confusion, task.report["classes"])
    return {"table": _class_rows(task), "figure": drawn and _figure(drawn, "confusion matrix")}


def _curves(task: TaskEvaluation) -> list[Markup]:
    """How accurate it is if it answers only where it is surest, and how well each class is told from the rest."""
    drawn = []
    if answered := task.curves.get("answered"):
        picture = plots.lines(
            {"accuracy": (answered["share"], answered["accuracy"])},
            xlabel="share of samples answered, the surest first", ylabel="accuracy",
            title="If it may abstain" + _few(task.report["n"]), steps=True,
        )  # fmt: skip
        alt = "accuracy against the share of samples answered"
        drawn.append(pages.image(plots.png(picture), alt, width=380, plot=True))
    if roc := task.curves.get("roc"):
        support = {c: task.report["per_class"][c]["support"] for c in roc}
        shown = sorted(roc, key=lambda c: -support[c])[:MOST_CURVES]
        picture = plots.lines(
            {c + _few(support[c]): (roc[c]["false"], roc[c]["true"]) for c in roc if c in shown},
            xlabel="false positives", ylabel="true positives", title="ROC, each class against the rest",
            chance=([0, 1], [0, 1]),
        )  # fmt: skip
        drawn.append(pages.image(plots.png(picture), "ROC curves by class", width=500, plot=True))
    return drawn


def _few(n: float) -> str:
    """Says beside a curve on how few samples it rests, each of which is a step of it."""
    return f" (only {n:g})" if n < FEW else ""


def _subset_intro(task: TaskEvaluation) -> str:
    text = SUBSETS_INTRO
    if len(task.subsets) < len(_askable(task)):
        there = ", ".join(task.subsets)
        text += f" Of the {len(_askable(task))}, these samples have {there}; "
        text += "--pair lends the missing modalities from other corpora."
    return text


def _askable(task: TaskEvaluation) -> tuple[Subset, ...]:
    """All that could be asked about: of the standard modalities and of those that were there."""
    return subsets_of({*MODALITIES, *(m for name in task.subsets for m in named_subset(name))})


def _subset_rows(task: TaskEvaluation) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    columns = list(dict.fromkeys((task.leading, *by_subset(task.task))))
    rows = []
    for name in map(subset_name, _askable(task)):
        values = task.subsets.get(name)
        if values is None:
            rows.append((name, *("–" for _ in columns), "", "0"))
        else:
            i = values["interval"]
            rows.append((
                name, *(number(values.get(c)) for c in columns),
                f"{number(i.low)} – {number(i.high)}", str(values["n"]),
            ))  # fmt: skip
    return ("subset", *(LABELS[c] for c in columns), f"interval of {LABELS[task.leading]}", "samples"), rows


def _subsets(task: TaskEvaluation) -> Markup | str:
    if len(task.subsets) <= 1:
        return ""
    columns = list(dict.fromkeys((task.leading, *by_subset(task.task))))
    cells = {
        named_subset(name): {LABELS[c]: values.get(c, math.nan) for c in columns}
        for name, values in task.subsets.items()
    }
    modalities = ordered(m for subset in _askable(task) for m in subset)
    lower = frozenset(LABELS[m] for m in LOWER_IS_BETTER)
    return _figure(plots.subset_table(cells, modalities, lower_is_better=lower), "metrics by subset of modalities")


def _calibration_rows(task: TaskEvaluation) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows = []
    for condition, c in task.calibration.items():
        pairs = [f"{number(c['before'][m])} → {number(c['after'][m])}" for m in ("ece", "ece_mass", "brier", "nll")]
        rows.append((condition, pairs[0], number(c["after"]["ece_by_chance"]), *pairs[1:], str(c["n"])))
    return ("modalities", "ECE", "by chance", "ECE (equal mass)", "Brier", "NLL", "samples"), rows


def _calibration(task: TaskEvaluation) -> dict[str, Any] | None:
    if not task.calibration:
        return None
    pictures = []
    for condition, c in task.calibration.items():
        same = abs(c["before"]["nll"] - c["after"]["nll"]) < 1e-4
        measured = {"as it is": c["after"]} if same else {"temperature 1": c["before"], "calibrated": c["after"]}
        curves = {
            name: (m["curve"]["confidence"], m["curve"]["accuracy"], m["curve"]["count"])
            for name, m in measured.items()
        }
        eces = {name: m["ece"] for name, m in measured.items()}
        if condition == GIVEN or len(task.subsets) > 1:
            drawn = plots.reliability_diagram(curves, eces=eces, title=condition)
            pictures.append(_figure(drawn, f"reliability diagram, {condition}"))
    return {"intro": CALIBRATION_INTRO, "table": _calibration_rows(task), "figures": pictures}


def _conformal_rows(task: TaskEvaluation) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows = [
        (
            m.upper(), number(c["asked"], 2), number(c["coverage"]),
            f"{number(c['coverage_range'][0])} – {number(c['coverage_range'][1])}", number(c["size"], 2),
        )
        for m, c in task.conformal.items()
    ]  # fmt: skip
    return ("method", "coverage asked", "coverage found", "over the halvings", "classes in a set"), rows


def _group_rows(task: TaskEvaluation, kind: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows = [
        (g, number(v["interval"].estimate), f"{number(v['interval'].low)} – {number(v['interval'].high)}", str(v["n"]))
        for g, v in task.groups[kind].items()
    ]
    return (kind, LABELS[task.leading], "interval", "samples"), rows


def _gap_sentence(task: TaskEvaluation, groups: dict[str, dict[str, Any]]) -> str:
    found = gap(groups)
    if found is None:
        return f"Fewer than two groups have {FEWEST} samples: too few to say that one is served worse than another."
    high, low, distance = found
    first, second = groups[high]["interval"], groups[low]["interval"]
    apart = first.low > second.high
    verdict = "their intervals do not overlap" if apart else "their intervals overlap, so chance may explain it"
    metric = LABELS[task.leading]
    return f"From {low} to {high}, {metric} differs by {number(distance)} (groups of {FEWEST} or more); {verdict}."


def _group(task: TaskEvaluation, kind: str) -> dict[str, Any]:
    groups = task.groups[kind]
    drawn = {f"{g} ({v['n']})": _triple(v["interval"]) for g, v in groups.items()}
    bars = plots.bars(drawn, xlabel=f"{LABELS[task.leading]}, with its 95 % interval")
    figure = _figure(bars, f"{LABELS[task.leading]} by {kind}")
    return {"kind": kind, "gap": _gap_sentence(task, groups), "figure": figure}


def _triple(i: Interval) -> tuple[float, float, float]:
    return i.estimate, i.low, i.high


def _figure(figure: Any, alt: str) -> Markup:
    """Shown at the size it was drawn for, whatever its resolution."""
    png = plots.png(figure)
    pixels = int.from_bytes(png[16:20], "big")
    return pages.image(png, alt, width=round(96 * pixels / figure.dpi), plot=True)


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in cells) + " |"

    return [line(header), "|" + "---|" * len(header), *(line(r) for r in rows)]
