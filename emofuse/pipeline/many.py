"""Many clips: taken from an iterable, read beside predicting, answered in order, no more than a window at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from os import PathLike
from typing import Any

from emofuse.errors import EmofuseError, MediaError, check_count
from emofuse.files import home_path
from emofuse.media.clip import Source, check_inputs
from emofuse.media.formats import sidecar_of
from emofuse.media.prefetch import ahead, one_pool
from emofuse.model.answering import Answering
from emofuse.notes import Note
from emofuse.pipeline.predict_batches import FIRST, predict_chunk
from emofuse.pipeline.progress import Report
from emofuse.pipeline.run import ClipRun, Take
from emofuse.types import Segment

Item = Source | Mapping[str, Any]
"""A source, as a call takes it, or a mapping: `source` (or `media`), the keywords of `ClipInputs`, an `id`."""
WINDOW = 4
"""Batches of clips that may be open at a time unless told otherwise."""
_Found = tuple[ClipRun, int | None, Segment | None]
"""(run, person, segment); the segment None: the run has ended."""
_Due = tuple[tuple[ClipRun, Take], int | None, Segment]
"""((run, what takes the prediction), person, segment)."""


def check_items(items: object) -> None:
    """Raise EmofuseError for what is no iterable of items, as a single path is not."""
    if isinstance(items, (str, bytes, PathLike, Mapping)) or not isinstance(items, Iterable):
        raise EmofuseError(f"this takes several paths, not the one {str(items)[:200]!r}; put it in a list")


def as_inputs(item: object) -> tuple[str | None, dict[str, Any]]:
    """(id, what a call of the pipeline takes) of an item. Raises MediaError for keys that are not known."""
    if isinstance(item, Mapping) and ("array" in item or "raw" in item):
        return None, {"audio": item}
    if not isinstance(item, Mapping):
        return None, {"source": item}
    inputs = {str(key): value for key, value in item.items() if value is not None}
    name = inputs.pop("id", None)
    check_inputs(inputs, "source", "media", "id")
    if "media" in inputs:
        if "source" in inputs:
            raise MediaError("source and media are the same and were both given; give one of them")
        inputs["source"] = inputs.pop("media")
    return None if name is None else str(name), inputs


def with_sidecar(inputs: dict[str, Any]) -> tuple[dict[str, Any], tuple[Note, ...]]:
    """The inputs with the transcript that lies beside their source, where they come without words, and a note of it."""
    source = inputs.get("source")
    if not isinstance(source, (str, PathLike)) or inputs.keys() & {"text", "transcript"}:
        return inputs, ()
    words = sidecar_of(home_path(source), timed=bool(inputs.keys() & {"start", "end"}))
    if words is None:
        return inputs, ()
    return inputs | {"transcript": words}, (Note("sidecar", name=words.name),)


class Overview:
    """How far many runs are, on one bar: those answered, and the shares of those being read."""

    def __init__(self, report: Report) -> None:
        self.report, self.answered = report, 0
        self._shares: dict[int, float] = {}
        self._lock = threading.Lock()

    def follow(self, run: ClipRun) -> None:
        """Watch a run from its start on."""
        run.progress = partial(self._tick, run)
        self._tick(run, 0.0, None)

    def close(self, run: ClipRun) -> None:
        """Count a run as answered."""
        with self._lock:
            self._shares.pop(id(run), None)
            self.answered += 1
        self._tell(run)

    def _tick(self, run: ClipRun, seconds: float, total: float | None) -> None:
        with self._lock:
            self._shares[id(run)] = min(seconds / total, 1.0) if total else 0.0
        self._tell(run)

    def _tell(self, run: ClipRun) -> None:
        with self._lock:
            done = self.answered + sum(self._shares.values())
        self.report(done, run.title)


def finish(
    model: Answering,
    runs: Iterable[ClipRun],
    *,
    batch_size: int,
    readers: int,
    window: int | None = None,
    caught: type[Exception] = EmofuseError,
) -> Generator[ClipRun, None, None]:
    """The runs in order, each once it has all its predictions, or the error that ended it (`run.error`).

    `readers` clips are read at a time, in threads; a batch may hold the end of one clip and the start of the next, and
    a text of several sentences is predicted as a whole beside the last of them. A run is taken from the iterable when
    its reading begins, and at most `window` (None = WINDOW batches; at least one more than `readers`) have been taken
    and not come out. What is in a batch follows from the runs alone, not from who is quicker. An error of another kind
    than `caught` ends it all.
    """
    check_count(batch_size, "batch_size")
    if window is not None:
        check_count(window, "window")
    held = max((window or WINDOW * batch_size) - readers, 1)
    waiting: deque[ClipRun] = deque()
    ended: set[int] = set()
    chunk: list[_Due] = []
    size = min(FIRST, batch_size)
    with one_pool(readers), closing(ahead((partial(_read, run, caught) for run in runs), readers)) as found:
        for run, person, segment in found:
            if not waiting or waiting[-1] is not run:
                waiting.append(run)
            if segment is not None:
                chunk.append(((run, run.take), person, segment))
            else:
                ended.add(id(run))
                whole = None if run.error is not None else run.whole_text()
                chunk += [] if whole is None else [((run, run.take_whole), None, whole)]
            if len(chunk) >= size or len(waiting) > held:
                _predict(model, chunk)
                size = min(2 * size, batch_size)
            open_runs = {id(run) for (run, _), _, _ in chunk}
            while waiting and id(waiting[0]) in ended and id(waiting[0]) not in open_runs:
                ended.discard(id(waiting[0]))
                yield waiting.popleft()
        _predict(model, chunk)
        yield from waiting


def _read(run: ClipRun, caught: type[Exception]) -> Iterator[_Found]:
    """A run's segments and then its end; the error that ends it is kept in it."""
    try:
        for person, segment in run.segments():
            yield run, person, segment
    except caught as error:
        run.error = error
    yield run, None, None


def _predict(model: Answering, chunk: list[_Due]) -> None:
    """Predict a chunk, hand each prediction to its run, and empty the chunk."""
    found = predict_chunk(model, chunk) if chunk else ()
    for (_, _, segment), ((_, take), prediction) in zip(chunk, found, strict=True):
        if prediction is not None:
            take(prediction, segment)
    chunk.clear()
