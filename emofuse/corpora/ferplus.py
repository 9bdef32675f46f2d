"""FER+: ten raters' votes on each face of FER2013, split by the Usage column."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from emofuse.corpora.clips import usable
from emofuse.corpora.corpus import Corpus, Log
from emofuse.types import Split, Utterance

VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
FOLDERS: dict[str, tuple[Split, str]] = {
    "Training": ("train", "FER2013Train"),
    "PublicTest": ("dev", "FER2013Valid"),
    "PrivateTest": ("test", "FER2013Test"),
}


class FerPlus(Corpus):
    """Options: `verify`. Rows without an image name had their picture withdrawn; they are counted in a note."""

    name = "ferplus"
    licence = "votes MIT; images FER2013 challenge, research use"
    citation = "Barsoum et al. 2016, Training Deep Networks for Facial Expression Recognition…, ICMI"
    layout = """
        ROOT/fer2013new.csv                  Usage, Image name, ten columns of votes
        ROOT/FER2013Train/fer0000000.png     Usage Training
        ROOT/FER2013Valid/fer0028638.png     Usage PublicTest
        ROOT/FER2013Test/fer0032220.png      Usage PrivateTest
        """
    tasks: ClassVar[tuple[str, ...]] = ("emotion", "ferplus8")

    def scan(self, root: Path, log: Log, *, verify: bool = True) -> Iterator[Utterance]:
        """Every row of the csv that names an image which is there."""
        table = root / "fer2013new.csv"
        if not table.is_file():
            raise self.layout_error(root, "no fer2013new.csv")
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            lacking = {"Usage", "Image name", *VOTES} - set(reader.fieldnames or ())
            if lacking:
                raise self.layout_error(root, f"fer2013new.csv has no column {', '.join(sorted(lacking))}")
            rows = list(reader)
        there = {folder: (root / folder).is_dir() for _, folder in FOLDERS.values()}
        if not any(there.values()):
            raise self.layout_error(root, "none of its image folders is there")
        seen: set[str] = set()
        nameless = sum(not row["Image name"] for row in rows)
        if nameless:
            log.note(f"{nameless} rows of fer2013new.csv name no image: nothing to read for them")
        for number, row in enumerate(rows, start=2):
            utterance = self._utterance(root, number, row, there, seen, log, verify)
            if utterance:
                yield utterance

    def _utterance(
        self,
        root: Path,
        number: int,
        row: dict[str, str],
        there: dict[str, bool],
        seen: set[str],
        log: Log,
        verify: bool,
    ) -> Utterance | None:
        where, name = f"fer2013new.csv row {number}", row["Image name"]
        if row["Usage"] not in FOLDERS:
            log.problem(where, "row", f"Usage {row['Usage']!r}", f"valid: {', '.join(FOLDERS)}")
            return None
        split, folder = FOLDERS[row["Usage"]]
        if not name or not there[folder]:
            return None
        if name in seen:
            log.problem(where, "row", f"image {name} has a row already", "the first row holds")
            return None
        seen.add(name)
        try:
            votes = {key: float(row[key]) for key in VOTES}
        except (TypeError, ValueError):
            log.problem(where, "label", "a vote is not a number", "every vote is a count")
            return None
        if not usable(root / folder / name, log, verify):
            return None
        stem = Path(name).stem
        return Utterance(
            id=stem, corpus=self.name, split=split, speaker=stem, media=root / folder / name, labels={"emotion": votes}
        )
