"""What an evaluation is made on: segments with targets, and who or what each belongs to."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.batch import PreparedSample
from emofuse.corpora.corpus import Unit, split_hash
from emofuse.corpora.corpus import corpus as reader_of
from emofuse.corpora.features import Features, read_features
from emofuse.data.load import FEATURES, load_segment
from emofuse.encoders.features import prepare_features
from emofuse.errors import DataError
from emofuse.metrics.scores import VIEWS
from emofuse.model.model import EmotionModel
from emofuse.tasks import TASKS, Task, fold
from emofuse.types import Modality, Segment, Split, Utterance

EMODB_WOMEN = frozenset({"08", "09", "13", "14", "16"})
LANGUAGES = {"emodb": "German", "ch_sims": "Chinese", "ch_sims_v2": "Chinese"}


@dataclass(frozen=True, eq=False)
class Sample:
    """One sample of an evaluation; its media are read when they are needed, and not kept."""

    id: str
    load: Callable[[], Segment]
    targets: Mapping[str, np.ndarray]
    """Task name → float vector of the task's width; NaN = unlabelled."""
    cluster: str
    """Whose samples are alike: the speaker, dialogue or video. Intervals resample these."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """What a fairness audit splits by: speaker, sex, language, … where it is known."""
    prepared: Callable[[], PreparedSample] | None = None
    """Stands in for `load` where a model reads ready-made features."""

    def prepare(self, model: EmotionModel, change: Callable[[Segment], Segment] | None = None) -> PreparedSample:
        """Arrays for the model, of the segment as it is or as `change` makes it."""
        if self.prepared is not None:
            found = self.prepared()
            return PreparedSample(found.inputs, dict(self.targets))
        segment = self.load()
        return model.prepare(change(segment) if change else segment, self.targets)


def samples_of(
    utterances: Sequence[Utterance],
    tasks: Sequence[Task],
    *,
    cluster: Unit | None = "speaker",
    overrides: Mapping[str, Mapping[str, str | None]] | None = None,
) -> list[Sample]:
    """Samples of corpus utterances, labels folded into `tasks`; those without a label of any task are left out.

    `cluster` is the unit of the corpus's splits. `overrides` change the folding, by task (see `labels.fold`).
    """
    found = []
    for utterance in utterances:
        targets = {t.name: fold(utterance.corpus, utterance.labels, t, (overrides or {}).get(t.name)) for t in tasks}
        if all(np.isnan(target).any() for target in targets.values()):
            continue
        own = utterance.dialogue if cluster in ("dialogue", "video") else utterance.speaker
        load = partial(load_segment, utterance)
        found.append(Sample(utterance.id, load, targets, own or utterance.id, groups_of(utterance)))
    return found


def read_samples(
    model: EmotionModel,
    corpus: str,
    root: str | Path,
    split: Split,
    *,
    limit: int | None = None,
    options: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Mapping[str, str | None]] | None = None,
    name: str = "",
) -> tuple[list[Sample], dict[str, Any]]:
    """The samples of a split and the protocol that says which they were.

    `limit` takes that many utterances, every class in its share and always the same. `options` go to the corpus
    reader. Raises DataError when the folder is not the corpus's, or the split is empty.
    """
    reader = reader_of(corpus)
    reading = reader.read(root, split, **dict(options or {}))
    utterances = list(reading.utterances)
    if not utterances:
        why = "; ".join(reading.notes) or "choose another"
        raise DataError(f"the {split} split of {corpus} is empty in {root}: {why}")
    tasks = [*model.tasks, *views_of(model.tasks, corpus)]
    chosen = utterances if limit is None else stratified(utterances, tasks, limit, overrides)
    samples = samples_of(chosen, tasks, cluster=reader.disjoint, overrides=overrides)
    if any(c.kind == "features" for c in model.config.encoders.values()):
        samples = [_with_features(s, u, model) for s, u in zip(samples, _labelled(samples, chosen), strict=True)]
    return samples, {
        "model": name,
        "emofuse": model.config.emofuse_version,
        "corpus": corpus,
        "citation": reader.citation,
        "licence": reader.licence,
        "split": split,
        "split_hash": split_hash(utterances),
        "evaluated_hash": split_hash(chosen),
        "utterances": len(utterances),
        "limit": limit,
        "n": len(samples),
        "unlabelled": len(chosen) - len(samples),
        "cluster": reader.disjoint or "utterance",
        "options": dict(options or {}),
        "overrides": {k: dict(v) for k, v in (overrides or {}).items()},
        "problems": dict(Counter(p.kind for p in reading.problems)),
        "reader_notes": list(reading.notes),
    }


def views_of(tasks: Sequence[Task], corpus: str) -> dict[Task, str]:
    """Tasks of the corpus's protocol that the model has no head for, and the task whose head answers them."""
    names = {t.name for t in tasks}
    return {TASKS[view]: head for view, head in VIEWS.get(corpus, {}).items() if head in names and view not in names}


