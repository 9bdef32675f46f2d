"""Methods of fusion compared on the same states: one recipe, a run a method, one table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from emofuse.files import write_file
from emofuse.metrics.task import LABELS, headline
from emofuse.tasks import Task
from emofuse.training.outcome.ensemble import dev_intervals, members, spread
from emofuse.training.outcome.report import finite
from emofuse.training.recipe.read import method_recipes
from emofuse.training.recipe.schema import Recipe
from emofuse.training.single import OnEpoch, later
from emofuse.training.trainer import is_first

TABLE = "methods"
"""Name of the table, as Markdown and as JSON, in the run's folder."""


def compare_methods(recipe: Recipe, fit: Callable[..., Path], on_epoch: OnEpoch | None) -> Path:
    """Train every method of `recipe.method` and write `methods.md` and `methods.json`.

    Data, seeds, encoders, schedule and everything else are the same. Returns the checkpoint folder of the best dev
    score.
    """
    folders: dict[str, Path] = {}
    for number, (method, own) in enumerate(method_recipes(recipe).items()):
        runs = max(1, len(list(members(own))))
        folders[method] = fit(own, on_epoch=later(on_epoch, number * runs * recipe.train.epochs))
    if not is_first():
        return recipe.folder
    rows = [_row(method, own, recipe.model.all_tasks()) for method, own in method_recipes(recipe).items()]
    write_file(recipe.folder / f"{TABLE}.json", json.dumps(rows, indent=2, allow_nan=False) + "\n")
    write_file(recipe.folder / f"{TABLE}.md", table(rows, recipe))
    best = max(rows, key=lambda row: row["score"] * row["sign"])
    return folders[best["method"]]


def _row(method: str, recipe: Recipe, tasks: Sequence[Task]) -> dict[str, Any]:
    """What is told of a method: figures of every dev set, parameters of what fuses, time."""
    folders = [recipe.folder / label for label, _, _ in members(recipe)]
    reports = [json.loads((f / "model" / "report.json").read_text("utf-8")) for f in folders]
    sets = {s: _figures(s, folders, reports, tasks) for s in reports[0]["metrics"]}
    return {
        "method": method,
        "runs": len(reports),
        "metric": reports[0]["metric"],
        "score": sum(r["score"] for r in reports) / len(reports),
        "sign": reports[0]["sign"],
        "parameters": reports[0]["parameters"]["fusion and heads"]["all"],
        "seconds": round(sum(r["seconds"] for r in reports), 1),
        "split": [d["split"] for d in reports[0]["data"]],
        "sets": sets,
    }


def _figures(
    name: str, folders: Sequence[Path], reports: Sequence[Mapping[str, Any]], tasks: Sequence[Task]
) -> dict[str, dict[str, dict[str, float]]]:
    """Task → metric → value, with the deviation over several runs or the 95 % interval of a single one."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for task in (t for t in tasks if t.name in reports[0]["metrics"][name]):
        names = headline(task)
        figures = {m: spread([r["metrics"][name][task.name].get(m) for r in reports]) for m in names}
        if len(folders) == 1:
            for metric, band in dev_intervals(folders[0], name, task, names).items():
                figures[metric] = {"mean": figures[metric]["mean"], "n": 1} | finite(
                    {"low": band.low, "high": band.high}
                )
        found[task.name] = figures
    return found


def table(rows: Sequence[Mapping[str, Any]], recipe: Recipe) -> str:
    """The comparison as Markdown: a table a dev set and task, methods down, metrics across."""
    seeds = recipe.seeds or [recipe.seed]
    parts = [
        f"# {recipe.name}: methods of fusion on the same states\n",
        f"Development data, which chose the epoch of every method alike; seeds {', '.join(map(str, seeds))}; split "
        f"{', '.join(h[:12] for h in rows[0]['split'])}.\n",
    ]
    for name, tasks in rows[0]["sets"].items():
        for task, metrics in tasks.items():
            parts += [f"## {name}, {task}\n", _header(metrics), *(_line(row, name, task) for row in rows), ""]
    return "\n".join(parts)


def _header(metrics: Mapping[str, Any]) -> str:
    names = ["method", *(LABELS[m] for m in metrics), "fusion and heads", "minutes"]
    return "| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|"


def _line(row: Mapping[str, Any], name: str, task: str) -> str:
    cells = [row["method"], *(_cell(v) for v in row["sets"][name][task].values())]
    return "| " + " | ".join([*cells, f"{row['parameters']:,}", f"{row['seconds'] / 60:.1f}"]) + " |"


def _cell(value: Mapping[str, Any]) -> str:
    if value["mean"] is None:
        return "–"
    if value.get("low") is not None:
        return f"{value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
    return f"{value['mean']:.3f}" + (f" ± {value['std']:.3f}" if "std" in value else "")
