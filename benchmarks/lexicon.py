"""What the lexicon is worth: `uv run python -m benchmarks.lexicon CORPORA [--model M] [--limit N] [--refit N]`.

The model reads English development texts as it is and with its lexicon (VADER's valences, boosters, negations and the
compound of a text) silent: a zero for every feature, which is what words that the lexicon does not know have. That
says how much the trained model leans on it, not what one trained without it would have learnt instead. So with
`--refit` the emotion's head is fitted anew on the pooled states of so many training texts of GoEmotions and of MELD,
with the lexicon and without; the encoder, which learnt beside a lexicon, stays. Differences are paired, intervals over
dialogues or texts.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from emofuse.calibration.parts import Parts, read_parts
from emofuse.data.examples import Example, read_examples
from emofuse.errors import DataError
from emofuse.media.transcript import spread
from emofuse.metrics import compare_paired
from emofuse.metrics.task import scores_of
from emofuse.metrics.undefined import counted_elsewhere
from emofuse.model.model import EmotionModel
from emofuse.tasks import EMOTIONS, TASKS, Task, leading
from emofuse.types import Segment

CHALLENGE = Path(__file__).parents[1] / "tests" / "evaluation" / "challenge.tsv"
RESAMPLES = 500
STRENGTH = 0.01
"""Of the fitted head: scikit-learn's C, the inverse of its penalty, on standardised states."""


class Part(NamedTuple):
    """Development texts, and what is measured on them."""

    corpus: str
    what: str
    measures: tuple[tuple[str, str], ...]
    """(task, metric)."""
    options: Mapping[str, Any] = {}


PARTS = (
    Part("goemotions", "GoEmotions dev", (("emotion", "macro_f1"),)),
    Part("meld", "MELD dev, five earlier turns", (("emotion", "weighted_f1"), ("polarity", "weighted_f1"))),
    Part("brighter", "BRIGHTER English dev", (("emotion", "macro_f1"),), {"languages": ["eng"]}),
    Part("emobank", "EmoBank dev", (("valence", "pearson"), ("arousal", "pearson"))),
)
HAND_WRITTEN = Part("challenge", "sentences written by hand, English", (("emotion", "accuracy"),))
TAUGHT = ("goemotions", "meld")


@contextmanager
def silent(model: EmotionModel) -> Iterator[None]:
    """The model without what its lexicon says. Raises DataError where it has none."""
    lexicon: Any = getattr(model.encoder("text"), "lexicon", None)
    if lexicon is None:
        raise DataError("the text encoder of this model has no lexicon; choose one with model.encoders.text.lexicon")
    kept = lexicon.weight.detach().clone()
    with torch.no_grad():
        lexicon.weight.zero_()
        try:
            yield
        finally:
            lexicon.weight.copy_(kept)


def both(model: EmotionModel, name: str, examples: Sequence[Example]) -> tuple[Parts, Parts]:
    """The examples read with the lexicon and without it, in the same order."""
    before = read_parts(model, name, examples)
    with silent(model):
        return before, read_parts(model, name, examples)


def hand_written(tasks: Sequence[Task]) -> list[Example]:
    """The English sentences of the challenge set, each as one segment."""
    with CHALLENGE.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines, delimiter="\t") if row["language"] == "en"]
    nothing = {task.name: np.full(task.width, np.nan, np.float32) for task in tasks}
    return [
        Example(
            f"challenge{n}",
            Segment(f"challenge{n}", 0.0, 3.0, words=spread(row["text"], 0.0, 3.0)),
            nothing | {"emotion": np.eye(len(EMOTIONS), dtype=np.float32)[EMOTIONS.index(row["emotion"])]},
            frozenset({"text"}),
            f"challenge{n}",
        )
        for n, row in enumerate(rows)
    ]


