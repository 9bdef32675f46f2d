"""EmoGator: vocal bursts (laughter, sighs, groans) of 357 people in 30 categories; no words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from emofuse.corpora.clips import usable
from emofuse.corpora.corpus import Corpus, Log, Protocol
from emofuse.corpora.folding import Folding, Names
from emofuse.corpora.folds import k_folds
from emofuse.types import Utterance

CATEGORIES = (
    "adoration", "amusement", "anger", "awe", "confusion", "contempt", "contentment", "desire", "disappointment",
    "disgust", "distress", "ecstasy", "elation", "embarrassment", "fear", "guilt", "interest", "neutral", "pain",
    "pride", "realization", "relief", "romantic love", "sadness", "serenity", "shame", "surprise (negative)",
    "surprise (positive)", "sympathy", "triumph",
)  # fmt: skip
"""In the order of the numbers in the names, from 01."""
FOLDED = {
    "amusement": "joy", "elation": "joy", "anger": "anger", "disgust": "disgust", "fear": "fear", "neutral": "neutral",
    "sadness": "sadness", "surprise (negative)": "surprise", "surprise (positive)": "surprise",
}  # fmt: skip
"""The categories that name an emotion of ours; the others fold to nothing."""
SUFFIXES = {".mp3", ".wav", ".flac", ".opus"}
HELD_OUT = 10
"""One contributor in so many is dev."""


class EmoGator(Corpus):
    """Options: `verify`. The corpus has no split: contributors 10, 20, … are dev, the rest train."""

    name = "emogator"
    licence = "Apache-2.0"
    citation = "Buhl 2023, EmoGator: A New Open Source Vocal Burst Dataset, arXiv:2301.00508"
    layout = """
        ROOT/data/mp3/000312-18-3.mp3   (or .wav, .flac, .opus): contributor, category from 01 to 30, instance
        """
    foldings: ClassVar[dict[str, Folding]] = {"emotion": Names("emotion", dict.fromkeys(CATEGORIES) | FOLDED)}
    protocol = Protocol({"emotion": "uar"})
    disjoint = "speaker"
    folds_by_rule = True
    folds = k_folds()

    def scan(self, root: Path, log: Log, *, verify: bool = True) -> Iterator[Utterance]:
        """Every burst, by name."""
        paths = sorted(p for p in (root / "data" / "mp3").glob("*") if p.suffix.lower() in SUFFIXES)
        if not paths:
            raise self.layout_error(root, "it holds no data/mp3/*.mp3")
        for path in paths:
            parts = path.stem.split("-")
            if len(parts) != 3 or not all(map(str.isdigit, parts)) or not 1 <= int(parts[1]) <= len(CATEGORIES):
                log.problem(path, "row", "not an EmoGator name such as 000312-18-3", "rename or move it")
            elif usable(path, log, verify):
                yield Utterance(
                    id=path.stem,
                    corpus=self.name,
                    split="train" if int(parts[0]) % HELD_OUT else "dev",
                    speaker=parts[0],
                    media=path,
                    labels={"emotion": CATEGORIES[int(parts[1]) - 1]},
                )
