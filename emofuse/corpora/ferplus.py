"""FER+ reader: ten raters' votes on each face of FER2013, split by the Usage column."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from emofuse.corpora.clips import usable
from emofuse.corpora.corpus import Corpus, Log, Protocol
from emofuse.corpora.folding import Folding, Names
from emofuse.corpora.text import table
from emofuse.types import Split, Utterance

VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
FOLDERS: dict[str, tuple[Split, str]] = {
    "Training": ("train", "FER2013Train"),
    "PublicTest": ("dev", "FER2013Valid"),
    "PrivateTest": ("test", "FER2013Test"),
}
OWN: dict[str, str | None] = {
    "neutral": "neutral", "happiness": "joy", "surprise": "surprise", "sadness": "sadness", "anger": "anger",
    "disgust": "disgust", "fear": "fear", "contempt": None, "unknown": None, "NF": None,
}  # fmt: skip


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
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names("emotion", OWN, reject=frozenset({"contempt", "unknown", "NF"})),
        "ferplus8": Names("emotion", OWN | {"contempt": "contempt"}, reject=frozenset({"unknown", "NF"})),
    }
    protocol = Protocol({"emotion": "accuracy", "ferplus8": "accuracy"})
    face_crops = True

    def scan(self, root: Path, log: Log, *, verify: bool = True) -> Iterator[Utterance]:
        """Every row of the csv that names an image which is there."""
        path = root / "fer2013new.csv"
        if not path.is_file():
            raise self.layout_error(root, "no fer2013new.csv")
        rows = list(table(path))
        lacking = {"Usage", "Image name", *VOTES} - set(rows[0][1] if rows else ())
        if lacking:
            raise self.layout_error(root, f"fer2013new.csv has no column {', '.join(sorted(lacking))}")
        images = {f: {p.name for p in (root / f).iterdir()} for _, f in FOLDERS.values() if (root / f).is_dir()}
        if not images:
            raise self.layout_error(root, "none of its image folders is there")
        nameless = sum(not row["Image name"] for _, row in rows)
        if nameless:
            log.note(f"{nameless} rows of fer2013new.csv name no image: nothing to read for them")
        seen: set[str] = set()
        for number, row in rows:
            where, name = f"fer2013new.csv row {number}", row["Image name"]
            if row["Usage"] not in FOLDERS:
                log.problem(where, "row", f"Usage {row['Usage']!r}", f"valid: {', '.join(FOLDERS)}")
                continue
            split, folder = FOLDERS[row["Usage"]]
            if not name or folder not in images:
                continue
            image, votes = root / folder / name, _votes(row)
            if name in seen:
                log.problem(where, "duplicate", f"image {name} has a row already", "the first row holds")
            elif votes is None:
                log.problem(where, "label", "a vote is not a number", "every vote is a count")
            elif name not in images[folder]:
                log.problem(image, "missing", "no such file", "fetch the images again")
            elif not verify or usable(image, log):
                yield Utterance(
                    id=image.stem,
                    corpus=self.name,
                    split=split,
                    speaker=image.stem,
                    media=image,
                    labels={"emotion": votes},
                )
            seen.add(name)


def _votes(row: dict[str, str]) -> dict[str, float] | None:
    try:
        return {name: float(row[name]) for name in VOTES}
    except ValueError:
        return None
