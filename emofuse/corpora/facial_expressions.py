"""Facial expressions: faces of press photographs, named by the person, with one student's label of the expression."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from emofuse.corpora.clips import usable
from emofuse.corpora.corpus import Corpus, Log, Protocol
from emofuse.corpora.folding import Folding, Names
from emofuse.corpora.folds import k_folds
from emofuse.corpora.text import by_share, table
from emofuse.types import Utterance

LEGEND = "data/legend.csv"
OWN: dict[str, str | None] = {
    "neutral": "neutral", "happiness": "joy", "sadness": "sadness", "anger": "anger", "fear": "fear",
    "disgust": "disgust", "surprise": "surprise", "contempt": None,
}  # fmt: skip
_NUMBER = re.compile(r"_?\d*$")
"""What follows the person in the name of a picture."""


class FacialExpressions(Corpus):
    """Options: `verify`. No split is published: a quarter of the people, by a hash of the name, is dev."""

    name = "facial_expressions"
    licence = "repository Apache-2.0; the photographs' rights are unknown: research use"
    citation = "the facial_expressions repository of Muxspace: labels of press photographs, 2016"
    layout = """
        ROOT/data/legend.csv                    user.id, image, emotion
        ROOT/images/Michael_Olowokandi_0001.jpg     a face, up to 350 pixels
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names("emotion", OWN, reject=frozenset({"contempt"})),
    }
    protocol = Protocol({"emotion": "uar"})
    disjoint = "speaker"
    folds_by_rule = True
    folds = k_folds()
    face_crops = True

    def scan(self, root: Path, log: Log, *, verify: bool = True) -> Iterator[Utterance]:
        """Every row of the legend whose picture is there."""
        path = root / LEGEND
        if not path.is_file():
            raise self.layout_error(root, f"no {LEGEND}")
        rows = list(table(path))
        lacking = {"image", "emotion"} - set(rows[0][1] if rows else ())
        if lacking:
            raise self.layout_error(root, f"{LEGEND} has no column {', '.join(sorted(lacking))}")
        images = {p.name: p for p in (root / "images").glob("*")}
        seen: set[str] = set()
        for number, row in rows:
            where, name, emotion = f"{LEGEND} row {number}", row["image"], row["emotion"].strip().lower()
            if name in seen:
                log.problem(where, "duplicate", f"image {name} has a row already", "the first row holds")
            elif emotion not in OWN:
                log.problem(where, "label", f"emotion {row['emotion']!r}", f"one of {', '.join(OWN)}")
            elif name not in images:
                log.problem(where, "missing", f"no images/{name}", "fetch the images again")
            elif not verify or usable(images[name], log):
                yield self._utterance(images[name], emotion)
            seen.add(name)

    def _utterance(self, image: Path, emotion: str) -> Utterance:
        person = _NUMBER.sub("", image.stem) or image.stem
        return Utterance(
            id=image.stem,
            corpus=self.name,
            split="dev" if by_share(person, 0.25) else "train",
            speaker=person,
            media=image,
            labels={"emotion": emotion},
        )
