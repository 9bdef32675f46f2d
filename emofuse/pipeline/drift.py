"""Drift of predictions: a reference of what a model said of development data, and how far others are from it."""

from __future__ import annotations

import json
import math
import threading
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emofuse.errors import CheckpointError, DataError, require_package
from emofuse.files import write_file
from emofuse.metrics.drift import psi, psi_of_chance
from emofuse.modalities import members, ordered
from emofuse.model.folder import DRIFT
from emofuse.pipeline.formats import as_row
from emofuse.pipeline.measures import checked
from emofuse.tasks import Task
from emofuse.types import Prediction

if TYPE_CHECKING:
    from emofuse.model.predict import Predictions

FILE = DRIFT
"""Beside the weights of a checkpoint that has a reference."""
BINS = 10
"""Of a number: deciles of the reference."""
DRIFTED = 0.2
"""From which on an index is called drift."""
NUMBERS = ("valence", "arousal", "intensity")
NESTED = ("emotions.", "polarity.", "unfamiliarity.")
UNBOUNDED = "unfamiliarity."
OTHER = "other"
"""The bin of categories that the reference does not have."""
_FIELDS = {"emotion": "emotions"}
Row = Mapping[str, Any]
"""A prediction as a flat row, as `formats.as_row` and the tables of a batch have it."""


def features(row: Row) -> dict[str, float | str]:
    """What is watched of a prediction: its numbers, its leading emotion and its probability, what was present."""
    found: dict[str, float | str] = {}
    emotions: dict[str, float] = {}
    for name, value in row.items():
        if not (name in NUMBERS or name.startswith(NESTED)) or not _is_number(value):
            continue
        found[name] = float(value)
        if name.startswith("emotions."):
            emotions[name.partition(".")[2]] = float(value)
    if emotions:
        found["emotion"] = max(emotions, key=lambda name: emotions[name])
        found["confidence"] = max(emotions.values())
    present = row.get("present")
    if present is not None:
        found["present"] = present if isinstance(present, str) else "+".join(present)
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.floating)) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class Histogram:
    """The counts of one feature: of a number between `edges` (one bin more than edges), else of `categories`."""

    counts: tuple[float, ...]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Sequence[float | str]) -> Histogram:
        """Of a sample; numbers are cut at its deciles."""
        if isinstance(values[0], str):
            counted = Counter(map(str, values))
            names = tuple(sorted(counted))
            return cls((*(float(counted[name]) for name in names), 0.0), (), names)
        numbers = np.asarray(values, np.float64)
        edges = tuple(np.unique(np.quantile(numbers, np.arange(1, BINS) / BINS)).tolist())
        made = cls((0.0,) * (len(edges) + 1), edges)
        return cls(tuple(made.count(numbers.tolist())), edges)

    def bin(self, value: float | str) -> int:
        """Where a value falls; categories that are not known share the last bin."""
        if self.categories or isinstance(value, str):
            return self.categories.index(value) if value in self.categories else len(self.categories)
        return bisect_right(self.edges, value)

    def count(self, values: Iterable[float | str]) -> list[float]:
        """How many values fall into each bin."""
        counts = [0.0] * (len(self.counts))
        for value in values:
            counts[self.bin(value)] += 1
        return counts


@dataclass(frozen=True)
class Drift:
    """How far one feature is from its reference."""

    feature: str
    psi: float
    chance: float
    """What the index would be on average without any drift, for samples of these sizes."""
    expected: int
    actual: int
    """Sizes of the samples."""

    @property
    def drifted(self) -> bool:
        """Whether the index is past both custom and three times chance."""
        return self.psi > max(DRIFTED, 3 * self.chance)


@dataclass(frozen=True)
class Reference:
    """What a model says of data that nothing is wrong with, by feature."""

    histograms: Mapping[str, Histogram]

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Reference:
        """Of flat rows. Raises DataError where there are none."""
        values: dict[str, list[float | str]] = {}
        for row in rows:
            for name, value in features(row).items():
                values.setdefault(name, []).append(value)
        if not values:
            raise DataError("there are no predictions to make a reference of; give some with emotions or other values")
        return cls({name: Histogram.of(each) for name, each in sorted(values.items())})

    @classmethod
    def of_development(cls, predictions: Predictions, tasks: Sequence[Task]) -> Reference:
        """Of development data as `emofuse.model.predict.predict` has them, as given. Raises DataError."""
        return cls.of(table_rows(predictions, tasks))

    def save(self, folder: Path) -> Path:
        """Write `drift.json` into a checkpoint folder."""
        plain = {
            name: {"counts": h.counts} | ({"edges": h.edges} if not h.categories else {"categories": h.categories})
            for name, h in self.histograms.items()
        }
        return write_file(folder / FILE, json.dumps(plain, separators=(",", ":")) + "\n")

    @classmethod
    def load(cls, folder: Path | None) -> Reference | None:
        """That of a checkpoint folder; None where it has none. Raises CheckpointError for one that is damaged."""
        path = folder / FILE if folder is not None else None
        if path is None or not path.is_file():
            return None
        try:
            plain = json.loads(path.read_text("utf-8"))
            return cls({str(name): _histogram(each) for name, each in plain.items()})
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"{path} is no reference of drift ({error}); delete it, or write it again") from error

    def against(self, rows: Iterable[Row]) -> list[Drift]:
        """How far flat rows are from it, the feature that is farthest first."""
        window = DriftWindow(self, None)
        for row in rows:
            window.add(row)
        return window.drift()


