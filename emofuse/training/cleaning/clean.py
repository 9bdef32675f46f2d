"""`Suspects` of a corpus: labels that are likely wrong and near duplicates, and the corpus without them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float

from emofuse.corpora.corpus import Reading
from emofuse.corpora.manifest.formulas import guarded
from emofuse.corpora.manifest.write import write_manifest
from emofuse.corpora.registry import corpus as reader_of
from emofuse.data.batches import batches
from emofuse.data.examples import Example, examples_of, stratified
from emofuse.data.near_duplicates import near_duplicates
from emofuse.errors import DataError
from emofuse.files import replacing
from emofuse.model.folder import locate
from emofuse.model.model import EmotionModel
from emofuse.tasks import TASKS, Task, leading
from emofuse.training.cleaning.label_noise import confident_learning, flipped, out_of_fold
from emofuse.training.recipe.read import load_recipe
from emofuse.training.tuning.init import build
from emofuse.types import Utterance

Kind = Literal["label", "duplicate"]
KINDS: tuple[Kind, ...] = ("label", "duplicate")
FEWEST = 50
"""Labelled rows below which a probe tells nothing."""
COLUMNS: tuple[str, ...] = (
    *(
        "kind",
        "id",
        "split",
        "given",
        "suggested",
        "p_given",
        "p_suggested",
        "other",
        "other_split",
        "similarity",
        "text",
    ),
)
MANY = 0.2
"""Share of suspected labels above which it is the probe that is in doubt."""


@dataclass(frozen=True, eq=False)
class Suspect:
    """An utterance to look at, and why."""

    kind: Kind
    utterance: Utterance
    found: Mapping[str, Any]
    """The columns of its kind: given and suggested class with their probabilities, or the other and the similarity."""


@dataclass(frozen=True)
class Trial:
    """How well labels that were changed on purpose are found again."""

    share: float
    changed: int
    suspected: int
    hits: int
    first: int
    """Of the least believed suspects, as many as were changed: those that were changed."""

    @property
    def precision(self) -> float:
        """Of the suspected rows, those that were changed; what was wrong before counts as a false alarm."""
        return self.hits / max(1, self.suspected)

    @property
    def recall(self) -> float:
        """Of the changed rows, those that are suspected."""
        return self.hits / max(1, self.changed)


class Labels:
    """The train rows of a task of exclusive classes, as a probe on a model's states sees them."""

    def __init__(
        self, model: EmotionModel, utterances: Sequence[Utterance], task: Task, *, folds: int = 5, seed: int = 0,
        limit: int | None = None, progress: Callable[[int, int], None] | None = None,
    ) -> None:  # fmt: skip
        """Raises DataError where fewer than FEWEST rows have one leading class, or only one class occurs."""
        train = [u for u in utterances if u.split == "train"]
        train = train if limit is None else stratified(train, [task], limit)
        disjoint = reader_of(train[0].corpus).disjoint if train else None
        known = [e for e in examples_of(train, [task], cluster=disjoint) if e.modalities & {*model.modalities}]
        targets = np.array([e.targets[task.name] for e in known]).reshape(-1, task.width)
        rows = leading(targets) if len(known) else np.empty(0, np.int64)
        self.examples = [e for e, label in zip(known, rows, strict=True) if label >= 0]
        self.labels, self.task, self.folds, self.seed = rows[rows >= 0], task, folds, seed
        if len(self.labels) < FEWEST or len(np.unique(self.labels)) < 2:
            raise DataError(
                f"{len(self.labels)} train rows have a class of {task.name} and what the model reads "
                f"({', '.join(model.modalities)}), of {len(np.unique(self.labels))} classes: {FEWEST} of two are needed"
            )
        if len({e.cluster for e in self.examples}) < 2:
            raise DataError("all train rows are of one speaker or dialogue: no probe can be fitted on others")
        self.features = states(model, self.examples, progress)
        self.clusters = np.unique([e.cluster for e in self.examples], return_inverse=True)[1]

    def probabilities(self, labels: np.ndarray) -> Float[np.ndarray, "n classes"]:
        """Of each row, by a probe that was fitted on the other folds' rows."""
        return out_of_fold(self.features, labels, self.task.width, self.clusters, folds=self.folds, seed=self.seed)

    def suspects(self, most: int | None = None) -> list[Suspect]:
        """Rows whose label is likely wrong, the least believed first; at most so many."""
        p = self.probabilities(self.labels)
        noise = confident_learning(p, self.labels)
        found = []
        for row, instead in zip(noise.rows[:most].tolist(), noise.suggested[:most].tolist(), strict=True):
            given = int(self.labels[row])
            columns = {"given": self.task.classes[given], "suggested": self.task.classes[instead]}
            columns |= {"p_given": round(float(p[row, given]), 4), "p_suggested": round(float(p[row, instead]), 4)}
            found.append(Suspect("label", self.examples[row].utterance, columns))
        return found

    def trial(self, share: float) -> Trial:
        """Change a share of the labels at random and look for them."""
        changed = flipped(self.labels, self.task.width, share, self.seed)
        suspected = confident_learning(self.probabilities(changed), changed).rows
        wrong = changed != self.labels
        count = int(wrong.sum())
        return Trial(share, count, len(suspected), int(wrong[suspected].sum()), int(wrong[suspected[:count]].sum()))


