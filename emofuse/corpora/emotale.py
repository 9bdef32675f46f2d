"""EmoTale: 18 speakers of Danish and English, five sentences, five emotions, rated for valence and arousal."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import ClassVar, Literal

from emofuse.corpora.clips import usable
from emofuse.corpora.corpus import Corpus, Log, Protocol, age_group
from emofuse.corpora.folding import Folding, Names, Number
from emofuse.corpora.folds import k_folds
from emofuse.types import Split, Utterance

LANGUAGES = {"DK": "Danish", "EN": "English"}
EMOTIONS = {"A": "anger", "B": "boredom", "H": "happiness", "N": "neutral", "S": "sadness"}
SCALES = {"V": "valence", "A": "arousal", "D": "dominance"}
"""Letters of the columns, each rated from 1 to 5."""
RATERS = ("a1", "a2", "a3")
SUFFIXES = {".wav", ".flac", ".opus"}
DEV = frozenset({"007", "014"})


class EmoTale(Corpus):
    """Options: `language` (all, Danish, English), `verify`.

    The corpus has no split: speakers whose number is a multiple of 3 are test, 007 and 014 dev, the rest train. The
    five sentences say nothing of the emotion and are left out. Numbers are the mean of the raters.
    """

    name = "emotale"
    licence = "free for research, asks for citation"
    citation = "EmoTale: An Enacted Speech-emotion Dataset in Danish, ASRU 2025"
    layout = """
        ROOT/annotations.csv          file, a1_A, a1_V, a1_D, a1_cat, a2_A, …, gt_emotion
        ROOT/speaker_info.csv         speaker, gender, age: need not be there
        ROOT/wav/DK_004_A_5.wav       (or .flac, .opus): language, speaker, emotion, sentence
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names(
            "emotion",
            {"neutral": "neutral", "happiness": "joy", "sadness": "sadness", "anger": "anger", "boredom": None},
        ),
        **{name: Number(name, lambda rated: (rated - 3) / 2) for name in SCALES.values()},
    }
    protocol = Protocol({"emotion": "uar", "valence": "ccc", "arousal": "ccc"})
    disjoint = "speaker"
    folds_by_rule = True
    folds = k_folds()
    roster: ClassVar[dict[str, str]] = dict.fromkeys((f"{n:03}" for n in range(1, 20) if n != 2), "")

    def scan(
        self, root: Path, log: Log, *, language: Literal["all", "Danish", "English"] = "all", verify: bool = True
    ) -> Iterator[Utterance]:
        """Every recording, by name."""
        self.choose("language", language, ("all", *LANGUAGES.values()))
        paths = sorted(p for p in (root / "wav").glob("*") if p.suffix.lower() in SUFFIXES)
        if not paths:
            raise self.layout_error(root, "it holds no wav/*.wav, *.flac or *.opus")
        rated, people = ratings(root / "annotations.csv", log), speakers(root / "speaker_info.csv")
        for path in paths:
            tongue, speaker, emotion, _ = [*path.stem.split("_"), "", "", "", ""][:4]
            if tongue not in LANGUAGES or emotion not in EMOTIONS or not speaker.isdigit():
                log.problem(path, "row", "not an EmoTale name such as DK_004_A_5", "rename or move it")
            elif language in ("all", LANGUAGES[tongue]) and usable(path, log, verify):
                yield Utterance(
                    id=path.stem,
                    corpus=self.name,
                    split=_split(speaker),
                    speaker=speaker,
                    media=path,
                    language=LANGUAGES[tongue],
                    labels={"emotion": EMOTIONS[emotion], **rated.get(path.stem, {}), **people.get(speaker, {})},
                )


def ratings(path: Path, log: Log) -> dict[str, dict[str, float]]:
    """Valence, arousal and dominance, 1 to 5, by the name of the file without its ending: means of the raters."""
    if not path.is_file():
        log.problem(path, "missing", "the table of ratings is not there", "fetch annotations.csv")
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {Path(row["file"]).stem: _means(row, path, log) for row in csv.DictReader(file)}


def speakers(path: Path) -> dict[str, dict[str, str]]:
    """Sex and age group of each speaker; empty without the table."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        row["speaker"]: {"sex": (row.get("gender") or "")[:1].lower(), "age": age_group(row.get("age") or "")}
        for row in rows
        if row.get("speaker")
    }


def _means(row: Mapping[str, str], path: Path, log: Log) -> dict[str, float]:
    means = {}
    for letter, scale in SCALES.items():
        given = [row.get(f"{rater}_{letter}") for rater in RATERS]
        try:
            means[scale] = fmean(float(value) for value in given if value)
        except ValueError:
            log.problem(
                f"{path}, {row['file']}", "label", f"no number for {scale}: {given}", "rate it, or leave it out"
            )
    return means


def _split(speaker: str) -> Split:
    if int(speaker) % 3 == 0:
        return "test"
    return "dev" if speaker in DEV else "train"
