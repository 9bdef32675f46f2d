"""The layout that MMSA and CH-SIMS share: one table of labels and splits, clips in Raw/<video>/<clip>.mp4."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emofuse.corpora.text import table
from emofuse.types import Split

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
