"""Examples: what a corpus says, folded into targets, with what a model is to read and whom it belongs to."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from emofuse.corpora.corpus import Reading, Unit, split_hash
from emofuse.corpora.registry import corpus as reader_of
from emofuse.corpora.registry import protocol_of
from emofuse.data.duplicates import without_duplicates
from emofuse.data.join import join
from emofuse.data.load import holds_features, load_segment, modalities_of
from emofuse.errors import DataError
from emofuse.media.faces.track import FaceOptions
from emofuse.modalities import Modality
from emofuse.prepared import PreparedSample
from emofuse.tasks import TASKS, Task
from emofuse.tasks import unlabelled as unlabelled_target
from emofuse.types import Segment, Split, Utterance

Overrides = Mapping[str, Mapping[str, Any]]
"""Task → the corpus's own name → class or None: changes to the folding of labels (see `Corpus.fold`)."""

UNITS = ("speaker", "dialogue", "video", "utterance")
"""What samples are grouped by, in the order in which a report names them."""


class Prepares(Protocol):
    """What data needs of a model: arrays from a segment, of each modality it reads."""

    @property
    def modalities(self) -> tuple[Modality, ...]: ...

    @property
    def face_options(self) -> FaceOptions: ...

    def prepare(self, segment: Segment, targets: Mapping[str, np.ndarray] | None = None) -> PreparedSample: ...


def read_by(model: Prepares) -> Callable[[Utterance], Segment]:
    """Reads utterances as this model sees them."""
    return partial(load_segment, face_options=model.face_options)


