"""ASED: 65 speakers of Amharic, five emotions, kept where at least five of eight judges heard what was meant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from emofuse.corpora.clips import usable
from emofuse.corpora.corpus import Corpus, Log, Protocol
from emofuse.corpora.folding import Folding, Names
from emofuse.corpora.folds import k_folds
from emofuse.types import Split, Utterance

FOLDERS = {"01Neutral": "neutral", "02Fearful": "fearful", "03Happy": "happy", "04Sad": "sad", "05Angry": "angry"}
SEXES = {"01": "female", "02": "male"}
SUFFIXES = {".wav", ".flac", ".opus"}
HELD_OUT = 6
"""One speaker in so many is dev: 01, 07, … 61."""


class Ased(Corpus):
    """Options: `verify`. The corpus has no split: every sixth speaker is dev, the rest train.

    Most sentences were written for one emotion, so the words give the label away: they are left out.
    """

    name = "ased"
    licence = "research (Retta et al. 2023); the repository states no licence"
    citation = "Retta et al. 2023, A New Amharic Speech Emotion Dataset and Classification Benchmark, ACM TALLIP 22(1)"
    layout = """
        ROOT/05Angry/a5-03-01-02-50.wav   (or .flac, .opus): emotion, sentence, repetition, sex, speaker
        ROOT/01Neutral … ROOT/05Angry
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names(
            "emotion",
            {"neutral": "neutral", "happy": "joy", "sad": "sadness", "angry": "anger", "fearful": "fear"},
        ),
    }
    protocol = Protocol({"emotion": "uar"})
    language = "Amharic"
    disjoint = "speaker"
    folds_by_rule = True
    folds = k_folds()
    roster: ClassVar[dict[str, str]] = dict.fromkeys((f"{n:02}" for n in range(1, 66)), "")

    def scan(self, root: Path, log: Log, *, verify: bool = True) -> Iterator[Utterance]:
        """Every recording, by folder and name."""
        folders = [root / name for name in FOLDERS if (root / name).is_dir()]
        if not folders:
            raise self.layout_error(root, f"it holds none of the folders {', '.join(FOLDERS)}")
        for folder in folders:
            for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES):
                parts = path.stem.split("-")
                if len(parts) != 5 or not parts[4].isdigit():
                    log.problem(path, "row", "not an ASED name such as a5-03-01-02-50", "rename or move it")
                elif usable(path, log, verify):
                    yield Utterance(
                        id=path.stem,
                        corpus=self.name,
                        split=_split(int(parts[4])),
                        speaker=parts[4],
                        media=path,
                        labels={"emotion": FOLDERS[folder.name], "sex": SEXES.get(parts[3], "")},
                    )


def _split(speaker: int) -> Split:
    return "dev" if speaker % HELD_OUT == 1 else "train"
