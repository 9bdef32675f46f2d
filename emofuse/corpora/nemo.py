"""nEMO: nine Polish actors, 90 sentences, six emotions; everything is in the file name, the words are in data.tsv."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from emofuse.corpora.clips import usable
from emofuse.corpora.corpus import Corpus, Log, Protocol, age_group
from emofuse.corpora.folding import Folding, Names
from emofuse.types import Split, Utterance

SPEAKERS = ("EB0", "IC0", "KD0", "KS0", "MK0", "MP0", "SM0", "TP0", "WR0")
WOMEN = frozenset({"EB0", "IC0", "KD0", "MK0"})
AGES: dict[str, str] = dict(zip(SPEAKERS, ("27", "28", "28", "23", "23", "24", "24", "26", "23"), strict=True))
EMOTIONS = frozenset({"anger", "fear", "happiness", "neutral", "sadness", "surprised"})
SUFFIXES = {".wav", ".flac", ".opus"}


class Nemo(Corpus):
    """Options: `fold` (the speaker held out as test, the next one as dev), `transcript` (off: every sentence was acted
    with every emotion), `verify`.

    The corpus has no split: the actress KD0 and the actor SM0 are dev, the rest train.
    """

    name = "nemo"
    licence = "CC BY-NC-SA 4.0"
    citation = "Christop 2024, nEMO: Dataset of Emotional Speech in Polish, LREC-COLING"
    layout = """
        ROOT/data.tsv                        file_id, emotion, raw_text, normalized_text, speaker_id, gender, age
        ROOT/samples/WR0_surprised_64.wav    (or .flac, .opus): speaker, emotion, sentence
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names(
            "emotion",
            {
                "neutral": "neutral", "happiness": "joy", "sadness": "sadness", "anger": "anger", "fear": "fear",
                "surprised": "surprise",
            },
        ),
    }  # fmt: skip
    protocol = Protocol({"emotion": "uar"})
    language = "Polish"
    disjoint = "speaker"
    folds_by_rule = True
    roster: ClassVar[dict[str, str]] = {n: "female" if n in WOMEN else "male" for n in SPEAKERS}
    folds = SPEAKERS

    def scan(
        self, root: Path, log: Log, *, fold: str | None = None, transcript: bool = False, verify: bool = True
    ) -> Iterator[Utterance]:
        """Every recording, by name."""
        held = self.choose_fold(fold)
        folder = root / "samples"
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
        if not paths:
            raise self.layout_error(root, "it holds no samples/*.wav, *.flac or *.opus")
        said = sentences(root / "data.tsv", log) if transcript else {}
        for path in paths:
            speaker, emotion, number = [*path.stem.split("_"), "", "", ""][:3]
            if speaker not in SPEAKERS or emotion not in EMOTIONS or not number.isdigit():
                log.problem(path, "row", "not a nEMO name such as WR0_surprised_64", "rename or move it")
            elif usable(path, log, verify):
                yield Utterance(
                    id=path.stem,
                    corpus=self.name,
                    split=_split(speaker, held),
                    speaker=speaker,
                    media=path,
                    text=said.get(path.stem),
                    labels={"emotion": emotion},
                )

    def attributes(self, utterance: Utterance) -> dict[str, str | None]:
        """The sex and the age of the actor, as data.tsv tells them."""
        sex = "female" if utterance.speaker in WOMEN else "male"
        return {"sex": sex, "age": age_group(AGES[utterance.speaker])}


def sentences(path: Path, log: Log) -> dict[str, str]:
    """What is said in each recording, by the name of its file without the ending; empty without the table."""
    if not path.is_file():
        log.problem(path, "missing", "the table of sentences is not there", "fetch data.tsv, or leave transcript off")
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {Path(row["file_id"]).stem: row["raw_text"] for row in csv.DictReader(file, delimiter="\t")}


def _split(speaker: str, held: str | None) -> Split:
    if held is None:
        return "dev" if speaker in ("KD0", "SM0") else "train"
    if speaker == held:
        return "test"
    return "dev" if speaker == SPEAKERS[(SPEAKERS.index(held) + 1) % len(SPEAKERS)] else "train"
