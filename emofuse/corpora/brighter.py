"""BRIGHTER: posts and speeches in many languages with the perceived emotions and their intensity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from emofuse import tasks
from emofuse.corpora.corpus import Corpus, Log, Protocol
from emofuse.corpora.folding import VALENCE, Folding, Names, Number, same
from emofuse.corpora.text import table
from emofuse.types import SPLITS, Split, Utterance

EMOTIONS = ("anger", "disgust", "fear", "joy", "sadness", "surprise")
LANGUAGES = {
    "chn": "Chinese", "deu": "German", "eng": "English", "esp": "Spanish", "hin": "Hindi", "ptbr": "Portuguese",
    "rus": "Russian", "ukr": "Ukrainian",
}  # fmt: skip
"""Codes of files in English; one that is not here stands for itself."""
FOLDERS = ("task-dataset/semeval-2025-task11-dataset", "semeval-2025-task11-dataset", "")


class Brighter(Corpus):
    """Option `languages`: codes of the files (eng, chn, deu, …); None = all that are there.

    Where track B has a text too, its intensities (0 to 3) are the votes, else track A's 0 and 1. A text without any
    emotion is neutral. English has no label disgust.
    """

    name = "brighter"
    licence = "CC BY 4.0"
    citation = "Muhammad et al. 2025, BRIGHTER: BRIdging the Gap in Human-Annotated Textual Emotion Recognition, ACL"
    layout = """
        ROOT/task-dataset/semeval-2025-task11-dataset/      or ROOT itself
            track_a/{train,dev,test}/eng.csv …   id, text, one column an emotion with 0 or 1
            track_b/{train,dev,test}/eng.csv …   the same with 0 to 3, optional
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names("emotion", same(*tasks.EMOTIONS), empty="neutral"),
        "polarity": Names("emotion", VALENCE, flat=True, empty="neutral"),
        "intensity": Number("intensity", lambda i: i / 3),
    }
    protocol = Protocol({"emotion": "macro_f1", "polarity": "macro_f1"})

    def scan(self, root: Path, log: Log, *, languages: Sequence[str] | None = None) -> Iterator[Utterance]:
        """Every text of track A, language by language."""
        home = next((root / f for f in FOLDERS if (root / f / "track_a").is_dir()), None)
        if home is None:
            raise self.layout_error(root, "no folder track_a")
        there = sorted({p.stem for s in SPLITS for p in (home / "track_a" / s).glob("*.csv")})
        for language in languages or ():
            self.choose("languages", language, there)
        for language in languages or there:
            for split in SPLITS:
                path = home / "track_a" / split / f"{language}.csv"
                if path.is_file():
                    yield from self._rows(path, split, language, _intensities(home, split, language), log)

    def _rows(
        self, path: Path, split: Split, language: str, intensities: dict[str, dict[str, str]], log: Log
    ) -> Iterator[Utterance]:
        for number, row in table(path):
            where = f"{path.parent.name}/{path.name} row {number}"
            text, own = row.get("text", "").strip(), {e: row[e] for e in EMOTIONS if row.get(e)}
            votes = {**own, **intensities.get(text, {})}
            if not text:
                log.problem(where, "row", "the text is empty", "give the text")
            elif not own or not all(v.strip() in ("0", "1", "2", "3") for v in votes.values()):
                log.problem(where, "label", f"labels {votes}", f"0 to 3 belong into {', '.join(EMOTIONS)}")
            else:
                name = row.get("id") or f"{language}_{split}_{number}"
                yield Utterance(
                    id=name,
                    corpus=self.name,
                    split=split,
                    speaker=name,
                    language=LANGUAGES.get(language, language),
                    text=" ".join(text.split()),
                    labels=_labels({e: float(v) for e, v in votes.items()}, bool(intensities.get(text))),
                )


def _intensities(home: Path, split: Split, language: str) -> dict[str, dict[str, str]]:
    """Text → track B's intensities."""
    path = home / "track_b" / split / f"{language}.csv"
    if not path.is_file():
        return {}
    return {row["text"].strip(): {e: row[e] for e in EMOTIONS if row.get(e)} for _, row in table(path)}


def _labels(votes: dict[str, float], graded: bool) -> dict[str, float | dict[str, float]]:
    labels: dict[str, float | dict[str, float]] = {"emotion": votes}
    return labels | {"intensity": max(votes.values())} if graded else labels
