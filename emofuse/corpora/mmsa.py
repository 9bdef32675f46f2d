"""Feature files of MMSA (Mao et al. 2022): sequences of text, audio and vision features of a corpus, with its labels.

A pickle of {"train", "valid", "test"} → {"raw_text", "text", "text_bert", "audio", "vision", "audio_lengths",
"vision_lengths", "id", "regression_labels", …}, each with one entry an utterance; read by `read_plain_pickle`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from emofuse.corpora.corpus import Corpus, Log
from emofuse.corpora.labelled import Part
from emofuse.corpora.plain_pickle import read_plain_pickle
from emofuse.errors import DataError
from emofuse.files import home_path
from emofuse.modalities import Modality
from emofuse.types import Split, Utterance

ENDING = ".pkl"
PARTS: dict[str, Split] = {"train": "train", "valid": "dev", "test": "test"}
ARRAYS: dict[str, Modality] = {"text": "text", "audio": "speech", "vision": "face"}
LABELS: dict[str, str] = {f"regression_labels{end}": f"label{end}" for end in ("", "_T", "_A", "_V")}
"""Key of the file → column of label.csv."""
APART = 1e-3
"""Labels that differ by more are not the same; the file's are of single precision."""

States = dict[Modality, Float[np.ndarray, "time width"]]


@dataclass(frozen=True, eq=False)
class Entry:
    """One utterance of a feature file."""

    video: str
    clip: str
    split: Split
    text: str
    states: States
    """Without padding, float32; a modality of which there is nothing is left out."""
    labels: Mapping[str, float]
    """Column of label.csv → value."""

    @property
    def id(self) -> str:
        """As in the corpus: video_clip."""
        return f"{self.video}_{self.clip}"


@dataclass(frozen=True, eq=False)
class FeatureFile:
    """The utterances of a feature file, in its order."""

    path: Path
    entries: tuple[Entry, ...]
    mended: int
    """Numbers that were not finite and are 0 here."""

    @cached_property
    def _rows(self) -> dict[str, Entry]:
        return {entry.id: entry for entry in self.entries}

    def row(self, name: str) -> States:
        """The states of the utterance `name`, by modality. Raises DataError when there is none."""
        if name not in self._rows:
            raise DataError(f"{self.path} has no utterance {name!r}; names look like {self.entries[0].id!r}")
        return self._rows[name].states


def read_feature_file(path: str | Path) -> FeatureFile:
    """The utterances of a feature file; the same file is read once.

    Needs as much memory as the file is large. Raises DataError when it is no such file, holds more than plain arrays,
    or its fields differ in length.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no feature file {path}; give the path of MMSA's unaligned_50.pkl or the like")
    about = path.stat()
    return _read(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=2)
def _read(path: Path, changed: int, size: int) -> FeatureFile:
    content = read_plain_pickle(path)
    if not isinstance(content, dict) or not all(isinstance(content.get(part), dict) for part in PARTS):
        there = f"keys {', '.join(map(str, content))}" if isinstance(content, dict) else type(content).__name__
        raise DataError(f"{path} holds {there}; dictionaries train, valid and test belong there, as MMSA writes them")
    entries: list[Entry] = []
    mended = 0
    for part, split in PARTS.items():
        found, zeroed = _part(content.pop(part), split, f"{path} {part}")
        entries += found
        mended += zeroed
    return FeatureFile(path, tuple(entries), mended)


def _part(fields: dict[str, Any], split: Split, where: str) -> tuple[list[Entry], int]:
    """The utterances of a part, and how many numbers of them were not finite; `fields` loses its arrays on the way."""
    lacking = {*ARRAYS, "id", "regression_labels"} - set(fields)
    if lacking:
        raise DataError(f"{where} has no {', '.join(sorted(lacking))}; it has {', '.join(map(str, fields))}")
    names = [_place(str(name)) for name in fields["id"]]
    texts = [str(text).strip() for text in fields.get("raw_text", [""] * len(names))]
    labels = {column: _numbers(fields[key], f"{where} {key}") for key, column in LABELS.items() if key in fields}
    _check_lengths(fields, where)
    lengths = {"text": _text_lengths(fields), **{m: fields.get(f"{m}_lengths") for m in ("audio", "vision")}}
    states, mended = {}, 0
    for key, modality in ARRAYS.items():
        states[modality], zeroed = _trimmed(fields.pop(key), lengths[key], f"{where} {key}")
        mended += zeroed
    found = [
        Entry(
            *place, split, texts[i],
            {m: rows[i] for m, rows in states.items() if len(rows[i])},
            {column: float(values[i]) for column, values in labels.items()},
        )
        for i, place in enumerate(names)
    ]  # fmt: skip
    return found, mended


def _place(name: str) -> tuple[str, str]:
    """Video and clip of an id: "video_0001$_$0001", or with an underscore alone."""
    video, mark, clip = name.partition("$_$")
    if not mark:
        video, _, clip = name.rpartition("_")
    return video, clip


def _check_lengths(fields: Mapping[str, Any], where: str) -> None:
    """Every field has one entry an utterance."""
    known = ("id", "raw_text", "text_bert", "audio_lengths", "vision_lengths", *ARRAYS, *LABELS)
    counts = {key: len(fields[key]) for key in known if key in fields}
    if len(set(counts.values())) != 1:
        listed = ", ".join(f"{key} {n}" for key, n in counts.items())
        raise DataError(f"{where}: one entry an utterance belongs in every field; there are {listed}")


def _text_lengths(fields: Mapping[str, Any]) -> np.ndarray | None:
    """How many pieces each text has, from BERT's attention mask, the second of the three rows of `text_bert`."""
    if "text_bert" not in fields:
        return None
    pieces = np.asarray(fields["text_bert"])
    return pieces[:, 1].sum(axis=1) if pieces.ndim == 3 and pieces.shape[1] == 3 else None