def compared(
    task: Task, metric: str, parts: Parts, rows: np.ndarray, before: np.ndarray, after: np.ndarray
) -> tuple[str, ...]:
    """Number, and a measure with the lexicon, without, and their difference with its interval."""
    with counted_elsewhere():
        found = compare_paired(
            scores_of(task)[metric],
            task.flat(parts.targets[task.name][rows]),
            task.flat(after),
            task.flat(before),
            clusters=np.array(parts.clusters)[rows],
            resamples=RESAMPLES,
        )
    gap = found.difference
    figures = (f"{found.b:.3f}", f"{found.a:.3f}", f"{gap.estimate:+.3f}", f"{gap.low:+.3f} to {gap.high:+.3f}")
    return str(int(rows.sum())), *figures


def shipped(part: Part, before: Parts, after: Parts) -> Iterator[tuple[str, ...]]:
    """Rows of the table: the heads as they are."""
    for name, metric in part.measures:
        rows = before.rows(name, "text")
        sides = (side.logits["text"][name][rows] for side in (before, after))
        yield part.what, f"{name}.{metric}", "as trained", *compared(TASKS[name], metric, before, rows, *sides)


def fitted(train: Sequence[Parts]) -> tuple[LogisticRegression, np.ndarray, np.ndarray]:
    """A head over standardised states, with their mean and deviation; texts that no emotion leads are left out."""
    states = np.concatenate([p.states["text"] for p in train]).astype(np.float64)
    labels = leading(np.nan_to_num(np.concatenate([p.targets["emotion"] for p in train])))
    known = (labels >= 0) & ~np.isnan(np.concatenate([p.targets["emotion"] for p in train])).any(1)
    mean, deviation = states[known].mean(0), states[known].std(0) + 1e-6
    head = LogisticRegression(C=STRENGTH, max_iter=500)
    return head.fit((states[known] - mean) / deviation, labels[known]), mean, deviation


def answers(head: LogisticRegression, mean: np.ndarray, deviation: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Probabilities [texts, 7]; nothing for emotions that no training text had."""
    values = np.zeros((len(states), len(EMOTIONS)))
    values[:, head.classes_] = head.predict_proba((states - mean) / deviation)
    return values


def refitted(
    part: Part, sides: tuple[Parts, Parts], heads: Sequence[tuple[LogisticRegression, np.ndarray, np.ndarray]]
) -> Iterator[tuple[str, ...]]:
    """Rows of the table: a head fitted with the lexicon reads with it, one fitted without it without."""
    for name, metric in part.measures:
        if name == "emotion":
            rows = sides[0].rows(name, "text")
            values = [answers(*head, side.states["text"][rows]) for head, side in zip(heads, sides, strict=True)]
            yield part.what, f"{name}.{metric}", "fitted anew", *compared(TASKS[name], metric, sides[0], rows, *values)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--model", default="emofuse-small")
    parser.add_argument("--limit", type=int, help="at most so many texts a part, stratified")
    parser.add_argument("--refit", type=int, metavar="N", help="fit the head anew on so many texts of each corpus")
    asked = parser.parse_args()
    model = EmotionModel.from_pretrained(asked.model, lean=True).eval()
    heads = []
    if asked.refit:
        own = [read_examples(c, asked.corpora / c, "train", model.tasks, ("text",), limit=asked.refit) for c in TAUGHT]
        pairs = [both(model, each.reading.corpus, each.examples) for each in own]
        heads = [fitted(side) for side in zip(*pairs, strict=True)]
    sys.stdout.write("| texts | measure | head | n | with the lexicon | without | it gives | 95 % |\n|")
    sys.stdout.write("---|" * 8 + "\n")
    for part in (*PARTS, HAND_WRITTEN):
        if part is HAND_WRITTEN:
            examples = hand_written(model.tasks)
        else:
            examples = read_examples(
                part.corpus, asked.corpora / part.corpus, "dev", model.tasks, ("text",), limit=asked.limit,
                options=part.options,
            ).examples  # fmt: skip
        sides = both(model, part.corpus, examples)
        for row in (*shipped(part, *sides), *(refitted(part, sides, heads) if heads else ())):
            sys.stdout.write(f"| {' | '.join(row)} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
