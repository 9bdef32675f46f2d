"""Everyday: sentences of daily life written by hand in English, Chinese and German, most without a word of emotion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from emofuse.corpora.corpus import Corpus, Log
from emofuse.corpora.folding import Folding, Names, same
from emofuse.corpora.text import by_share
from emofuse.tasks import EMOTIONS, POLARITIES
from emofuse.types import Utterance

FILE = "everyday.tsv"
COLUMNS = ("kind", "language", "emotion", "polarity", "text")
LANGUAGES = {"en": "English", "zh": "Chinese", "de": "German"}
KINDS = (
    "plain", "situation", "slang", "negation", "hedge", "several", "question", "command", "complaint", "sarcasm",
    "mixed", "idiom",
)  # fmt: skip
VALID: dict[str, tuple[str, ...]] = {
    "kind": KINDS,
    "language": tuple(LANGUAGES),
    "emotion": EMOTIONS,
    "polarity": (*POLARITIES, "-"),
}


class Everyday(Corpus):
    """Option `languages`: en, zh, de; None = all. A tenth of the sentences, by a hash of the text, is dev.

    Public corpora are comments and films: their models miss anger, fear and negation in sentences as people say them.
    """

    name = "everyday"
    licence = "Apache-2.0"
    citation = "the sentences of emofuse, recipes/emofuse-small/everyday/everyday.tsv"
    layout = """
        ROOT/everyday.tsv     a header, then kind, language (en, zh, de), emotion, polarity (- = none), text, by tabs
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names("emotion", same(*EMOTIONS)),
        "polarity": Names("polarity", same(*POLARITIES)),
    }

    def scan(self, root: Path, log: Log, *, languages: Sequence[str] | None = None) -> Iterator[Utterance]:
        """Every sentence, the first time it comes."""
        for language in languages or ():
            self.choose("languages", language, LANGUAGES)
        seen: set[str] = set()
        for number, row in self._rows(root, log):
            if row["text"] in seen:
                log.problem(f"{FILE} line {number}", "duplicate", f"{row['text']!r} comes again", "remove the line")
            elif row["language"] in (languages or LANGUAGES):
                yield self._utterance(number, row)
            seen.add(row["text"])

    def attributes(self, utterance: Utterance) -> dict[str, str | None]:
        """The kind of sentence: whether negation or sarcasm is answered worse than the rest."""
        return {"kind": str(utterance.labels["kind"])}

    def _rows(self, root: Path, log: Log) -> Iterator[tuple[int, dict[str, str]]]:
        if not (root / FILE).is_file():
            raise self.layout_error(root, f"no {FILE}")
        header, *lines = (root / FILE).read_text(encoding="utf-8").rstrip("\n").split("\n")
        if tuple(header.split("\t")) != COLUMNS:
            raise self.layout_error(root, f"the header is {header!r}, not {', '.join(COLUMNS)}")
        for number, line in enumerate(lines, start=2):
            cells = line.split("\t")
            row: dict[str, str] = dict(zip(COLUMNS, cells, strict=False))
            wrong = [name for name, valid in VALID.items() if row.get(name) not in valid]
            if len(cells) != len(COLUMNS) or not row["text"].strip():
                log.problem(
                    f"{FILE} line {number}", "row", f"{line[:60]!r}", f"give {', '.join(COLUMNS)}, tabs between"
                )
            elif wrong:
                valid = "; ".join(f"{name} is one of {', '.join(VALID[name])}" for name in wrong)
                log.problem(f"{FILE} line {number}", "label", f"{wrong[0]} is {row[wrong[0]]!r}", valid)
            else:
                yield number, row

    def _utterance(self, number: int, row: dict[str, str]) -> Utterance:
        return Utterance(
            id=f"{row['kind']}_{number}",
            corpus=self.name,
            split="dev" if by_share(row["text"], 0.1) else "train",
            speaker=f"{row['kind']}_{number}",
            text=row["text"],
            labels={name: row[name] for name in ("kind", "emotion", "polarity") if row[name] != "-"},
            language=LANGUAGES[row["language"]],
        )
