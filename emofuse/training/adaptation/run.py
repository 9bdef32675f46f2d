"""Adaptation run: corrections in, a model that has learnt them out, or a refusal with the figures that say why."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Int

from emofuse.corpora.manifest.reader import Manifest
from emofuse.corpora.manifest.rows import ENDINGS
from emofuse.data.examples import Example, examples_of, read_examples
from emofuse.errors import CheckpointError, DataError
from emofuse.files import check_output_folder
from emofuse.model.folder import locate
from emofuse.model.model import EmotionModel
from emofuse.model.predict import Table
from emofuse.tasks import Task
from emofuse.training.adaptation.gate import NEW, OLD, Check, Outcome, checks_of, table
from emofuse.training.adaptation.heads import HeadLessons
from emofuse.training.adaptation.states import ENDING, Kept, load_states, read_states
from emofuse.training.outcome.recalibrate import dtype_of, pools_alone
from emofuse.training.outcome.report import finite

How = Literal["heads", "lora"]
HOWS: tuple[How, ...] = ("heads", "lora")
FEWEST = 10
"""Labelled rows below which nothing is taught."""
FOLDS = {"heads": 5, "lora": 3}
LIMIT = 300
"""Rows of a split that are replayed, of each source."""
OF_MISTAKES = 0.2
"""Accuracy of the old model on the feedback below which it is said to be a list of mistakes."""
Say = Callable[[str], None]


class Measured(NamedTuple):
    """Rows that figures are measured on, as the lessons take them."""

    name: str
    rows: Any
    targets: Table
    clusters: Sequence[str]


class Rules(NamedTuple):
    """What the gate asks for."""

    most_fall: float
    least_rise: float


def adapt(
    model: str | Path,
    feedback: str | Path,
    out: str | Path,
    *,
    how: How = "heads",
    replay: Sequence[str] = (),
    most_fall: float = 0.02,
    least_rise: float = 0.0,
    limit: int = LIMIT,
    device: str = "cpu",
    say: Say = lambda line: None,
) -> Outcome:
    """Write MODEL to the folder `out` after teaching it the rows of a manifest, if the gate lets it pass.

    `heads` teaches the modalities' own heads over frozen encoders, `lora` adapters in the encoders too. `replay` names
    what must not be forgotten: CORPUS:FOLDER, a manifest, or a file of states (see `replayed`). It passes if on the
    development rows of each of them no leading metric falls by more than `most_fall`, and on the feedback, each row
    predicted by a model that was not taught it or another of its speaker, every taught task's rises by more than
    `least_rise`. Rows of the manifest in a test split are left alone. Raises DataError for fewer than FEWEST labelled
    rows and for replay that cannot be read, CheckpointError for a model whose heads cannot be taught alone.
    """
    folder = locate(model)
    check_output_folder(out, [folder])
    loaded = EmotionModel.from_pretrained(folder, device=device)
    if how == "heads" and not pools_alone(loaded):
        raise CheckpointError(
            f"the fused answers of {folder.name} are corrected from all tokens, not pooled from its heads; "
            "take --how lora"
        )
    rows, notes = read_feedback(loaded, feedback)
    tasks = [t for t in loaded.tasks if any(not np.isnan(e.targets[t.name]).any() for e in rows)]
    say(f"{len(rows)} rows to learn from, of {len({e.cluster for e in rows})} speakers; tasks: {_listed(tasks)}")
    if how == "heads":
        lessons, new, old = _heads(loaded, tasks, rows, replay, limit)
    else:
        lessons, new, old = _lora(folder, tasks, rows, replay, limit, device)
    checks, said = _judged(lessons, tasks, new, old, FOLDS[how], Rules(most_fall, least_rise))
    about = {"how": how, "rows": len(rows), "feedback": Path(feedback).name, "replay": [_name(spec) for spec in replay]}
    outcome = Outcome(checks, [*notes, *said], about)
    if not outcome.accepted:
        return outcome
    return replace(outcome, folder=_write(lessons.model, folder, Path(out), outcome))


def read_feedback(model: EmotionModel, path: str | Path) -> tuple[list[Example], list[str]]:
    """The labelled rows of a manifest that are not of a test split, and what is to be said of them."""
    utterances = [u for u in Manifest().read(path).utterances if u.split != "test"]
    rows = examples_of(utterances, model.tasks)
    rows = [e for e in rows if e.modalities & set(model.modalities)]
    if len(rows) < FEWEST:
        raise DataError(
            f"{path} has {len(rows)} rows that are labelled for a task of the model, have a modality it reads, and are "
            f"of no test split; at least {FEWEST} are needed to learn from and to check what was learnt"
        )
    if len({e.cluster for e in rows}) > 1:
        return rows, []
    note = "all rows are of one speaker: nothing is known of how it is with others"
    rows = [replace(e, cluster=str(e.utterance.media or e.id)) for e in rows]
    if len({e.cluster for e in rows}) > 1:
        return rows, [note]
    return [replace(e, cluster=e.id) for e in rows], [f"{note}, nor in another recording than theirs"]


def replayed(model: EmotionModel, spec: str, limit: int) -> tuple[str, list[Example], list[Example]]:
    """The name, train and dev examples of CORPUS:FOLDER or of a manifest, at most `limit` of each, stratified."""
    corpus, colon, root = spec.partition(":")
    if Path(spec).suffix.lower() in ENDINGS:
        corpus, root = Manifest.name, spec
    elif not colon or not corpus or not root:
        raise DataError(
            f"--replay {spec!r} is neither CORPUS:FOLDER, nor a manifest ({', '.join(ENDINGS)}), "
            f"nor a file of states ({ENDING})"
        )
    found = read_examples(corpus, root, ("train", "dev"), model.tasks, model.modalities, limit=limit)
    return _name(spec), found.split("train"), found.split("dev")


def read_kept(model: EmotionModel, spec: str, limit: int = LIMIT) -> list[Kept]:
    """What must not be forgotten, as states. Raises DataError."""
    if Path(spec).suffix == ENDING:
        return load_states(Path(spec), model)
    name, train, dev = replayed(model, spec, limit)
    return [Kept(name, *(read_states(model, name, rows) if rows else None for rows in (train, dev)))]


def _heads(
    model: EmotionModel, tasks: Sequence[Task], rows: Sequence[Example], replay: Sequence[str], limit: int
) -> tuple[HeadLessons, Measured, list[Measured]]:
    """Lessons over states, the feedback, and the rows that the old figures are measured on."""
    kept = [each for spec in replay for each in read_kept(model, spec, limit)]
    states = read_states(model, "feedback", rows)
    train, dev = ([part for each in kept if (part := getattr(each, side)) is not None] for side in ("train", "dev"))
    lessons = HeadLessons(model, tasks, states, train, dev)
    of = [Measured(each.source, each, each.targets, each.clusters) for each in (states, *dev)]
    return lessons, of[0], of[1:]


def _lora(
    folder: Path, tasks: Sequence[Task], rows: Sequence[Example], replay: Sequence[str], limit: int, device: str
) -> tuple[Any, Measured, list[Measured]]:
    """The same over clips."""
    from emofuse.training.adaptation.lora import LoraLessons

    if wrong := [spec for spec in replay if Path(spec).suffix == ENDING]:
        raise DataError(f"--replay {wrong[0]}: adapters move the states, so the clips themselves are needed; name them")
    lessons = LoraLessons(folder, tasks, rows, device)
    kept = [replayed(lessons.model, spec, limit) for spec in replay]
    lessons.replay = [e for _, train, _ in kept for e in train]
    named = [("feedback", rows), *((name, dev) for name, _, dev in kept if dev)]
    of = [Measured(name, some, _targets(lessons.model, some), [e.cluster for e in some]) for name, some in named]
    return lessons, of[0], of[1:]


def _judged(
    lessons: Any, tasks: Sequence[Task], new: Measured, old: Sequence[Measured], count: int, rules: Rules
) -> tuple[list[Check], list[str]]:
    """The checks, and what is to be said; the lessons' model has learnt all rows afterwards."""
    before = lessons.answers(new.rows)
    after, parts = _crossed(lessons, tasks, new, before, count)
    about = {"rows": f"feedback, {parts} folds by speaker", "side": NEW, "least": rules.least_rise}
    checks = checks_of(tasks, new.targets, before, after, new.clusters, **about)
    if not checks:
        raise DataError(
            f"no labelled row is answered in {_listed(tasks)}: the model has not learnt it from what they have"
        )
    former = [lessons.answers(each.rows) for each in old]
    said = [*_of_mistakes(tasks, new.targets, before), *lessons.finish()]
    for each, was in zip(old, former, strict=True):
        about = {"rows": f"{each.name} dev", "side": OLD, "least": -rules.most_fall}
        checks += checks_of(lessons.model.tasks, each.targets, was, lessons.answers(each.rows), each.clusters, **about)
    if not old:
        said.append("no development rows to replay: what the model knew before was not measured again")
    return checks, said


