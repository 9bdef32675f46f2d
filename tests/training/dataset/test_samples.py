"""Training samples: whose a composed one is, so that what is held out shares nobody with what chose."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from emofuse.calibration.evidence import held_out
from emofuse.data.compose import Compose, Composer
from emofuse.data.examples import Example
from emofuse.training.dataset.samples import Samples
from emofuse.types import Utterance


def people(modality: str, number: int) -> list[Example]:
    """Four utterances of each of so many people, of two classes."""
    return [
        Example(
            f"{modality}{person}.{i}",
            Utterance(f"{modality}{person}.{i}", "manifest", "dev", f"{modality}{person}"),
            {"emotion": np.eye(7, dtype=np.float32)[i % 2]},
            frozenset([modality]),
            f"{modality}{person}",
        )
        for person in range(number)
        for i in range(4)
    ]


def composed(examples: list[Example], sides: list[bool] | None) -> Samples:
    composer = Composer(examples, Compose(), 300, sides)
    model: Any = SimpleNamespace(modalities=("text", "speech", "face"))
    return Samples(examples, model, lambda u: u, seed=0, composer=composer)  # type: ignore[arg-type,return-value]


def test_a_composed_sample_is_held_out_with_every_person_in_it() -> None:
    examples = [*people("text", 6), *people("speech", 6), *people("face", 6)]
    sides = held_out([e.cluster for e in examples]).tolist()
    samples = composed(examples, sides)
    first = len(examples)
    keys = [(0, first + n) for n in range(300)]
    held = held_out([samples.cluster(key) for key in keys])
    whose: dict[bool, set[str]] = {True: set(), False: set()}
    for key, out in zip(keys, held, strict=True):
        whose[bool(out)] |= {examples[i].cluster for i in samples._draw(*key).parts.values()}
    assert whose[True] and whose[False] and whose[True].isdisjoint(whose[False])
    assert 100 < held.sum() < 200
    assert samples.cluster((0, 0)) == examples[0].cluster


def test_where_the_halves_are_too_small_nothing_is_held_out() -> None:
    examples = [*people("text", 1), *people("speech", 1)]
    samples = composed(examples, held_out([e.cluster for e in examples]).tolist())
    held = held_out([samples.cluster((0, len(examples) + n)) for n in range(50)])
    assert held.all() or not held.any()
