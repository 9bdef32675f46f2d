"""The work of one request: its clip read in a thread, its segments handed to the batcher, its analysis put together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from emofuse.errors import EmofuseError
from emofuse.media.limits import LimitError, Limits
from emofuse.media.reader import Progress
from emofuse.model.answering import Answering
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.pipeline import Pipeline
from emofuse.pipeline.predict_batches import FIRST
from emofuse.pipeline.prototypes import Prototypes, labels_to_text, parse_labels
from emofuse.pipeline.render import render
from emofuse.pipeline.run import ClipRun
from emofuse.serve.asking import Asked
from emofuse.serve.batcher import Answers, Batcher, Group, Items
from emofuse.serve.extent import Bounds, announced
from emofuse.serve.problems import RefusedError
from emofuse.types import Segment

BATCH = 16
"""Segments of one request that are predicted at a time, as in a call of a pipeline."""
T = TypeVar("T")


class StoppedError(Exception):
    """Nobody waits for the answer any more."""


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

    `charge` is called with the media-seconds that the clip announces, before it is read, and may refuse them;
    `charge_more` with those that it held beyond them, once it has been read.
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
        charge_more: Callable[[float], None] | None = None,
        patient: bool = False,
    ) -> None:
        self.pipeline, self.batcher, self.asked, self.bounds = pipeline, batcher, asked, bounds
        self.reading, self.patient = reading, patient
        self.charge, self.charge_more = charge, charge_more
        self.stages = Stages()
        self.progress: Progress | None = None
        """Called with the media-seconds read and in all."""
        self.seconds = 0.0
        """Media-seconds, as announced until the end, then as read."""
        self.video: Path | None = None
        """The video with its labels, where it was asked for: beside the source."""
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
            self.seconds = announced(self.asked, self.bounds)
            if self.charge is not None:
                self.charge(self.seconds)
        run = self._clip_run()
        found, size, last = iter(run.segments()), FIRST, False
        while not last:
            chunk = self._read(found, size)
            last, size = len(chunk) < size, min(2 * size, BATCH)
            whole = self._whole(run) if last else []
            answers = self._answers([*chunk, *whole]) if chunk or whole else []
            self._take(run, answers[: len(chunk)], chunk)
            for answer, (_, segment) in zip(answers[len(chunk) :], whole, strict=True):
                if answer is not None:
                    run.take_whole(answer, segment)
        return self._finished(run)

    @property
    def _limits(self) -> Limits:
        bounds = self.bounds
        return Limits(round(bounds.frames_a_minute * bounds.minutes), bounds.minutes * 60 + 1, self._heed)

    def _clip_run(self) -> ClipRun:
        asked, pipeline = self.asked, self.pipeline
        options = replace(pipeline.options, limits=self._limits, language=asked.language or pipeline.options.language)
        acts = pipeline.acts if asked.acts is None else asked.acts
        rules = pipeline.rules if asked.rules is None else asked.rules
        inputs = {"batch_size": BATCH, "progress": self.progress, "acts": acts, "rules": rules, **asked.inputs}
        inputs |= {"prototypes": self._prototypes()}
        return ClipRun(pipeline.model, pipeline.name, options, **inputs)

    def _prototypes(self) -> Prototypes | None:
        """Of the labels that are asked for. Raises DataError for a model that reads no words."""
        if self.asked.labels is None:
            return self.pipeline.prototypes
        text = labels_to_text(self.asked.labels)
        return self._with_model(lambda: _prototypes_of(self.pipeline.model, text))

    def _with_model(self, work: Callable[[], T]) -> T:
        """What somebody else's code asks of the model, while nothing else is predicted or prepared."""

        def alone() -> T:
            with self.batcher.preparing:
                return work()

        with self.stages.of("model"):
            return self._wait(self.batcher.call(alone))

    def _take(self, run: ClipRun, answers: Answers, items: Items) -> None:
        """Hand answers to the run; the likeness of labels may need the model for the words alone."""

        def take() -> None:
            for answer, (_, segment) in zip(answers, items, strict=True):
                if answer is not None:
                    run.take(answer, segment)

        if run.by_prototype and any(segment.present != {"text"} for _, segment in items):
            self._with_model(take)
        else:
            take()

    def _read(self, found: Iterator[Any], size: int) -> list[Any]:
        """The next segments."""
        waits = self.reading if self.reading is not None and not self.asked.only_words else nullcontext()
        with self.stages.of("read"), waits:
            self._heed()
            return list(islice(found, size))

    def _answers(self, items: Items) -> Answers:
        """What the model says of segments, which are prepared for it here, beside what it computes for others."""
        with self.stages.of("prepare"), self.batcher.preparing:
            samples = [self.pipeline.model.prepare(segment) for _, segment in items]
        with self.stages.of("model"):
            return self._wait(self.batcher.submit(Group(items, self.asked.alone, self.patient, samples)))

    def _whole(self, run: ClipRun) -> list[tuple[None, Segment]]:
        """A text of several segments as one more of them, beside the last, as a pipeline predicts it."""
        with self.batcher.preparing:
            segment = run.whole_text()
        return [] if segment is None else [(None, segment)]

    def _finished(self, run: ClipRun) -> Analysis:
        """What a call of the pipeline returns."""
        with self.stages.of("model"):
            result = run.result()
        self._settle(result.duration)
        result = result if self.asked.mask is None else result.masked(self.asked.mask)
        if self.asked.render:
            self._render(result)
        result = replace(result, source=self.asked.name, notes=tuple(_renamed(n, self.asked) for n in result.notes))
        return result if self.asked.coverage is None else result.at_coverage(self.asked.coverage, self.asked.widest)

    def _settle(self, read: float | None) -> None:
        """Count what a clip held beyond what its head announced."""
        if read is None or self.asked.only_words:
            return
        if self.charge_more is not None and read > self.seconds:
            self.charge_more(read - self.seconds)
        self.seconds = max(self.seconds, read)

    def _render(self, result: Analysis) -> None:
        source = self.asked.source
        assert source is not None
        with self.stages.of("render"), self.reading or nullcontext():
            self._heed()
            target = source.with_name("labelled.mp4")
            self.video = render(result, target, blur=self.asked.blur, limits=self._limits)

    def _wait(self, future: Future[Any]) -> Any:
        self._waiting = future
        if self._stop.is_set():
            future.cancel()
        return future.result()

    def _heed(self) -> None:
        if self._stop.is_set():
            raise StoppedError


def _renamed_error(error: EmofuseError, asked: Asked) -> EmofuseError | RefusedError:
    """An error with the caller's names; a limit that was met while reading is a refusal."""
    if isinstance(error, LimitError):
        return RefusedError(413, "too_large", asked.told(str(error)))
    return EmofuseError(asked.told(str(error)))


def _renamed(note: str, asked: Asked) -> str:
    """A note as it is; one that repeats a path, without it."""
    told = asked.told(note)
    return note if told == note else told


@lru_cache(maxsize=8)
def _prototypes_of(model: Answering, text: str) -> Prototypes:
    """Of labels that one request after another asks for."""
    return Prototypes(model, parse_labels(text))
