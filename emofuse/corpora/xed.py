"""XED: lines of film subtitles with Plutchik's emotions, in English and projected into other languages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from emofuse import tasks
from emofuse.corpora.corpus import Corpus, Log, Protocol
from emofuse.corpora.folding import VALENCE, Folding, Names, same
from emofuse.corpora.text import by_share
from emofuse.types import Split, Utterance

EMOTIONS = ("anger", "anticipation", "disgust", "fear", "joy", "sadness", "surprise", "trust")
"""In the order of the numbers in the files, from 1."""
LANGUAGES = {
    "en": "English", "de": "German", "cn": "Chinese", "zh": "Chinese", "tw": "Chinese", "es": "Spanish", "fr": "French",
    "it": "Italian",
}  # fmt: skip
"""Prefixes of files in English; one that is not here stands for itself."""
ENGLISH, NEUTRAL = "AnnotatedData/en-annotated.tsv", "AnnotatedData/neu_en.txt"


class Xed(Corpus):
    """Option `languages`: en and the prefixes of the projections (de, cn, …); None = all that are there.

    No split is published: a tenth of the lines, by a hash of the text, is dev. English alone has neutral lines.
    """

    name = "xed"
    licence = "CC BY 4.0"
    citation = "Öhman et al. 2020, XED: A Multilingual Dataset for Sentiment Analysis and Emotion Detection, COLING"
    layout = """
        ROOT/AnnotatedData/en-annotated.tsv      text <tab> numbers 1 to 8, comma between
        ROOT/AnnotatedData/neu_en.txt            number <tab> text, neutral; optional
        ROOT/Projections/de-projections.tsv …    as en-annotated.tsv
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names("emotion", same(*tasks.EMOTIONS) | {"anticipation": None, "trust": None}),
        "polarity": Names("emotion", VALENCE | {"anticipation": None, "trust": "positive"}, flat=True),
    }
    protocol = Protocol({"emotion": "macro_f1"})

    def scan(self, root: Path, log: Log, *, languages: Sequence[str] | None = None) -> Iterator[Utterance]:
        """Every line once a language, the first time it comes."""
        found = {p.name.partition("-")[0]: p for p in sorted((root / "Projections").glob("*-projections.tsv"))}
        found = ({"en": root / ENGLISH} if (root / ENGLISH).is_file() else {}) | found
        if not found:
            raise self.layout_error(root, f"neither {ENGLISH} nor a file of Projections is there")
        for language in languages or ():
            self.choose("languages", language, found)
        for language in languages or found:
            seen: set[str] = set()
            yield from self._lines(found[language], language, seen, log)
            if language == "en" and (root / NEUTRAL).is_file():
                yield from self._neutral(root / NEUTRAL, seen)

    def _lines(self, path: Path, language: str, seen: set[str], log: Log) -> Iterator[Utterance]:
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
            text, _, numbers = line.partition("\t")
            names = [n.strip() for n in numbers.split(",")]
            text = " ".join(text.split())
            if line.count("\t") != 1 or not text or not all(n in map(str, range(1, 9)) for n in names):
                log.problem(f"{path.name} line {number}", "row", f"{line[:60]!r}", "text, tab, numbers 1 to 8")
            elif text not in seen:
                seen.add(text)
                yield self._utterance(
                    f"{language}_{number}", text, language, {EMOTIONS[int(n) - 1]: 1.0 for n in names}
                )

    def _neutral(self, path: Path, seen: set[str]) -> Iterator[Utterance]:
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
            text = " ".join(line.partition("\t")[2].split())
            if text and text not in seen:
                seen.add(text)
                yield self._utterance(f"neutral_{number}", text, "en", {"neutral": 1.0})

    def _utterance(self, name: str, text: str, language: str, votes: dict[str, float]) -> Utterance:
        return Utterance(
            id=name,
            corpus=self.name,
            split=_split(text),
            speaker=name,
            text=text,
            labels={"emotion": votes},
            language=LANGUAGES.get(language, language),
        )


def _split(text: str) -> Split:
    return "dev" if by_share(text, 0.1) else "train"