@dataclass(frozen=True, eq=False)
class Example:
    """One labelled sample of training or evaluation; its media are read when they are needed, and not kept."""

    id: str
    source: Utterance | Segment | Mapping[Modality, Example]
    """A pointer into a corpus, a segment at hand, or the examples that each modality is taken from."""
    targets: Mapping[str, np.ndarray]
    """Task name → float vector of the task's width; NaN = unlabelled."""
    modalities: frozenset[Modality]
    """What is taken from it, where it is there."""
    cluster: str
    """Whose samples are alike: the speaker, dialogue or video, see `whose`. Intervals resample these."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """What a fairness audit splits by: speaker, sex, language, … where it is known."""

    @property
    def utterance(self) -> Utterance:
        """The pointer into a corpus; raises ValueError where there is none."""
        if not isinstance(self.source, Utterance):
            raise ValueError(f"{self.id} is a segment of its own, not an utterance of a corpus")
        return self.source

    @property
    def length(self) -> float:
        """Roughly how many tokens, from the bytes of text (a Chinese character is three) and the seconds (or the file's
        size) of sound."""
        u = self.utterance
        tokens = 1.0
        if "text" in self.modalities and u.text:
            tokens += sum(len(part.encode()) for part in (u.text, *u.context, *u.after)) / 4
        if "speech" in self.modalities and u.media is not None and not holds_features(u):
            size = u.stored.bytes if u.stored else u.media.stat().st_size if u.end is None else 0
            seconds = u.end - (u.start or 0) if u.end is not None else size / 20_000
            tokens += 50 * seconds
        return tokens

    def load(self, read: Callable[[Utterance], Segment] = load_segment) -> Segment:
        """The segment, with the modalities that are taken from it; `read` may keep what it has read."""
        if isinstance(self.source, Mapping):
            return join({m: part.load(read) for m, part in self.source.items()}, self.id)
        segment = self.source if isinstance(self.source, Segment) else read(self.source)
        return segment.only(*self.modalities)

    def prepare(self, model: Prepares, change: Callable[[Segment], Segment] | None = None) -> PreparedSample:
        """Arrays for the model, of the segment as it is or as `change` makes it; features are left as they are."""
        segment = self.load(read_by(model))
        return model.prepare(change(segment) if change and segment.features is None else segment, self.targets)


@dataclass(frozen=True, eq=False)
class ExampleSet:
    """The examples of some splits of a corpus, and the reading that they come from."""

    examples: list[Example]
    reading: Reading
    splits: tuple[Split, ...]
    chosen: tuple[Utterance, ...]
    """The utterances that were to become examples: all of the splits, or as many as the limit says."""
    unlabelled: int
    """How many of them carry no label of any of the tasks."""
    duplicates: int
    """How many of the development split were left out, because their content is that of a training sample."""
    limit: int | None
    options: Mapping[str, Any]
    overrides: Overrides

    def split(self, name: Split) -> list[Example]:
        """The examples of one split."""
        return [e for e in self.examples if e.utterance.split == name]

    def protocol(self) -> dict[str, Any]:
        """What a number measured on them rests on."""
        reader = reader_of(self.reading.corpus)
        utterances = [u for name in self.splits for u in self.reading.split(name)]
        return {
            "corpus": reader.name,
            "citation": reader.citation,
            "licence": reader.licence,
            "split": "+".join(self.splits),
            "split_hash": split_hash(utterances),
            "evaluated_hash": split_hash(self.chosen),
            "labels_hash": labels_hash(self.examples),
            "utterances": len(utterances),
            "limit": self.limit,
            "n": len(self.examples),
            "unlabelled": self.unlabelled,
            "duplicates": self.duplicates,
            "cluster": units_of((e.utterance for e in self.examples), reader.disjoint),
            "options": dict(self.options),
            "overrides": {k: dict(v) for k, v in self.overrides.items()},
            "problems": dict(Counter(p.kind for p in self.reading.problems)),
            "reader_notes": list(self.reading.notes),
        }


def labels_hash(examples: Iterable[Example]) -> str:
    """SHA-256 over the sorted ids with their targets as they were read: one hash, one set of samples and labels."""
    lines = sorted(
        "\t".join([e.id, *(f"{task}={np.round(target, 6).tolist()}" for task, target in sorted(e.targets.items()))])
        for e in examples
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_examples(
    corpus: str,
    root: str | Path,
    split: Split | Sequence[Split],
    tasks: Sequence[Task],
    modalities: Collection[Modality] | None = None,
    *,
    limit: int | None = None,
    options: Mapping[str, Any] | None = None,
    overrides: Overrides | None = None,
    only: Collection[str] | None = None,
) -> ExampleSet:
    """The labelled utterances of a corpus's split (or several), their labels folded into `tasks`.

    `modalities` are those that are read: an utterance that has none of them is left out; None = all, and none is left
    out. Development samples whose content is that of a training one are left out, and counted. `limit` takes at most
    that many utterances a split, stratified by class and always the same. `options` go to the corpus reader,
    `overrides` to the folding of labels; of `only` some tasks the labels are used, None = of all.
    Raises DataError when the folder is not the corpus's, or the one split that is asked for is empty.
    """
    splits = (split,) if isinstance(split, str) else tuple(split)
    reader, asked = reader_of(corpus), (dict(options or {}), dict(overrides or {}))
    if reader.checks_labels and overrides:
        options, overrides = {**asked[0], "overrides": {**asked[0].get("overrides", {}), **overrides}}, None
    reading = reader.read(root, split if isinstance(split, str) else None, **dict(options or {}))
    if isinstance(split, str) and not reading.utterances:
        why = "; ".join(reading.notes) or "choose another"
        raise DataError(f"the {split} split of {corpus} is empty in {root}: {why}")
    chosen: list[Utterance] = []
    duplicates = 0
    for name in splits:
        there = reading.split(name)
        if name == "dev" and there:
            whole = reader.read(root, "train", **dict(options or {})) if isinstance(split, str) else reading
            kept = without_duplicates(there, whole.split("train"))
            there, duplicates = kept, len(there) - len(kept)
        chosen += there if limit is None else stratified(there, _served(tasks, only), limit, overrides)
    labelled = examples_of(chosen, tasks, cluster=reader.disjoint, overrides=overrides, only=only)
    examples = labelled if modalities is None else _narrowed(labelled, frozenset(modalities))
    unlabelled = len(chosen) - len(labelled)
    return ExampleSet(
        examples,
        reading,
        splits,
        tuple(chosen),
        unlabelled,
        duplicates,
        limit,
        *asked,
    )


def examples_of(
    utterances: Iterable[Utterance],
    tasks: Sequence[Task],
    *,
    cluster: Unit | None = "speaker",
    overrides: Overrides | None = None,
    only: Collection[str] | None = None,
) -> list[Example]:
    """Examples of corpus utterances; those without a label of any task are left out.

    `cluster` is the unit of the corpus's splits; `overrides` and `only` as in `read_examples`.
    """
    nothing, served = {t.name: unlabelled_target(t) for t in tasks}, _served(tasks, only)
    found = []
    for utterance in utterances:
        folded = {t.name: _folded(utterance, t, overrides) for t in served}
        if all(np.isnan(target).any() for target in folded.values()):
            continue
        there, groups = modalities_of(utterance), reader_of(utterance.corpus).groups(utterance)
        found.append(Example(utterance.id, utterance, nothing | folded, there, whose(utterance, cluster)[1], groups))
    return found


def whose(utterance: Utterance, unit: Unit | None = None) -> tuple[str, str]:
    """The unit whose utterances are like this one, and its name: a speaker, dialogue, video or the utterance alone.

    `unit` is that of the corpus's splits, None = what its own corpus says (shards hold utterances of several). Where
    that says nothing or is not known of the utterance, it is the speaker, else the dialogue, else the utterance itself;
    a speaker who is named as the utterance or as the dialogue is not known.
    """
    unit = unit or reader_of(utterance.corpus).disjoint
    if unit in ("dialogue", "video") and utterance.dialogue:
        return unit, utterance.dialogue
    if utterance.speaker and utterance.speaker not in (utterance.id, utterance.dialogue):
        return "speaker", utterance.speaker
    return ("dialogue", utterance.dialogue) if utterance.dialogue else ("utterance", utterance.id)


def units_of(utterances: Iterable[Utterance], unit: Unit | None = None) -> str:
    """What the utterances are grouped by (see `whose`): "speaker", or "speaker or dialogue" where it differs."""
    found = {whose(utterance, unit)[0] for utterance in utterances}
    return " or ".join(sorted(found, key=UNITS.index)) or unit or "utterance"


def _served(tasks: Sequence[Task], only: Collection[str] | None) -> list[Task]:
    return [t for t in tasks if only is None or t.name in only]


def _folded(utterance: Utterance, task: Task, overrides: Overrides | None) -> np.ndarray:
    return reader_of(utterance.corpus).fold(utterance.labels, task, (overrides or {}).get(task.name))


def _narrowed(examples: Iterable[Example], modalities: frozenset[Modality]) -> list[Example]:
    """With no other modalities than these; without the examples that have none of them."""
    return [replace(e, modalities=e.modalities & modalities) for e in examples if e.modalities & modalities]


def views_of(tasks: Sequence[Task], corpus: str) -> dict[Task, str]:
    """Tasks of the corpus's protocol that the model has no head for, and the task whose head answers them."""
    names = {t.name for t in tasks}
    views = protocol_of(corpus).views
    return {TASKS[view]: head for view, head in views.items() if head in names and view not in names}