def _crossed(
    lessons: Any, tasks: Sequence[Task], new: Measured, before: Table, count: int
) -> tuple[dict[str, np.ndarray], int]:
    """The feedback after, each row predicted after a lesson without it or another of its cluster; and in how many
    folds."""
    after, parts = {t.name: np.full_like(before[t.name], np.nan) for t in tasks}, folds(new.clusters, count)
    for held in parts:
        said = lessons.crossed(np.setdiff1d(np.arange(len(new.clusters)), held), held)
        for name, values in after.items():
            values[held] = said[name]
    return after, len(parts)


def _targets(model: EmotionModel, rows: Sequence[Example]) -> Table:
    return {t.name: np.stack([np.asarray(e.targets[t.name], np.float64) for e in rows]) for t in model.tasks}


def folds(clusters: Sequence[str], count: int) -> list[Int[np.ndarray, " _"]]:
    """Places in at most `count` parts that share no cluster, of as equal a size as that allows; always the same."""
    names = sorted(
        set(clusters), key=lambda name: (-list(clusters).count(name), hashlib.sha256(name.encode()).hexdigest())
    )
    parts: list[list[int]] = [[] for _ in range(min(count, len(names)))]
    for name in names:
        min(parts, key=len).extend(i for i, own in enumerate(clusters) if own == name)
    return [np.array(sorted(part)) for part in parts]


