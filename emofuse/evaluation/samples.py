"""What an evaluation is made on: segments with targets, and who or what each belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from emofuse.batch import PreparedSample
from emofuse.corpora.corpus import Unit
from emofuse.labels import Task, fold
from emofuse.loading import load_segment
from emofuse.model.model import EmotionModel
from emofuse.types import Segment, Utterance

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