def copies(utterances: Sequence[Utterance], similarity: float = 0.8) -> list[Suspect]:
    """Near duplicates, in any split; see `near_duplicates`."""
    return [
        Suspect("duplicate", c.utterance, {
            "other": c.other.id, "other_split": c.other.split, "similarity": round(c.similarity, 4)
        })
        for c in near_duplicates(utterances, similarity)
    ]  # fmt: skip


@torch.no_grad()
def states(
    model: EmotionModel, examples: Sequence[Example], progress: Callable[[int, int], None] | None = None
) -> Float[np.ndarray, "n width"]:
    """Each modality's mean token side by side, zeros where it is absent; the heads are not asked."""
    model.eval()
    widths = {m: model.encoder(m).dim for m in model.modalities}
    starts = dict(zip(widths, np.cumsum([0, *widths.values()]), strict=False))
    out, done = np.zeros((len(examples), sum(widths.values())), np.float32), 0
    for places, batch in batches(model, examples):
        for modality, tokens in model.encode(batch.to(model.device)).items():
            weight = tokens.mask[..., None].float()
            mean = (tokens.states * weight).sum(1) / weight.sum(1).clamp(min=1)
            at = starts[modality]
            out[places, at : at + widths[modality]] = mean.cpu().numpy()
        done += len(places)
        if progress:
            progress(done, len(examples))
    return out


def model_of(name: str) -> tuple[EmotionModel, tuple[str, ...]]:
    """A recipe's model before training, or a checkpoint; and the corpora that a checkpoint says it learnt from."""
    if Path(name).suffix.lower() in (".yaml", ".yml"):
        return build(load_recipe(name))[0], ()
    report = locate(name) / "report.json"
    data = json.loads(report.read_text("utf-8")).get("data", []) if report.is_file() else []
    told = [part["corpus"] for part in data if isinstance(part, dict) and "corpus" in part]
    return EmotionModel.from_pretrained(name), tuple(dict.fromkeys(told))


def task_named(name: str) -> Task:
    """A task of exclusive classes. Raises DataError."""
    task = TASKS.get(name)
    if task is None or not task.exclusive:
        known = ", ".join(t.name for t in TASKS.values() if t.exclusive)
        raise DataError(f"no task of exclusive classes is called {name!r}; valid: {known}")
    return task


def write_suspects(suspects: Sequence[Suspect], path: Path) -> Path:
    """A CSV with a row a suspect, whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for s in suspects:
            row: dict[str, Any] = {
                "kind": s.kind,
                "id": s.utterance.id,
                "split": s.utterance.split,
                "text": s.utterance.text or "",
            }
            writer.writerow({k: guarded(v) for k, v in (row | dict(s.found)).items()})
    return path


def write_cleaned(reading: Reading, suspects: Collection[Suspect], path: Path, task: Task) -> tuple[int, int]:
    """A manifest without the suspects of the train split; how many rows went, and how many lost their label.

    A row that is a turn of a dialogue stays, without labels, so that the turns after it keep their context. Dev and
    test rows stay as they are. Labels of a manifest are its own; of another corpus they are those of `task`.
    """
    gone = {s.utterance.id for s in suspects if s.utterance.split == "train"}
    own = reading.corpus == "manifest"
    rows = [u if own else replace(u, labels=_folded(u, task)) for u in reading.utterances]
    kept = list(_kept(rows, gone))
    write_manifest(kept, path, () if own else (task.name,))
    emptied = sum(u.id in gone for u in kept)
    return len(rows) - len(kept), emptied


def _kept(rows: Sequence[Utterance], gone: Collection[str]) -> Iterator[Utterance]:
    for row in rows:
        if row.id not in gone:
            yield row
        elif row.dialogue is not None:
            yield replace(row, labels={})


def _folded(utterance: Utterance, task: Task) -> dict[str, Any]:
    """The class, or the shares of classes where raters differ; {} of an unlabelled row."""
    target = reader_of(utterance.corpus).fold(utterance.labels, task)
    if np.isnan(target).any():
        return {}
    shares = {c: round(float(v), 4) for c, v in zip(task.classes, target, strict=True) if v > 0}
    return {task.name: next(iter(shares)) if len(shares) == 1 else shares}
