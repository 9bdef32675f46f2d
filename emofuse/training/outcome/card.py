"""The model card of a run: training data, development figures, licence and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emofuse.corpora.registry import corpus
from emofuse.metrics.task import headline
from emofuse.tasks import Task
from emofuse.training.outcome.familiarity import Fate, sentence
from emofuse.training.recipe.schema import Recipe

LIMITS = """\
## What it cannot do
It estimates which emotion a person *expresses*, as raters of the corpora above would label it; nobody's inner
state can be read from a clip. Its training data are small: acted speech, few languages, posed or web-collected faces,
scripted dialogue. Expect it to be worse on voices, faces, languages, ages and recording conditions that they lack.
Where samples were composed from corpora of single modalities, it has not seen recordings in which words, voice and
face belong together.

## Uses
Intended: research, teaching, search and annotation help, with a person in the loop.
Excluded: decisions about people (hiring, credit, policing, insurance, health); emotion inference at work and in
education, which the EU AI Act prohibits (Regulation 2024/1689, Article 5(1)(f)); covert surveillance; lie detection.
"""


def build_card(recipe: Recipe, tasks: Sequence[Task], report: Mapping[str, Any]) -> str:
    """README.md of a checkpoint, with the header that the hub reads."""
    corpora = [source.corpus for source in recipe.data.sources]
    parts = [
        _header(recipe, corpora),
        f"# {recipe.name}\n",
        f"Emotion recognition from {_list(list(recipe.model.encoders))}; tasks: {_list([t.name for t in tasks])}. "
        f"Trained with emofuse: `{report['command'] or 'emofuse train recipe.yaml'}` (seed {report['seed']}, "
        f"{report['seconds'] / 60:.0f} minutes), best epoch {_epoch(report['best_epoch'])} by {report['metric']} on "
        "development data.\n",
        '```python\nimport emofuse\n\nmodel = emofuse.load("PATH OR NAME OF THIS FOLDER")\n```\n',
        _data(report),
        *([_stages(report["stages"])] if "stages" in report else []),
        _quality(tasks, report),
        _familiarity(report),
        LIMITS,
    ]
    return "\n".join(parts)


def _header(recipe: Recipe, corpora: Sequence[str]) -> str:
    tags = ["emotion-recognition", "multimodal", *recipe.model.encoders]
    lines = ["---", "library_name: emofuse", "license: other", "license_name: see-training-data", "tags:"]
    lines += [f"  - {tag}" for tag in tags]
    lines += ["datasets:", *(f"  - {name}" for name in dict.fromkeys(corpora)), "---", ""]
    return "\n".join(lines)


def _data(report: Mapping[str, Any]) -> str:
    rows = ["## Training data", "", "| corpus | train | dev | split hash | licence |", "|---|---|---|---|---|"]
    for part in report["data"]:
        reader = corpus(part["corpus"])
        rows.append(f"| {part['corpus']} | {part['train']} | {part['dev']} | {part['split'][:12]} | {reader.licence} |")
    rows += ["", "The strictest of these licences binds the weights. Sources:", ""]
    rows += [f"- {corpus(name).citation}" for name in dict.fromkeys(part["corpus"] for part in report["data"])]
    return "\n".join([*rows, ""])


def _epoch(number: int) -> str:
    return str(number) if number else "0, the start"


def _stages(stages: Sequence[Mapping[str, Any]]) -> str:
    """A row a stage."""
    rows = ["## Stages", "", "| stage | learns | score on dev | best epoch | minutes |", "|---|---|---|---|---|"]
    for stage in stages:
        learns = stage["parameters"]["all"]["trainable"]
        told = (stage["name"], f"{learns:,}", f"{stage['metric']} {stage['score']:.3f}", _epoch(stage["best_epoch"]))
        rows.append("| " + " | ".join(map(str, told)) + f" | {stage['seconds'] / 60:.1f} |")
    starts = [s["start"] for s in stages if "start" in s]
    for start in starts:
        alone = ", ".join(f"{m} {value:.3f}" for m, value in start["parts"].items() if value is not None)
        rows += ["", f"Before the first step of joining them: {start['score']:.3f} together; alone {alone}."]
    return "\n".join([*rows, ""])


def _quality(tasks: Sequence[Task], report: Mapping[str, Any]) -> str:
    """One table a task: dev sets down, metrics across."""
    out = [
        "## Quality on development data",
        "",
        "The epoch and the temperatures were chosen on these data: expect a little",
        "less elsewhere. No test data were used.",
        "",
    ]
    for task in tasks:
        names = headline(task)
        rows = []
        for dev_set, found in report["metrics"].items():
            for key, values in found.items():
                if key == task.name or key.endswith(f".{task.name}"):
                    view = "fused" if key == task.name else key.removesuffix(f".{task.name}") + " only"
                    cells = " | ".join("–" if values.get(n) is None else f"{values[n]:.3f}" for n in names)
                    rows.append(f"| {dev_set} | {view} | {values['n']} | {cells} |")
        if rows:
            out += [f"### {task.name}", "", f"| dev set | output | n | {' | '.join(names)} |"]
            out += ["|---" * (3 + len(names)) + "|", *rows, ""]
    return "\n".join(out)


def _familiarity(report: Mapping[str, Any]) -> str:
    """What became of what the checkpoint was familiar with that the run started from."""
    fates = report.get("familiarity", {})
    if not fates:
        return ""
    rows = [f"- {sentence(modality, Fate(**fate))}" for modality, fate in fates.items()]
    said = "By how far input lies from the training data, an answer is less sure, and marked as unfamiliar:"
    return "\n".join(["## Familiar input", "", said, "", *rows, ""])


def _list(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 3 else ", ".join(names[:-1]) + f" and {names[-1]}"
