"""Familiarity of a run: what it is from the start, what of that still holds at the end, and what is fitted anew.

The distance from training is measured in the pooled states of a modality, and those follow from the weights of its
encoder and of its own head's pool. Where training leaves these as they are, what a checkpoint was familiar with holds
for the model that started from it; where it moves them, the old states are of another space.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor, nn

from emofuse.calibration.familiarity import FEWEST, REFERENCE, fit_familiarity
from emofuse.calibration.parts import Parts, read_parts
from emofuse.data.examples import Example
from emofuse.encoders.config import EncoderConfig
from emofuse.modalities import Modality
from emofuse.model.familiarity import fingerprint, load_familiarity
from emofuse.model.folder import FAMILIARITY as FILE
from emofuse.model.folder import read_config
from emofuse.model.model import EmotionModel
from emofuse.model.weights import read_tensors
from emofuse.training.dataset.sources import SourceExamples

MOST = 400
"""Dev samples of a source that are run."""


@dataclass(frozen=True, eq=False)
class Known:
    """What a checkpoint is familiar with in one modality, and the weights that this is measured by."""

    familiarity: nn.Module
    fingerprint: str


@dataclass(frozen=True)
class Fate:
    """What became of it in a run, and how many samples there were to fit it anew on."""

    outcome: Literal["kept", "refitted", "dropped"]
    train: int = 0
    dev: int = 0


def known_from(model: EmotionModel, starts: Mapping[Modality, Path]) -> dict[Modality, Known]:
    """What a model that is about to be trained is familiar with; `starts`: the checkpoint of each encoder that has one.

    An encoder that reads its input otherwise than in that checkpoint (another `max_length`) is familiar with nothing.
    """
    found: dict[Modality, Known] = {}
    weights: dict[Path, dict[str, Tensor]] = {}
    for modality, folder in starts.items():
        known = load_familiarity(folder / FILE) if (folder / FILE).is_file() else nn.ModuleDict()
        if modality in known and _alike(read_config(folder).encoders[modality], model.config.encoders[modality]):
            if folder not in weights:
                weights[folder] = read_tensors(folder / "model.safetensors")
            found[modality] = Known(known[modality], fingerprint(weights[folder], modality))
    return found


def _alike(one: EncoderConfig, other: EncoderConfig) -> bool:
    """Whether encoders of the same weights give the same states, whatever library wrote their architecture down."""
    a, b = (json.loads(config.model_dump_json()) for config in (one, other))
    own, theirs = (values.pop("architecture", None) or {} for values in (a, b))
    shared = (own.keys() & theirs.keys()) - {"transformers_version", "dtype"}
    return a == b and all(own[name] == theirs[name] for name in shared)


def keep(model: EmotionModel, known: Mapping[Modality, Known]) -> None:
    """Lay into a model what still holds of what its checkpoint was familiar with."""
    state = model.state_dict()
    kept = {m: k.familiarity for m, k in known.items() if fingerprint(state, m) == k.fingerprint}
    model.familiarity = nn.ModuleDict(kept).to(model.device)


def settle(
    model: EmotionModel, known: Mapping[Modality, Known], gathered: Sequence[SourceExamples]
) -> dict[Modality, Fate]:
    """Fit anew, on the run's own data, what did not hold any more (see `keep`); says what became of each modality."""
    kept = [m for m in known if m in model.familiarity]
    counts = {m: _counts(gathered, m) for m in known if m not in kept}
    enough = {m for m, count in counts.items() if min(count) >= FEWEST}
    fitted = fit_familiarity(model, *sampled_parts(model, gathered), enough) if enough else {}
    return {m: Fate("kept") for m in kept} | {
        m: Fate("refitted" if m in fitted else "dropped", *count) for m, count in counts.items()
    }


def sentence(modality: str, fate: Fate) -> str:
    """What became of it, in words."""
    if fate.outcome == "kept":
        return f"{modality}: as in the checkpoint that the run started from, whose encoder and pool are unchanged"
    rows = f"{fate.train} training and {fate.dev} development samples"
    if fate.outcome == "refitted":
        return f"{modality}: fitted anew on {rows} of this run, since training moved its states"
    return (
        f"{modality}: gone, since training moved its states and {rows} are too few to fit it anew ({FEWEST} of each "
        "are needed): input unlike the training data is answered as surely as any other, and nothing marks it"
    )


def sampled_parts(model: EmotionModel, gathered: Sequence[SourceExamples]) -> tuple[list[Parts], list[Parts]]:
    """(training, development) samples of each source through the model: as many of each as a description keeps."""
    share = max(1, REFERENCE // max(1, len(gathered)))
    train = [read_parts(model, g.source.corpus, some(g.train, share)) for g in gathered if g.train]
    return train, [read_parts(model, name, some(g.dev, MOST)) for name, g in _named(gathered)]


def some(examples: Sequence[Example], most: int) -> list[Example]:
    """At most so many, at random, in their order."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(examples))[:most])
    return [examples[i] for i in chosen]


def _named(gathered: Sequence[SourceExamples]) -> Iterator[tuple[str, SourceExamples]]:
    """Sources with dev data, by names that differ."""
    taken: dict[str, int] = {}
    for g in gathered:
        if g.dev:
            number = taken[g.source.corpus] = taken.get(g.source.corpus, 0) + 1
            yield f"{g.source.corpus}#{number}" if number > 1 else g.source.corpus, g


def _counts(gathered: Sequence[SourceExamples], modality: Modality) -> tuple[int, int]:
    """Training and development samples that have a modality."""
    sides = ([e for g in gathered for e in g.train], [e for g in gathered for e in g.dev])
    train, dev = (sum(modality in e.modalities for e in side) for side in sides)
    return train, dev
