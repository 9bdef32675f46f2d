"""MELD reader: Friends dialogues of several speakers; text, and clips where they are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from emofuse.corpora.clips import TEXT_ALONE, usable
from emofuse.corpora.corpus import Corpus, Log, Protocol
from emofuse.corpora.folding import Folding, Names, same
from emofuse.corpora.text import repair, table
from emofuse.corpora.turns import around
from emofuse.tasks import EMOTIONS, POLARITIES
from emofuse.types import Split, Utterance

FILES: dict[Split, tuple[str, tuple[str, ...]]] = {
    "train": ("train_sent_emo.csv", ("train_splits", "train/train_splits")),
    "dev": ("dev_sent_emo.csv", ("dev_splits_complete", "dev/dev_splits_complete")),
    "test": ("test_sent_emo.csv", ("output_repeated_splits_test", "test/output_repeated_splits_test")),
}
COLUMNS = {"Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID", "StartTime", "EndTime"}
SLACK = 5.0
"""Seconds by which a clip may differ from the csv's times before it is called misaligned."""


class Meld(Corpus):
    """Options: `context` (how many earlier turns; 5), `future` (how many later turns, for the protocol that reads the
    whole dialogue; 0), `clips` (False: text alone though there are clips), `verify`.

    A clip that is missing, broken or misaligned leaves its utterance with the text alone.
    """

    name = "meld"
    licence = "GPL-3.0 (repository); clips for research"
    citation = "Poria et al. 2019, MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in Conversations, ACL"
    layout = """
        ROOT/train_sent_emo.csv, ROOT/dev_sent_emo.csv, ROOT/test_sent_emo.csv   (or in ROOT/train/, …)
        ROOT/train_splits/dia0_utt0.mp4                 clips, optional
        ROOT/dev_splits_complete/dia0_utt0.mp4
        ROOT/output_repeated_splits_test/dia0_utt0.mp4
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names("emotion", same(*EMOTIONS)),
        "polarity": Names("sentiment", same(*POLARITIES)),
    }
    protocol = Protocol({"emotion": "weighted_f1", "polarity": "weighted_f1"})
    language = "English"
    disjoint = "dialogue"

    def scan(
        self, root: Path, log: Log, *, context: int = 5, future: int = 0, clips: bool = True, verify: bool = True
    ) -> Iterator[Utterance]:
        """Every utterance of the csv files that are there, dialogue by dialogue."""
        found: dict[Split, Path | None] = {
            s: _first(root, f"{s}/{f}", f, f"data/MELD/{f}") for s, (f, _) in FILES.items()
        }
        if not any(found.values()):
            raise self.layout_error(root, "none of its csv files is there")
        for split, path in found.items():
            if path is None:
                continue
            folder = _first(root, *FILES[split][1]) if clips else None
            if folder is None:
                log.note(f"{split}: no folder of clips is used, its utterances are text alone")
            yield from self._split(path, split, folder, (context, future), verify, log)

    def _split(
        self, path: Path, split: Split, folder: Path | None, shown: tuple[int, int], verify: bool, log: Log
    ) -> Iterator[Utterance]:
        rows = list(table(path))
        lacking = COLUMNS - set(rows[0][1] if rows else ())
        if lacking:
            raise self.layout_error(path, f"no column {', '.join(sorted(lacking))}")
        dialogues: dict[int, list[tuple[int, dict[str, str]]]] = {}
        for number, row in rows:
            where = f"{path.name} row {number}"
            if not (row["Dialogue_ID"].isdigit() and row["Utterance_ID"].isdigit() and row["Utterance"].strip()):
                log.problem(where, "row", "no number of dialogue or utterance, or no text", "complete the row")
            elif row["Emotion"] not in EMOTIONS or row["Sentiment"] not in POLARITIES:
                log.problem(
                    where, "label", f"{row['Emotion']!r}, {row['Sentiment']!r}", "MELD's own labels belong there"
                )
            else:
                dialogues.setdefault(int(row["Dialogue_ID"]), []).append((number, row))
        for dialogue, turns in sorted(dialogues.items()):
            ordered = sorted(turns, key=lambda turn: int(turn[1]["Utterance_ID"]))
            said = [f"{repair(row['Speaker'])}: {repair(row['Utterance'])}" for _, row in ordered]
            for place, (number, row) in enumerate(ordered):
                where = f"{path.name} row {number}"
                before, after = around(said, place, *shown)
                name = f"dia{dialogue}_utt{int(row['Utterance_ID'])}"
                yield Utterance(
                    id=f"{split}_{name}",
                    corpus=self.name,
                    split=split,
                    speaker=repair(row["Speaker"]),
                    dialogue=f"{split}_dia{dialogue}",
                    media=_clip(folder / f"{name}.mp4", row, where, verify, log) if folder else None,
                    text=repair(row["Utterance"]),
                    context=before,
                    after=after,
                    labels={"emotion": row["Emotion"], "sentiment": row["Sentiment"]},
                )


def _first(root: Path, *names: str) -> Path | None:
    return next((root / n for n in names if (root / n).exists()), None)


def _clip(path: Path, row: dict[str, str], where: str, verify: bool, log: Log) -> Path | None:
    clip = usable(path, log, verify, mend=TEXT_ALONE)
    if clip is None or clip.seconds is None:
        return clip.path if clip else None
    start, end = _seconds(row["StartTime"]), _seconds(row["EndTime"])
    if start is None or end is None or end <= start:
        log.problem(
            where, "misaligned", f"times {row['StartTime']!r} to {row['EndTime']!r}", "the clip is taken as it is"
        )
        return path
    if abs(clip.seconds - (end - start)) > SLACK:
        log.problem(
            path, "misaligned", f"the clip lasts {clip.seconds:.1f} s, the csv says {end - start:.1f} s", TEXT_ALONE
        )
        return None
    return path


def _seconds(time: str) -> float | None:
    found = re.fullmatch(r"\s*(\d+):(\d+):(\d+)[,.](\d+)\s*", time)
    if not found:
        return None
    hours, minutes, seconds, fraction = found.groups()
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")
