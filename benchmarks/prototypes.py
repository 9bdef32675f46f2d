"""How well labels are told by prototype: `uv run python -m benchmarks.prototypes CORPORA [--model M] [--limit N]`.

GoEmotions' development comments and those of its 28 labels that are none of the model's seven emotions: the area under
the ROC curve of the likeness to the label's word (as an adjective), to five training comments that carry it alone
(drawn with seed 0), and, to compare with, of the probability of the emotion that the label belongs to (Ekman). The
interval is over comments. A last column has the model's own head, where it has learnt these labels.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.batch import collate
from emofuse.corpora.goemotions import EKMAN
from emofuse.corpora.registry import read
from emofuse.data.examples import Example, read_examples
from emofuse.metrics import bootstrap
from emofuse.metrics.classification import auroc
from emofuse.metrics.undefined import counted_elsewhere
from emofuse.model.model import EmotionModel
from emofuse.pipeline.prototypes import Prototypes
from emofuse.tasks import EMOTIONS, GOEMOTIONS, TASKS
from emofuse.types import Prediction, Segment

WORDS = {
    "admiration": "admiring", "amusement": "amused", "annoyance": "annoyed", "approval": "approving",
    "caring": "caring", "confusion": "confused", "curiosity": "curious", "desire": "longing",
    "disappointment": "disappointed", "disapproval": "disapproving", "embarrassment": "embarrassed",
    "excitement": "excited", "gratitude": "grateful", "grief": "grieving", "love": "loving", "nervousness": "nervous",
    "optimism": "optimistic", "pride": "proud", "realization": "realization", "relief": "relieved",
    "remorse": "remorseful",
}  # fmt: skip
EXAMPLES = 5
SIZE = 32
FINE = TASKS["goemotions28"]


def answered(model: EmotionModel, examples: Sequence[Example]) -> dict[str, np.ndarray]:
    """`state`, and a column for each task, of every comment."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].utterance.text or ""))
    found: dict[str, Any] = {}
    for start in range(0, len(order), SIZE):
        rows = order[start : start + SIZE]
        decoded = model.predict(collate([examples[i].prepare(model) for i in rows]))
        for name, values in {"state": decoded.embedding, **decoded.tasks}.items():
            found.setdefault(name, np.empty((len(examples), values.shape[1])))[rows] = values
    return found


def likeness(asked: Prototypes, states: np.ndarray) -> dict[str, np.ndarray]:
    """Label → its likeness of every comment."""
    words = frozenset({"text"})
    rows = [asked.over(Prediction(0, 1, None, words, None, embedding=s), Segment("", 0, 1)) for s in states]
    return {name: np.array([row.by_prototype[name] for row in rows]) for name in asked.directions}


def drawn(root: Path) -> dict[str, list[str]]:
    """Training comments that carry one label alone, by label."""
    rng, texts = np.random.default_rng(0), dict[str, list[str]]()
    for utterance in read("goemotions", root, "train").utterances:
        votes = utterance.labels["emotion"]
        if isinstance(votes, dict) and len(votes) == 1:
            texts.setdefault(next(iter(votes)), []).append(utterance.text or "")
    return {label: [texts[label][i] for i in rng.permutation(len(texts[label]))[:EXAMPLES]] for label in WORDS}


def cell(truth: np.ndarray, values: np.ndarray | None) -> str:
    """An area with its interval."""
    if values is None:
        return "not answered"
    with counted_elsewhere():
        found = bootstrap(auroc, truth, values, resamples=300)
    return f"{found.estimate:.3f} ({found.low:.2f}-{found.high:.2f})"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--model", default="emofuse-small")
    parser.add_argument("--limit", type=int)
    asked = parser.parse_args()
    root = asked.corpora / "goemotions"
    model = EmotionModel.from_pretrained(asked.model)
    examples = read_examples("goemotions", root, "dev", (TASKS["emotion"], FINE), limit=asked.limit).examples
    found, truth = answered(model, examples), FINE.truth(np.stack([e.targets[FINE.name] for e in examples]))
    by_word = likeness(Prototypes(model, list(WORDS.values())), found["state"])
    by_example = likeness(Prototypes(model, drawn(root)), found["state"])
    sys.stdout.write("| label | n | its word | five examples | its emotion | own head |\n|---|---|---|---|---|---|\n")
    for label, word in WORDS.items():
        place = GOEMOTIONS.index(label)
        own = found[FINE.name][:, place] if FINE.name in found else None
        emotion = found["emotion"][:, EMOTIONS.index(str(EKMAN[label]))]
        cells = [cell(truth[:, place], v) for v in (by_word.get(word), by_example.get(label), emotion, own)]
        sys.stdout.write(f"| {label} | {int(truth[:, place].sum())} | {' | '.join(cells)} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
