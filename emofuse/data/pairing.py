"""Multimodal samples out of corpora of one modality: what one says, another's voice and a third's face, of one class.

They show whether fusion helps when a modality fails; they are no substitute for people who were filmed speaking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.data.examples import Example, read_examples
from emofuse.errors import DataError
from emofuse.modalities import Modality, ordered
from emofuse.tasks import Task, leading
from emofuse.types import Split

_SUM = 1e-3
"""How far from one the sum of a distribution may be."""
COUNT = 350
"""Pairs where nobody says how many: fifty of each of seven emotions."""


def paired(
    parts: Mapping[Modality, Sequence[Example]], count: int, task: str = "emotion", seed: int = 0
) -> list[Example]:
    """`count` examples, each of one labelled example a modality of the same leading class; classes take turns.

    Targets are the mean of the parts' targets where they have any; the cluster is that of the voice, else of the first
    part. Raises DataError when there are not two modalities, or no class that all of them have.
    """
    pools: dict[Modality, dict[int, list[int]]] = {m: by_class(parts[m], task, m) for m in ordered(parts)}
    classes = sorted(set.intersection(*(set(pool) for pool in pools.values()))) if pools else []
    if len(pools) < 2 or not classes:
        raise DataError(
            f"pairs need labelled samples of {task} of two modalities at least; came {sorted(pools) or 'none'}"
        )
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        label = classes[i % len(classes)]
        chosen: dict[Modality, Example] = {}
        for modality, pool in pools.items():
            chosen[modality] = parts[modality][pool[label][int(rng.integers(len(pool[label])))]]
        owner = chosen.get("speech") or next(iter(chosen.values()))
        name = "+".join([*(e.id for e in chosen.values()), f"#{i}"])
        targets = mean_targets(list(chosen.values()))
        found.append(Example(name, chosen, targets, frozenset(chosen), owner.cluster, owner.groups))
    return found


def read_paired(
    corpus: str,
    root: str | Path,
    split: Split,
    tasks: Sequence[Task],
    pairs: Mapping[Modality, tuple[str, str | Path]],
    *,
    limit: int | None = None,
    **how: Any,
) -> tuple[list[Example], dict[str, Any]]:
    """Examples put together from a corpus and `pairs` (modality → another corpus and its root), and their protocol.

    The corpus itself gives the modalities that its samples have and `pairs` does not name; `limit` is how many there
    are, COUNT where None; `how` as in `read_examples`. Raises DataError as it and `paired` do.
    """
    own = read_examples(corpus, root, split, tasks, **how)
    about = own.protocol()
    has = frozenset[Modality]().union(*(example.modalities for example in own.examples)) - set(pairs)
    parts: dict[Modality, Sequence[Example]] = dict.fromkeys(ordered(has), own.examples)
    hashes, names = {corpus: about["split_hash"]}, dict.fromkeys(parts, corpus)
    for modality, (other, folder) in pairs.items():
        lent = read_examples(other, folder, split, tasks)
        parts[modality], hashes[other], names[modality] = lent.examples, lent.protocol()["split_hash"], other
    found = paired(parts, limit or COUNT)
    return found, about | {
        "corpus": "+".join(dict.fromkeys(names[m] for m in ordered(names))),
        "paired": {m: names[m] for m in ordered(names)},
        "split_hash": hashes,
        "evaluated_hash": None,
        "utterances": None,
        "limit": None,
        "n": len(found),
    }


def by_class(examples: Sequence[Example], task: str, modality: Modality | None = None) -> dict[int, list[int]]:
    """Leading class → places of the labelled examples (that have `modality`, if one is named).

    Of classes of which one is true, those that lead alike name none; labels that may stand beside each other do.
    """
    pool: dict[int, list[int]] = {}
    for place, example in enumerate(examples):
        target = example.targets.get(task)
        if target is None or np.isnan(target).any() or (modality and modality not in example.modalities):
            continue
        if len(target) > 1 and not target.any():  # of labels beside each other, none
            continue
        if abs(float(target.sum()) - 1.0) < _SUM and leading(target[None])[0] < 0:
            continue
        pool.setdefault(int(target.argmax()), []).append(place)
    return pool


def mean_targets(examples: Sequence[Example]) -> dict[str, np.ndarray]:
    """The mean of the examples' targets, task by task, over those that are labelled."""
    out = {}
    for name, first in examples[0].targets.items():
        known = [e.targets[name] for e in examples if not np.isnan(e.targets[name]).any()]
        out[name] = np.mean(known, axis=0).astype(np.float32) if known else first
    return out