def _numbers(values: Any, where: str) -> np.ndarray:
    try:
        return np.asarray(values, dtype=np.float64).reshape(len(values))
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: one number an utterance belongs there: {error}") from error


def _trimmed(values: Any, lengths: Any, where: str) -> tuple[list[np.ndarray], int]:
    """Each utterance's rows without padding, and how many of their numbers were not finite: those are 0 now.

    Padding is what lies beyond the length that the file says; where it says none, rows of zeros at either end. Rows
    that are all zero are none.
    """
    found, mended = [], 0
    for i, given in enumerate(values):
        if np.ndim(given) != 2:
            raise DataError(f"{where}: [utterance, time, feature] belongs there; entry {i} has shape {np.shape(given)}")
        rows = np.array(given if lengths is None else given[: max(0, int(lengths[i]))], dtype=np.float32)
        wrong = ~np.isfinite(rows)
        rows[wrong] = 0
        mended += int(wrong.sum())
        filled = np.flatnonzero(rows.any(axis=1))
        if not len(filled):
            rows = rows[:0]
        elif lengths is None:
            rows = rows[filled[0] : filled[-1] + 1].copy()
        found.append(rows)
    return found, mended


def of_features(
    corpus: Corpus,
    root: Path,
    features: str,
    columns: Mapping[str, str],
    raw: Callable[[Log], Iterable[Part]] | None,
    log: Log,
) -> Iterator[Utterance]:
    """The utterances of the feature file `root / features`, whose `media` is the file.

    `columns`: column of label.csv → own label. `raw` reads the corpus's own table: a label or a part that differs is
    listed as a problem, and the feature file's is taken; what else the table says of an utterance goes with it.
    """
    path, table = root / home_path(features), Log()
    if not path.is_file():
        raise corpus.layout_error(root, f"no {features}")
    told = None if raw is None else {_key(p.video, p.clip): p for p in raw(table)}
    log.problems += table.problems
    if told is None:
        log.note(f"no table of the corpus: labels and parts are those of {path.name}, and nothing checks them")
    file, seen = read_feature_file(path), set[tuple[str, str]]()
    if file.mended:
        log.note(f"{file.mended} features of {path.name} are not finite; they are read as 0")
    for entry in file.entries:
        where, key = f"{path.name} {entry.id}", _key(entry.video, entry.clip)
        if not entry.states:
            log.problem(where, "row", "no features: every row is zero", "it is left out")
            continue
        labels = {columns[c]: v for c, v in entry.labels.items() if c in columns and np.isfinite(v)}
        part = (told or {}).get(key)
        if told is not None:
            _compare(entry, labels, part, where, log)
        seen.add(key)
        yield Utterance(
            id=entry.id, corpus=corpus.name, split=entry.split, speaker=entry.video, dialogue=entry.video,
            media=path, text=entry.text or None, labels={**(part.labels if part else {}), **labels},
        )  # fmt: skip
    if told and (left := len(told.keys() - seen)):
        log.note(f"{left} of {len(told)} clips of the table have no features in {path.name}")


def _key(video: str, clip: str) -> tuple[str, str]:
    """A clip's number has lost its leading zeros in some tables."""
    return video, str(int(clip)) if clip.isdecimal() else clip


def _compare(entry: Entry, labels: Mapping[str, float], part: Part | None, where: str, log: Log) -> None:
    """List where the feature file and the corpus's own table differ."""
    if part is None:
        log.problem(where, "row", "the corpus's table has no such clip", "check that both are of one release")
        return
    taken = "the feature file's is taken"
    for name, value in labels.items():
        own = part.labels.get(name)
        if isinstance(own, float) and abs(own - value) > APART:
            log.problem(where, "label", f"{name} is {value:g}, and {own:g} in {part.where}", taken)
    if part.split != entry.split:
        log.problem(where, "leak", f"its part is {entry.split}, and {part.split} in {part.where}", taken)