def stratified(
    utterances: Sequence[Utterance],
    tasks: Sequence[Task],
    limit: int,
    overrides: Overrides | None = None,
) -> list[Utterance]:
    """`limit` utterances, drawn with seed 0, every class of the first labelled task in its share, none left out.

    Numbers count as classes of a tenth of their range.
    """
    strata: dict[tuple[str, int], list[int]] = {}
    for i, utterance in enumerate(utterances):
        strata.setdefault(_stratum(utterance, tasks, overrides), []).append(i)
    strata.pop(UNLABELLED, None)
    rng = np.random.default_rng(0)
    queues = [rng.permutation(places) for _, places in sorted(strata.items())]
    places = [((k + 0.5) / len(queue), i) for queue in queues for k, i in enumerate(queue.tolist())]
    first = [queue[0] for queue in queues][:limit]
    rest = [i for _, i in sorted(places) if i not in set(first)]
    return [utterances[i] for i in sorted([*first, *rest[: limit - len(first)]])]


UNLABELLED = ("", -1)


def _stratum(utterance: Utterance, tasks: Sequence[Task], overrides: Overrides | None) -> tuple[str, int]:
    for task in tasks:
        target = _folded(utterance, task, overrides)
        if not np.isnan(target).any():
            return task.name, task.stratum(target)
    return UNLABELLED
