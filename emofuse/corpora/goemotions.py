"""GoEmotions reader: Reddit comments with one or several of 28 labels."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from emofuse.corpora.corpus import Corpus, Log, Protocol
from emofuse.corpora.folding import Folding, Names, same
from emofuse.tasks import GOEMOTIONS
from emofuse.types import Split, Utterance

FILES: dict[Split, str] = {"train": "train.tsv", "dev": "dev.tsv", "test": "test.tsv"}

EKMAN: dict[str, str | None] = {
    "anger": "anger", "annoyance": "anger", "disapproval": "anger",
    "disgust": "disgust",
    "fear": "fear", "nervousness": "fear",
    "joy": "joy", "amusement": "joy", "approval": "joy", "excitement": "joy", "gratitude": "joy", "love": "joy",
    "optimism": "joy", "relief": "joy", "pride": "joy", "admiration": "joy", "desire": "joy", "caring": "joy",
    "sadness": "sadness", "disappointment": "sadness", "embarrassment": "sadness", "grief": "sadness",
    "remorse": "sadness",
    "surprise": "surprise", "realization": "surprise", "confusion": "surprise", "curiosity": "surprise",
    "neutral": "neutral",
}  # fmt: skip
"""goemotions/data/ekman_mapping.json of the corpus's repository (Demszky et al. 2020)."""

SENTIMENT: dict[str, str | None] = {
    "amusement": "positive", "excitement": "positive", "joy": "positive", "love": "positive", "desire": "positive",
    "optimism": "positive", "caring": "positive", "pride": "positive", "admiration": "positive",
    "gratitude": "positive", "relief": "positive", "approval": "positive",
    "fear": "negative", "nervousness": "negative", "remorse": "negative", "embarrassment": "negative",
    "disappointment": "negative", "sadness": "negative", "grief": "negative", "disgust": "negative",
    "anger": "negative", "annoyance": "negative", "disapproval": "negative",
    "realization": None, "surprise": None, "curiosity": None, "confusion": None,
    "neutral": "neutral",
}  # fmt: skip
"""goemotions/data/sentiment_dict.json; the four it calls ambiguous fold to nothing."""


class GoEmotions(Corpus):
    """No options. The author of a comment is not published: each comment is its own speaker."""

    name = "goemotions"
    licence = "Apache-2.0"
    citation = "Demszky et al. 2020, GoEmotions: A Dataset of Fine-Grained Emotions, ACL"
    layout = """
        ROOT/labels.txt (or emotions.txt)          28 names, one a line
        ROOT/train.tsv, ROOT/dev.tsv, ROOT/test.tsv   text <tab> label numbers, comma between <tab> comment id
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names("emotion", EKMAN, flat=True),
        "polarity": Names("emotion", SENTIMENT, flat=True),
        "goemotions28": Names("emotion", same(*GOEMOTIONS)),
        "goemotions_ekman": Names("emotion", EKMAN),
    }
    protocol = Protocol(
        leading={"emotion": "macro_f1", "polarity": "macro_f1"}, views={"goemotions_ekman": "emotion"}, threshold=0.3
    )
    """The threshold: Demszky et al. 2020, §5.2."""
    language = "English"

    def scan(self, root: Path, log: Log) -> Iterator[Utterance]:
        """Every comment of the files that are there."""
        listing = next((root / n for n in ("labels.txt", "emotions.txt") if (root / n).is_file()), None)
        if listing is None or not any((root / f).is_file() for f in FILES.values()):
            raise self.layout_error(root, "no labels.txt" if listing is None else "no train.tsv, dev.tsv or test.tsv")
        names = listing.read_text(encoding="utf-8").split()
        for split, file in FILES.items():
            if (root / file).is_file():
                yield from self._rows(root / file, split, names, log)

    def _rows(self, path: Path, split: Split, names: list[str], log: Log) -> Iterator[Utterance]:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE), start=1):
                where = f"{path.name} row {number}"
                if len(row) != 3:
                    log.problem(where, "row", f"{len(row)} columns", "text, labels and id belong there")
                    continue
                text, ids, comment = row
                parts = ids.split(",")
                if not all(p.isdigit() and int(p) < len(names) for p in parts):
                    log.problem(where, "label", f"labels {ids!r}", f"numbers from 0 to {len(names) - 1} belong there")
                    continue
                if not text.strip():
                    log.problem(where, "row", "the text is empty", "give the comment's text")
                    continue
                votes = {names[int(p)]: 1.0 for p in parts}
                yield Utterance(
                    id=comment, corpus=self.name, split=split, speaker=comment, text=text, labels={"emotion": votes}
                )
