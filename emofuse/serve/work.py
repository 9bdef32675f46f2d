"""The work of one request: its clip read in a thread, its segments handed to the batcher, its analysis put together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from emofuse.errors import EmofuseError
from emofuse.media.alignment import CHARACTERS_PER_SECOND
from emofuse.media.decode import probe
from emofuse.media.formats import TEXT_SUFFIXES, existing_file, is_picture
from emofuse.media.limits import LimitError, Limits
from emofuse.media.reader import Progress
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.pipeline import Pipeline
from emofuse.pipeline.predict_batches import FIRST
from emofuse.pipeline.run import ClipRun
from emofuse.serve.batcher import Batcher, Group
from emofuse.serve.problems import RefusedError

BATCH = 16
"""Segments of one request that are predicted at a time, as in a call of a pipeline."""
STILL = 1.0
"""Media-seconds that a picture counts as."""


class StoppedError(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True)
class Asked:
    """What to analyse, and how the answer is wanted."""

    inputs: dict[str, Any]
    """Keywords of a pipeline's call."""
    shown: dict[str, str] = field(default_factory=dict)
    """Path → name, as messages and answers call it."""
    name: str | None = None
    """Of the source, in the answer."""
    coverage: float | None = None
    widest: int | None = None
    language: str | None = None
    alone: bool = False

    @property
    def source(self) -> Path | None:
        """The video, recording, picture or text."""
        return self.inputs.get("source")

    @property
    def only_words(self) -> bool:
        """Whether there is nothing to decode."""
        words = self.source is None or self.source.suffix.lower() in TEXT_SUFFIXES
        return words and not {"image", "audio"} & self.inputs.keys()

    def told(self, message: str) -> str:
        """A message with the names that the caller knows in place of paths."""
        for path, name in self.shown.items():
            message = message.replace(path, name)
        return message


@dataclass(frozen=True)
class Bounds:
    """How much of a clip is read."""

    minutes: float
    frames_a_minute: int
    pixels: float


@dataclass(eq=False)
class Stages:
    """Seconds that each stage of an answer took."""

    took: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Time a block."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.took[name] = self.took.get(name, 0.0) + time.monotonic() - began


class Work:
    """`run` it once, in a thread; `cancel` may be called from any other, and ends it within a packet of the clip.

    `charge` is called with the media-seconds that the clip announces, before it is read, and may refuse them.
    `reading` bounds how many clips are decoded at the same moment.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        batcher: Batcher,
        asked: Asked,
        bounds: Bounds,
        *,
        reading: threading.Semaphore | None = None,
        charge: Callable[[float], None] | None = None,
        patient: bool = False,
    ) -> None:
        self.pipeline, self.batcher, self.asked, self.bounds = pipeline, batcher, asked, bounds
        self.reading, self.charge, self.patient = reading, charge, patient
        self.stages = Stages()
        self.progress: Progress | None = None
        """Called with the media-seconds read and in all."""
        self.seconds = 0.0
        """Media-seconds, as announced until the end, then as read."""
        self._stop = threading.Event()
        self._waiting: Future[Any] | None = None

    def cancel(self) -> None:
        """Ask the work to end."""
        self._stop.set()
        if (waiting := self._waiting) is not None:
            waiting.cancel()

    def run(self) -> Analysis:
        """The analysis. Raises StoppedError once cancelled, RefusedError and EmofuseError with the caller's names."""
        try:
            with self.batcher.awaited():
                return self._run()
        except EmofuseError as error:
            raise _renamed_error(error, self.asked) from None
        except CancelledError:
            raise StoppedError from None

    def _run(self) -> Analysis:
        self._heed()
        with self.stages.of("open"):
            self.seconds = self._announced()
            if self.charge is not None:
                self.charge(self.seconds)
        run = self._clip_run()
        found, size = iter(run.segments()), FIRST
        while chunk := self._read(found, size):
            with self.stages.of("model"):
                answers = self._wait(self.batcher.submit(Group(chunk, self.asked.alone, self.patient)))
            run.predictions += [answer for answer in answers if answer is not None]
            size = min(2 * size, BATCH)
        return self._finished(run)

    def _clip_run(self) -> ClipRun:
        bounds, options = self.bounds, self.pipeline.options
        limits = Limits(round(bounds.frames_a_minute * bounds.minutes), bounds.minutes * 60 + 1, self._heed)
        options = replace(options, limits=limits, language=self.asked.language or options.language)
        inputs = {"batch_size": BATCH, "progress": self.progress, **self.asked.inputs}
        return ClipRun(self.pipeline.model, self.pipeline.name, options, **inputs)

    def _read(self, found: Iterator[Any], size: int) -> list[Any]:
        """The next segments."""
        waits = self.reading if self.reading is not None and not self.asked.only_words else nullcontext()
        with self.stages.of("read"), waits:
            self._heed()
            return list(islice(found, size))

    def _finished(self, run: ClipRun) -> Analysis:
        """What a call of the pipeline returns; a text of several segments is also predicted as a whole."""
        with self.stages.of("model"):
            segment, whole = run.whole_segment(), None
            if segment is not None:
                (whole,) = self._wait(self.batcher.submit(Group([(None, segment)], self.asked.alone, self.patient)))
            result = run.result(whole)
        self.seconds = self.seconds if result.duration is None else result.duration
        result = replace(result, source=self.asked.name, notes=tuple(_renamed(n, self.asked) for n in result.notes))
        return result if self.asked.coverage is None else result.at_coverage(self.asked.coverage, self.asked.widest)

    def _wait(self, future: Future[Any]) -> Any:
        self._waiting = future
        if self._stop.is_set():
            future.cancel()
        return future.result()

    def _heed(self) -> None:
        if self._stop.is_set():
            raise StoppedError

    def _announced(self) -> float:
        """Media-seconds, before any are read. Raises RefusedError for a clip that is too long or too large."""
        inputs, source = self.asked.inputs, self.asked.source
        if "audio" in inputs:
            return self._bounded(max(inputs["audio"][1].shape, default=0) / max(1, inputs["audio"][0]))
        words = inputs.get("text") or inputs.get("transcript") or ""
        if source is None or existing_file(source).suffix.lower() in TEXT_SUFFIXES:
            length = source.stat().st_size if source is not None else len(words) if isinstance(words, str) else 0
            return max(length / CHARACTERS_PER_SECOND, STILL if "image" in inputs else 0.0)
        if is_picture(source):
            return STILL
        info = probe(source)
        if (info.width or 0) * (info.height or 0) > self.bounds.pixels:
            message = (
                f"its pictures are {info.width} x {info.height}; at most {self.bounds.pixels:,.0f} pixels are read"
            )
            raise RefusedError(413, "too_large", f"{message}: make it smaller")
        return self._bounded(info.duration)

    def _bounded(self, seconds: float) -> float:
        if seconds > self.bounds.minutes * 60 + 1:
            message = f"the clip has {seconds:.0f} s; at most {self.bounds.minutes:g} minutes are taken here"
            raise RefusedError(413, "too_large", f"{message}: cut it, or send it as a job (POST /v1/jobs)")
        return seconds


def _renamed_error(error: EmofuseError, asked: Asked) -> EmofuseError | RefusedError:
    """An error with the caller's names; a limit that was met while reading is a refusal."""
    if isinstance(error, LimitError):
        return RefusedError(413, "too_large", asked.told(str(error)))
    return EmofuseError(asked.told(str(error)))


def _renamed(note: str, asked: Asked) -> str:
    """A note as it is; one that repeats a path, without it."""
    told = asked.told(note)
    return note if told == note else told
