"""The work of one request: its clip read in a thread, its segments handed to the batcher, its analysis put together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from emofuse.errors import EmofuseError
from emofuse.media.alignment import CHARACTERS_PER_SECOND
from emofuse.media.decode import probe
from emofuse.media.formats import TEXT_SUFFIXES, existing_file, is_picture
from emofuse.media.limits import LimitError, Limits
from emofuse.media.reader import Progress
from emofuse.media.stretch import read_stretch
from emofuse.model.answering import Answering
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.conversation.acts import Act
from emofuse.pipeline.pipeline import Pipeline
from emofuse.pipeline.predict_batches import FIRST
from emofuse.pipeline.prototypes import Prototypes, labels_to_text, parse_labels
from emofuse.pipeline.render import render
from emofuse.pipeline.rules import Rules
from emofuse.pipeline.run import ClipRun
from emofuse.serve.batcher import Answers, Batcher, Group, Items
from emofuse.serve.problems import RefusedError
from emofuse.types import Segment

BATCH = 16
"""Segments of one request that are predicted at a time, as in a call of a pipeline."""
STILL = 1.0
"""Media-seconds that a picture counts as."""
T = TypeVar("T")


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
    acts: tuple[Act, ...] | None = None
    """What is applied; None = what the pipeline was loaded with."""
    rules: Rules | None = None
    """What is laid over the answers; None = what the pipeline was loaded with."""
    labels: Mapping[str, Sequence[str]] | None = None
    """What is answered by prototype; None = what the pipeline was loaded with."""
    mask: Sequence[str] | None = None
    """Names that are masked in the words, beside what names a person by itself; None = nothing is masked."""
    render: bool = False
    """Whether the video is written again with its labels …"""
    blur: bool = False
    """… and its faces blurred."""

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
            self.seconds = self._announced()
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
        self.seconds = self.seconds if result.duration is None else result.duration
        if self.asked.render:
            self._render(result)
        result = result if self.asked.mask is None else result.masked(self.asked.mask)
        result = replace(result, source=self.asked.name, notes=tuple(_renamed(n, self.asked) for n in result.notes))
        return result if self.asked.coverage is None else result.at_coverage(self.asked.coverage, self.asked.widest)

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

    def _announced(self) -> float:
        """Media-seconds, before any are read. Raises RefusedError for a clip that is too long or too large."""
        inputs, source = self.asked.inputs, self.asked.source
        if self.asked.render and (source is None or not _is_video(source)):
            raise RefusedError(422, "invalid", "render writes a video again, and the file is none")
        if "audio" in inputs:
            return self._within(max(inputs["audio"][1].shape, default=0) / max(1, inputs["audio"][0]))
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
        return self._within(info.duration)

    def _within(self, seconds: float) -> float:
        """Seconds of what is asked for of a clip of so many; up to its end, the clip may be read."""
        stretch = read_stretch(self.asked.inputs.get("start"), self.asked.inputs.get("end"))
        stretch.check(seconds or None)
        return max(0.0, self._bounded(min(seconds, stretch.start + stretch.length)) - stretch.start)

    def _bounded(self, seconds: float) -> float:
        if seconds > self.bounds.minutes * 60 + 1:
            message = f"the clip has {seconds:.0f} s; at most {self.bounds.minutes:g} minutes are taken here"
            raise RefusedError(413, "too_large", f"{message}: cut it, or send it as a job (POST /v1/jobs)")
        return seconds


def _is_video(source: Path) -> bool:
    still = existing_file(source).suffix.lower() in TEXT_SUFFIXES or is_picture(source)
    return not still and probe(source).has_video


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