def stratified(
    utterances: Sequence[Utterance],
    tasks: Sequence[Task],
    limit: int,
    overrides: Mapping[str, Mapping[str, str | None]] | None = None,
) -> list[Utterance]:
    """`limit` utterances, drawn with seed 0, every class of the first labelled task in its share, none left out.

    Numbers count as classes of a tenth of their range.
    """
    strata: dict[tuple[str, int], list[int]] = {}
    for i, utterance in enumerate(utterances):
        strata.setdefault(_stratum(utterance, tasks, overrides or {}), []).append(i)
    strata.pop(UNLABELLED, None)
    rng = np.random.default_rng(0)
    queues = [rng.permutation(places) for _, places in sorted(strata.items())]
    places = [((k + 0.5) / len(queue), i) for queue in queues for k, i in enumerate(queue.tolist())]
    first = [queue[0] for queue in queues][:limit]
    rest = [i for _, i in sorted(places) if i not in set(first)]
    return [utterances[i] for i in sorted([*first, *rest[: limit - len(first)]])]


UNLABELLED = ("", -1)


def _stratum(
    utterance: Utterance, tasks: Sequence[Task], overrides: Mapping[str, Mapping[str, str | None]]
) -> tuple[str, int]:
    for task in tasks:
        target = fold(utterance.corpus, utterance.labels, task, overrides.get(task.name))
        if not np.isnan(target).any():
            tenth = int(10 * (target[0] - task.low) / (task.high - task.low)) if task.kind == "scalar" else 0
            return task.name, tenth if task.kind == "scalar" else int(target.argmax())
    return UNLABELLED


def _labelled(samples: Sequence[Sample], utterances: Sequence[Utterance]) -> list[Utterance]:
    kept = {s.id for s in samples}
    return [u for u in utterances if u.id in kept]


def _with_features(sample: Sample, utterance: Utterance, model: EmotionModel) -> Sample:
    return replace(sample, prepared=partial(_features, utterance, model.modalities))


def _features(utterance: Utterance, modalities: Sequence[Modality]) -> PreparedSample:
    if utterance.media is None or utterance.media.suffix != FEATURES:
        raise DataError(f"{utterance.id} has media, not ready-made features: use a model with media encoders for it")
    rows = _feature_file(str(utterance.media)).row(utterance.id)
    return PreparedSample({m: prepare_features(rows[m]) for m in modalities})


@functools.lru_cache(maxsize=1)
def _feature_file(path: str) -> Features:
    return read_features(path)


def groups_of(utterance: Utterance) -> dict[str, str]:
    """Speaker, sex and language of an utterance, as far as the corpus tells."""
    groups = {"language": LANGUAGES.get(utterance.corpus, "English")}
    if utterance.speaker and utterance.speaker != utterance.id:
        groups["speaker"] = utterance.speaker
    sex = sex_of(utterance)
    if sex:
        groups["sex"] = sex
    for key in ("age", "ethnicity", "race", "show"):
        told = utterance.labels.get(key)
        if isinstance(told, str) and told:
            groups[key] = told
    return groups


def sex_of(utterance: Utterance) -> str | None:
    """Told by a label of that name, or by the corpus's own numbering of its speakers; None where it is not told."""
    told = utterance.labels.get("sex", utterance.labels.get("gender"))
    if isinstance(told, str) and told:
        return {"f": "female", "m": "male"}.get(told[0].lower(), told)
    number = utterance.speaker.rpartition("_")[2]
    if utterance.corpus == "ravdess" and number.isdigit():
        return "male" if int(number) % 2 else "female"
    if utterance.corpus == "emodb":
        return "female" if number in EMODB_WOMEN else "male"
    if utterance.corpus == "iemocap" and utterance.speaker[-1:] in ("F", "M"):
        return "female" if utterance.speaker.endswith("F") else "male"
    return None