def _of_mistakes(tasks: Sequence[Task], targets: Table, before: Table) -> list[str]:
    """Rows that were collected because the model was wrong make any other model look better."""
    found = []
    for task in (t for t in tasks if t.exclusive):
        rows = ~np.isnan(targets[task.name]).any(1) & ~np.isnan(before[task.name]).any(1)
        right = before[task.name][rows].argmax(1) == targets[task.name][rows].argmax(1)
        if len(right) and right.mean() < OF_MISTAKES:
            found.append(
                f"the old model is right on {right.mean():.0%} of the feedback in {task.name}: of rows that were "
                "chosen because it was wrong, any change looks like a rise; add rows on which it was right"
            )
    return found


def _write(model: EmotionModel, source: Path, out: Path, outcome: Outcome) -> Path:
    """The checkpoint with its old recipe, and its card and report with what was changed."""
    report = json.loads(path.read_text("utf-8")) if (path := source / "report.json").is_file() else {}
    report["adaptations"] = [*report.get("adaptations", []), outcome.to_dict()]
    recipe = (source / "recipe.yaml").read_text("utf-8") if (source / "recipe.yaml").is_file() else None
    card = (source / "README.md").read_text("utf-8") if (source / "README.md").is_file() else f"# {out.name}\n"
    saved = model.save_pretrained(
        out,
        dtype=dtype_of(source),
        recipe=recipe,
        report=finite(report),
        card=f"{card.rstrip()}\n\n{section(source.name, outcome)}",
    )
    for picture in source.glob("*.png"):  # which the card shows
        shutil.copyfile(picture, saved / picture.name)
    return saved


def section(name: str, outcome: Outcome) -> str:
    """What the card says of an adaptation."""
    about = outcome.about
    lines = [
        "## Adapted",
        f"From {name}, {about['how']}, on {about['rows']} rows of {about['feedback']}"
        + (f", with {', '.join(about['replay'])} replayed" if about["replay"] else "")
        + ".",
        "The figures above, and the prediction sets, are of the model before; `emofuse calibrate` fits sets anew.",
        "",
        table(outcome.checks),
        "",
        *(f"- {note}." for note in outcome.notes),
    ]
    return "\n".join(lines) + "\n"


def _name(spec: str) -> str:
    """What a report calls replayed rows: a corpus's name, or a file's."""
    return Path(spec).name if Path(spec).suffix.lower() in (*ENDINGS, ENDING) else spec.partition(":")[0]


def _listed(tasks: Sequence[Task]) -> str:
    return ", ".join(t.name for t in tasks)
