"""Whether neighbours among embeddings share an emotion: `uv run python -m benchmarks.neighbours CORPORA [--limit N]`.

Of each development sample, the share of its ten nearest that carry its label, by the embeddings that `emofuse batch
--embeddings` keeps, next to what chance gives: the share of the label among those that could be neighbours. Of voices
and dialogues only samples of others count, or a neighbour would be the same person.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from emofuse.batch import collate
from emofuse.data.examples import read_examples
from emofuse.metrics import bootstrap
from emofuse.metrics.undefined import counted_elsewhere
from emofuse.model.model import EmotionModel
from emofuse.pipeline.similar import Embeddings
from emofuse.tasks import leading

CORPORA = ("goemotions", "meld", "ravdess", "emodb", "ased", "ferplus")
NEAREST = 10
SIZE = 16


def shares(states: np.ndarray, labels: np.ndarray, clusters: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Of each row: the share of its NEAREST of other clusters with its label, and of all of other clusters."""
    unit, whose = Embeddings(states, [""] * len(states)).states, np.array(clusters)
    found, chance = np.empty(len(labels)), np.empty(len(labels))
    for i, row in enumerate(unit):
        others = np.flatnonzero(whose != whose[i])
        nearest = others[np.argsort(-(unit[others] @ row), kind="stable")[:NEAREST]]
        found[i], chance[i] = (labels[nearest] == labels[i]).mean(), (labels[others] == labels[i]).mean()
    return found, chance


def embedded(model: EmotionModel, corpus: str, root: Path, limit: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Embeddings, leading emotions and clusters of development samples that one emotion leads."""
    examples = read_examples(corpus, root / corpus, "dev", model.tasks, limit=limit).examples
    kept = [
        e for e in examples if not np.isnan(e.targets["emotion"]).any() and leading(e.targets["emotion"][None])[0] >= 0
    ]
    states = []
    for start in range(0, len(kept), SIZE):
        batch = collate([e.prepare(model) for e in kept[start : start + SIZE]])
        states.append(model.predict(batch).embedding)
    return np.concatenate(states), leading(np.stack([e.targets["emotion"] for e in kept])), [e.cluster for e in kept]


def mean_gain(found: np.ndarray, chance: np.ndarray) -> float:
    """By how much the neighbours' share exceeds chance, on average."""
    return float(np.mean(found - chance))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--model", default="emofuse-small")
    parser.add_argument("--limit", type=int, default=500)
    asked = parser.parse_args()
    model = EmotionModel.from_pretrained(asked.model, lean=True)
    sys.stdout.write("| development data | n | neighbours share the emotion | by chance | more than chance, 95 % |\n")
    sys.stdout.write("|---|---|---|---|---|\n")
    for corpus in CORPORA:
        states, labels, clusters = embedded(model, corpus, asked.corpora, asked.limit)
        found, chance = shares(states, labels, clusters)
        with counted_elsewhere():
            gain = bootstrap(mean_gain, found, chance, clusters=clusters)
        cells = f"{len(labels)} | {found.mean():.3f} | {chance.mean():.3f} | {gain.low:+.3f} to {gain.high:+.3f}"
        sys.stdout.write(f"| {corpus} | {cells} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
