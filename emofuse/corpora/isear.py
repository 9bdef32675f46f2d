"""ISEAR: people of 37 countries telling of situations in which they felt one of seven emotions."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from emofuse.corpora.corpus import Corpus, Log, Protocol
from emofuse.corpora.folding import VALENCE, Folding, Names, same
from emofuse.corpora.folds import k_folds
from emofuse.corpora.text import by_share
from emofuse.tasks import EMOTIONS
from emofuse.types import Utterance

LABELS = ("joy", "fear", "anger", "sadness", "disgust", "shame", "guilt")
_EMPTY = re.compile(
    r"no response|not applicable|nothing\.?$|none\.?$|never\b.{0,40}$|blank|same as in|\[", re.IGNORECASE
)
"""What stands where a person told nothing."""


class Isear(Corpus):
    """No split is published: a tenth of the respondents, by a hash of their number, is dev."""

    name = "isear"
    licence = "research"
    citation = "Scherer & Wallbott 1994, Evidence for Universality and Cultural Variation of Emotion Responses"
    layout = """
        ROOT/isear.csv     columns ID, EMOT, Field1, SIT …, | between
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names("emotion", same(*EMOTIONS) | {"shame": None, "guilt": None}),
        "polarity": Names("emotion", VALENCE | {"shame": "negative", "guilt": "negative"}),
    }
    protocol = Protocol({"emotion": "macro_f1"})
    language = "English"
    disjoint = "speaker"
    folds_by_rule = True
    folds = k_folds()

    def scan(self, root: Path, log: Log) -> Iterator[Utterance]:
        """Every situation that was told."""
        path = next((root / n for n in ("isear.csv", "Isear.csv") if (root / n).is_file()), None)
        if path is None:
            raise self.layout_error(root, "no isear.csv")
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            rows = csv.DictReader(file, delimiter="|", quoting=csv.QUOTE_NONE)
            lacking = {"ID", "Field1", "SIT"} - set(rows.fieldnames or ())
            if lacking:
                raise self.layout_error(path, f"no column {', '.join(sorted(lacking))}")
            for number, row in enumerate(rows, start=2):
                yield from self._row(f"{path.name} row {number}", number, row, log)

    def _row(self, where: str, number: int, row: dict[str, str], log: Log) -> Iterator[Utterance]:
        text = " ".join((row["SIT"] or "").replace("á", " ").split())
        if row["Field1"] not in LABELS:
            log.problem(where, "label", f"emotion {row['Field1']!r}", f"one of {', '.join(LABELS)}")
        elif text and not _EMPTY.match(text):
            yield Utterance(
                id=f"{row['ID']}_{number}",
                corpus=self.name,
                split="dev" if by_share(row["ID"], 0.1) else "train",
                speaker=row["ID"],
                text=text,
                labels={"emotion": row["Field1"]},
            )
