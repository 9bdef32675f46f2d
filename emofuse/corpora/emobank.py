"""EmoBank: English sentences of many genres with valence, arousal and dominance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from emofuse.corpora.corpus import Corpus, Log
from emofuse.corpora.folding import Folding, Number
from emofuse.corpora.text import table
from emofuse.types import SPLITS, Split, Utterance

NUMBERS = {"valence": "V", "arousal": "A", "dominance": "D"}


class EmoBank(Corpus):
    """No options. The means of several readers' and writers' ratings, 1 to 5."""

    name = "emobank"
    licence = "CC BY-SA 4.0"
    citation = "Buechel & Hahn 2017, EmoBank: Studying the Impact of Annotation Perspective, EACL"
    layout = """
        ROOT/corpus/emobank.csv     id, split, V, A, D, text
        """
    foldings: ClassVar[dict[str, Folding]] = {name: Number(name, lambda rating: (rating - 3) / 2) for name in NUMBERS}
    language = "English"

    def scan(self, root: Path, log: Log) -> Iterator[Utterance]:
        """Every sentence with letters in it."""
        path = next((root / n for n in ("corpus/emobank.csv", "emobank.csv") if (root / n).is_file()), None)
        if path is None:
            raise self.layout_error(root, "no emobank.csv")
        for number, row in table(path):
            where, text = f"{path.name} row {number}", " ".join(row.get("text", "").split())
            try:
                labels = {name: float(row[column]) for name, column in NUMBERS.items()}
            except (KeyError, ValueError):
                log.problem(
                    where, "label", f"V, A, D are {[row.get(c) for c in NUMBERS.values()]}", "numbers from 1 to 5"
                )
                continue
            split: Split | None = next((s for s in SPLITS if s == row.get("split")), None)
            if split is None:
                log.problem(where, "row", f"split {row.get('split')!r}", f"one of {', '.join(SPLITS)}")
            elif any(map(str.isalpha, text)):
                yield Utterance(row["id"], self.name, split, row["id"], text=text, labels=labels)
