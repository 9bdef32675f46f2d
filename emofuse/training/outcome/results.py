"""The results table in the README of a corpus's recipes, rewritten from trained runs.

`python -m emofuse.training.outcome.results RECIPE root=ROOT`: recipes/run.sh calls it after training. Every figure of
the table has the command that made it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emofuse.corpora.registry import read
from emofuse.errors import CheckpointError, DataError, EmofuseError
from emofuse.evaluation.evaluate import Evaluation, evaluate_checkpoint
from emofuse.evaluation.report.page import write
from emofuse.evaluation.report.published import tables
from emofuse.files import write_file
from emofuse.metrics.task import LABELS, headline
from emofuse.model.model import EmotionModel
from emofuse.training.outcome import pooled
from emofuse.training.outcome.ensemble import members
from emofuse.training.recipe.read import load_recipe, method_recipes
from emofuse.training.recipe.schema import Recipe
from emofuse.types import Split

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
HEADER = ("recipe", "split", "task", "n", "figures", "runs")
SENTIMENT = ("acc2_has0", "acc2_non0", "f1_has0")


@dataclass(frozen=True)
class Row:
    """One line of the table: a task of a recipe on a split."""

    recipe: str
    split: str
    task: str
    n: str
    figures: str
    runs: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What a newer row replaces."""
        return self.recipe, self.split, self.task

    def line(self) -> str:
        """As Markdown."""
        return f"| {self.recipe} | {self.split} | {self.task} | {self.n} | {self.figures} | {self.runs} |"


def measure(recipe: Recipe, name: str, splits: Sequence[Split] = ("dev", "test")) -> list[Row]:
    """Evaluate every run of a recipe of one corpus on the splits that have utterances; reports lie beside each run.

    Of a recipe that compares methods, every method's; where the papers on the corpus have a table of their own form,
    `SPLIT-TASK.md` and `.csv` in the recipe's folder are in it. Of `folds`, `folds-SPLIT.md` and `.json` there hold
    what `pooled.pool` makes of them. Raises CheckpointError when a run is not trained, DataError when the recipe has
    several corpora.
    """
    if len(recipe.data.sources) != 1:
        raise DataError(f"{recipe.name} trains on several corpora; evaluate it on each with emofuse evaluate")
    compared = method_recipes(recipe) or {"": recipe}
    found = {method: _evaluated(own, splits) for method, own in compared.items()}
    for split in next(iter(found.values())):
        each = {method or recipe.name: parts[split] for method, parts in found.items()}
        for task, (markdown, table) in tables(each, recipe.data.sources[0].corpus).items():
            write_file(recipe.folder / f"{split}-{task}.md", markdown)
            write_file(recipe.folder / f"{split}-{task}.csv", table)
    return [
        row
        for method, parts in found.items()
        for split, each in parts.items()
        for row in rows_of(f"{name}, {method}" if method else name, split, each)
    ]


def _evaluated(recipe: Recipe, splits: Sequence[Split]) -> dict[str, list[Evaluation]]:
    """Split → an evaluation of every run; folds are pooled."""
    found: dict[str, dict[str, Evaluation]] = {}
    for label, own, _ in members(recipe):
        folder = recipe.folder / label
        if not (folder / "model" / "config.json").is_file():
            raise CheckpointError(f"{folder} holds no trained model; run emofuse train first")
        model = EmotionModel.from_pretrained(folder / "model")
        for split in splits:
            source = own.data.sources[0]
            root = own.source_root(source)
            if not read(source.corpus, root, split, **source.options).utterances:
                continue
            evaluation = evaluate_checkpoint(
                model,
                source.corpus,
                root,
                split,
                options=source.options,
                overrides=source.labels,
                name=own.name,
                folder=folder / "model",
            )
            write(evaluation, folder / "evaluation" / split)
            found.setdefault(split, {})[label] = evaluation
    if recipe.folds is not None:
        for split, each in found.items():
            pooled.write(pooled.pool(each, recipe.data.sources[0].corpus, split), recipe.folder)
    return {split: list(each.values()) for split, each in found.items()}


def rows_of(name: str, split: str, each: Sequence[Evaluation]) -> list[Row]:
    """A row a task: mean ± deviation over runs, or, of a single one, the value with its 95 % interval."""
    rows = []
    for task, first in each[0].tasks.items():
        wanted = [m for m in (*headline(first.task), *SENTIMENT) if m in first.intervals]
        shown = []
        for metric in wanted:
            bands = [e.tasks[task].intervals[metric] for e in each if task in e.tasks]
            values = np.array([b.estimate for b in bands])
            if len(each) > 1:
                text = f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"
            else:
                text = f"{bands[0].estimate:.3f} ({bands[0].low:.3f} to {bands[0].high:.3f})"
            shown.append(f"{LABELS[metric]} {text}")
        counts = sorted({e.tasks[task].report["n"] for e in each if task in e.tasks})
        n = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        rows.append(Row(name, split, task, n, ", ".join(shown), str(len(each))))
    return rows


def rewrite(readme: Path, rows: Sequence[Row], command: str) -> None:
    """Put rows into the table between the markers, in the place of older ones of the same recipe, split and task.

    A README without markers gets the section at its end. Raises DataError when one marker is missing.
    """
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    if (BEGIN in text) != (END in text) or text.find(BEGIN) > text.find(END):
        raise DataError(f"{readme} has one of the markers {BEGIN} and {END} without the other, or in the wrong order")
    if BEGIN not in text:
        text = f"{text.rstrip()}\n\n**Our figures.** {command}\n\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    kept = {row.key: row for row in _parsed(old)} | {row.key: row for row in rows}
    table = ["| " + " | ".join(HEADER) + " |", "|---" * len(HEADER) + "|", *(row.line() for row in kept.values())]
    write_file(readme, "\n".join([before + BEGIN, *table, END]) + after)


def _parsed(table: str) -> list[Row]:
    rows = []
    for line in table.strip().splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == len(HEADER):
            rows.append(Row(*cells))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate the runs of a recipe and rewrite the table of the README beside it."""
    parser = argparse.ArgumentParser(prog="python -m emofuse.training.outcome.results", description=main.__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--readme", type=Path, help="another file than README.md beside the recipe")
    given = parser.parse_args(arguments)
    try:
        rows = measure(load_recipe(given.recipe, given.overrides), given.recipe.name)
        readme = given.readme or given.recipe.with_name("README.md")
        folder = given.recipe.resolve().parent.name
        rewrite(readme, rows, f"By `recipes/{folder}/run.sh ROOT RECIPE`.")
    except EmofuseError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for row in rows:
        sys.stdout.write(row.line() + "\n")
    sys.stdout.write(json.dumps({"readme": str(readme), "rows": len(rows)}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