def _histogram(plain: Mapping[str, Any]) -> Histogram:
    edges, names = tuple(map(float, plain.get("edges", ()))), tuple(map(str, plain.get("categories", ())))
    counts = tuple(map(float, plain["counts"]))
    if len(counts) != max(len(edges), len(names)) + 1 or list(edges) != sorted(edges) or min(counts) < 0:
        raise ValueError("counts, edges and categories do not fit")
    return Histogram(counts, edges, names)


class DriftWindow:
    """The last `window` predictions (None = all) beside a reference; it may be used from several threads."""

    def __init__(self, reference: Reference, window: int | None) -> None:
        self.reference, self.window = reference, window
        self._counts = {name: np.zeros(len(h.counts)) for name, h in reference.histograms.items()}
        self._kept: deque[dict[str, int]] = deque()
        self._lock = threading.Lock()

    def add(self, row: Row) -> None:
        """Take one more prediction; the oldest is forgotten."""
        known = self.reference.histograms
        bins = {name: known[name].bin(value) for name, value in features(row).items() if name in known}
        with self._lock:
            for name, index in bins.items():
                self._counts[name][index] += 1
            if self.window is None:
                return
            self._kept.append(bins)
            if len(self._kept) > self.window:
                for name, index in self._kept.popleft().items():
                    self._counts[name][index] -= 1

    def drift(self) -> list[Drift]:
        """By feature that was seen, the farthest first."""
        with self._lock:
            counts = {name: each.copy() for name, each in self._counts.items()}
        found = []
        for name, histogram in self.reference.histograms.items():
            expected, actual = np.asarray(histogram.counts), counts[name]
            if actual.sum():
                chance = psi_of_chance(len(expected), expected.sum(), actual.sum())
                found.append(Drift(name, psi(expected, actual), chance, int(expected.sum()), int(actual.sum())))
        return sorted(found, key=lambda each: -each.psi)


def prediction_row(prediction: Prediction) -> Row:
    """A prediction as a flat row."""
    return as_row(None, prediction, "")


def table_rows(predictions: Predictions, tasks: Sequence[Task]) -> Iterator[Row]:
    """Flat rows of the table of a forward loop."""
    from emofuse.model.predict import GIVEN

    values = predictions.values[GIVEN]
    for i in range(len(predictions)):
        row: dict[str, Any] = {
            "present": "+".join(ordered(members(int(predictions.present[i]), predictions.modalities)))
        }
        for task in tasks:
            name = _FIELDS.get(task.name, task.name)
            if task.classes:
                row |= {f"{name}.{c}": float(v) for c, v in zip(task.classes, values[task.name][i], strict=True)}
            else:
                row[name] = float(values[task.name][i, 0])
        yield row


def batch_rows(folder: Path) -> Iterator[Row]:
    """The segments of a batch folder, or of a folder (or one file) of Parquet with such columns, without embeddings.

    Needs the extra `data`. Raises DataError where there are none, and for numbers that no prediction can have.
    """
    require_package("pyarrow", extra="data")
    from pyarrow import ArrowException, parquet

    within = folder / "segments" if (folder / "segments").is_dir() else folder
    parts = [within] if within.is_file() else sorted(within.glob("[!.]*.parquet"))
    if not parts:
        valid = "the folder that emofuse batch wrote, with segments/part-*.parquet, or a Parquet file"
        raise DataError(f"{str(folder)!r} holds no segments; give {valid}")
    for part in parts:
        try:
            with parquet.ParquetFile(part) as file:
                names = [n for n in file.schema_arrow.names if n in (*NUMBERS, "present") or n.startswith(NESTED)]
                batches = (batch.to_pylist() for batch in file.iter_batches(columns=names))
                yield from _possible(part, chain.from_iterable(batches))
        except (ArrowException, OSError) as error:
            raise DataError(f"{part} cannot be read as Parquet ({error}); run the batch again") from error


def _possible(part: Path, rows: Iterable[Row]) -> Iterator[Row]:
    """Rows whose cells can be predictions', numbers as floats. Raises DataError for the first that cannot."""
    for number, row in enumerate(rows, 1):
        try:
            yield {name: _cell(value, name, number) for name, value in row.items()}
        except DataError as error:
            raise DataError(f"{part}, {error}") from error


def _cell(value: Any, name: str, number: int) -> Any:
    if value is None or value == "":
        return None
    if name == "present":
        if isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            return value
        raise DataError(f"row {number}: present is {str(value)!r:.60}, not modalities, as in 'text+speech'")
    if not name.startswith(UNBOUNDED):
        return checked(value, name, name.rpartition(".")[2], number)
    try:
        distance = float(value)
    except (TypeError, ValueError):
        distance = math.inf
    if math.isinf(distance):
        raise DataError(f"row {number}: the column {name!r} holds {str(value)!r:.60}, which is no distance")
    return None if math.isnan(distance) else distance
