"""Labelled parts of videos, and the layout that MMSA and CH-SIMS share: one table, clips in Raw/<video>/<clip>.mp4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from emofuse.corpora.clips import TEXT_ALONE, usable
from emofuse.corpora.corpus import Log
from emofuse.corpora.text import table
from emofuse.types import Split, Utterance

COLUMNS = {"video_id", "clip_id", "text", "label", "mode"}
MODES: dict[str, Split] = {
    "train": "train",
    "valid": "dev",
    "val": "dev",
    "validation": "dev",
    "dev": "dev",
    "test": "test",
}


@dataclass(frozen=True)
class Part:
    """A labelled part of a video, wherever its layout keeps it."""

    where: str
    video: str
    clip: str
    split: Split
    text: str
    labels: Mapping[str, float | Mapping[str, float]]
    media: Path | None
    """Where the clip should be; None when the layout has no clips at all."""


def utterances_of(parts: Iterable[Part], corpus: str, log: Log, verify: bool) -> Iterator[Utterance]:
    """Each part whose clip or text is there, a video being its speaker and its dialogue; the log has the others."""
    for part in parts:
        clip = usable(part.media, log, verify, TEXT_ALONE) if part.media else None
        if clip is None and not part.text:
            log.problem(part.where, "row", "neither clip nor text", "it is left out")
            continue
        yield Utterance(
            id=f"{part.video}_{part.clip}",
            corpus=corpus,
            split=part.split,
            speaker=part.video,
            dialogue=part.video,
            media=clip.path if clip else None,
            text=part.text or None,
            labels=part.labels,
        )


@dataclass(frozen=True)
class Row:
    """One clip of the table; `wrong` says what could not be read of it."""

    where: str
    video: str
    clip: str
    text: str
    mode: Split | None
    numbers: dict[str, float]
    wrong: str = ""


def rows(path: Path, labels: tuple[str, ...], bound: float) -> Iterator[Row]:
    """The rows of label.csv or meta.csv; `labels` are the columns of numbers within ±bound, an empty cell is left out.

    Raises KeyError naming the columns that are lacking.
    """
    for number, cells in table(path):
        lacking = COLUMNS - set(cells)
        if lacking:
            raise KeyError(", ".join(sorted(lacking)))
        wrong, numbers = "", {}
        for name in labels:
            cell = cells.get(name, "").strip()
            try:
                if cell:
                    numbers[name] = float(cell)
            except ValueError:
                wrong = f"{name} is {cell!r}, not a number"
            if not abs(numbers.get(name, 0.0)) <= bound:
                wrong = f"{name} is {cell}, outside -{bound:g} to {bound:g}"
        mode = MODES.get(cells["mode"].strip().lower())
        if mode is None:
            wrong = f"mode is {cells['mode']!r}, not one of {', '.join(MODES)}"
        clip = cells["clip_id"].strip()
        yield Row(f"{path.name} row {number}", cells["video_id"].strip(), clip, cells["text"], mode, numbers, wrong)


def find_clip(folder: Path, clip: str) -> Path:
    """The clip's file, though its number lost its leading zeros in a spreadsheet; the plain name when none is there."""
    names = dict.fromkeys((clip, clip.zfill(4), clip.zfill(5), str(int(clip)) if clip.isdigit() else clip))
    candidates = [folder / f"{name}.mp4" for name in names]
    return next((c for c in candidates if c.is_file()), candidates[0])
