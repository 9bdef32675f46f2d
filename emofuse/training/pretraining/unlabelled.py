"""`Unlabelled`: the training split of a corpus without its labels, a part of it held out by speaker or dialogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.corpora.corpus import Corpus, split_hash
from emofuse.corpora.registry import corpus as reader_of
from emofuse.data.examples import Example, units_of, whose
from emofuse.data.load import holds_features, modalities_of
from emofuse.errors import DataError
from emofuse.modalities import Modality


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """What an encoder is pretrained on and measured on, and what says which data that was."""

    train: list[Example]
    held_out: list[Example]
    protocol: Mapping[str, Any]


def read_unlabelled(
    corpus: str,
    root: str | Path,
    modality: Modality,
    *,
    hold_out: float = 0.1,
    seed: int = 0,
    limit: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Unlabelled:
    """The train split's utterances that have a modality, labels left aside; dev and test are not touched.

    `hold_out` is the share of speakers, dialogues or videos (see `examples.whose`; else of utterances) that is
    measured on and never trained on, drawn with the seed. `limit` takes that many utterances at random. Raises
    DataError where nothing of the modality is left on either side.
    """
    reader = reader_of(corpus)
    reading = reader.read(root, "train", **dict(options or {}))
    found = [u for u in reading.utterances if modality in modalities_of(u) and not holds_features(u)]
    if limit is not None and limit < len(found):
        found = [found[i] for i in sorted(np.random.default_rng([seed, 1]).permutation(len(found))[:limit])]
    units = [whose(u, reader.disjoint)[1] for u in found]
    apart = _drawn(units, hold_out, seed)
    if not apart or len(apart) == len(set(units)):
        raise DataError(
            f"the train split of {corpus} has {len(found)} utterances with {modality} of {len(set(units))} "
            f"{units_of(found, reader.disjoint)}s: two at least are needed, one of them to be held out"
        )
    examples = [Example(u.id, u, {}, frozenset({modality}), unit) for u, unit in zip(found, units, strict=True)]
    train = [e for e in examples if e.cluster not in apart]
    held = [e for e in examples if e.cluster in apart]
    return Unlabelled(train, held, _protocol(reader, train, held, options or {}))


def _drawn(units: Sequence[str], share: float, seed: int) -> set[str]:
    """Names of units, in random order, until they hold their share of utterances."""
    names, counts = np.unique(np.asarray(units, dtype=object), return_counts=True)
    order = np.random.default_rng([seed, 2]).permutation(len(names))
    before = np.concatenate([[0], np.cumsum(counts[order])[:-1]]) if len(names) else np.empty(0)
    return {str(names[i]) for i, n in zip(order, before, strict=True) if n < share * len(units)}


def _protocol(
    reader: Corpus, train: Sequence[Example], held: Sequence[Example], options: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "corpus": reader.name,
        "citation": reader.citation,
        "licence": reader.licence,
        "options": dict(options),
        "split": "train",
        "train": len(train),
        "held_out": len(held),
        "held_out_by": units_of((e.utterance for e in (*train, *held)), reader.disjoint),
        "split_hash": split_hash(e.utterance for e in (*train, *held)),
        "held_out_hash": split_hash(e.utterance for e in held),
    }
