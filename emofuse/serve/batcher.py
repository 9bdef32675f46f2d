"""The batcher: segments of many requests through the model together, in one thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from emofuse.model.answering import Answering
from emofuse.pipeline.predict_batches import predict_chunk
from emofuse.prepared import PreparedSample
from emofuse.types import Prediction, Segment

Items = Sequence[tuple[int | None, Segment]]
"""(person, segment)."""
Answers = list[Prediction | None]


@dataclass(eq=False)
class Group:
    """Consecutive segments of one request. `alone`: they share the model with no other request's, so that they are
    predicted to the bit as a pipeline on its own would."""

    items: Items
    alone: bool = False
    patient: bool = False
    """Whether all that is not may go first, as before a job."""
    samples: Sequence[PreparedSample] | None = None
    """What the model prepares of the segments; None = the batcher does that, while nothing else is predicted."""
    answers: Future[Answers] = field(default_factory=Future)

    @property
    def seconds(self) -> float:
        """Of its segments."""
        return sum(segment.end - segment.start for _, segment in self.items)

    @property
    def weight(self) -> float:
        """Seconds that count: words alone cost what their rows do, however long it takes to say them."""
        return sum(segment.end - segment.start for _, segment in self.items if segment.present - {"text"})

    @property
    def only_words(self) -> bool:
        """Whether no segment has sound or faces: what is quick and what is slow are not batched together."""
        return all(segment.present <= {"text"} for _, segment in self.items)


@dataclass(frozen=True)
class Batched:
    """What one turn of the model took."""

    rows: int
    requests: int
    seconds: float
    took: float


class Batcher:
    """Groups wait in order of arrival; each turn of the model takes the first and what fits with it.

    A turn has at most `rows` segments (of one group alone, as many as it has) with `seconds` of sound or faces in all;
    `rows` 1 batches no two requests. Where others are being read, a turn that is not full waits `linger` seconds for
    them.
    An error of one group is its own: the others of its turn are predicted again without it.
    """

    def __init__(
        self,
        model: Answering,
        rows: int,
        seconds: float,
        linger: float = 0.0,
        on_batch: Callable[[Batched], None] | None = None,
    ) -> None:
        self.model, self.rows, self.seconds, self.linger, self.on_batch = model, rows, seconds, linger, on_batch
        self.preparing = threading.Lock()
        """Held while a request prepares segments: tokenizers need not be fit for several threads."""
        self.reading = 0
        """Requests that may bring more groups."""
        self._queue: deque[Group] = deque()
        self._patient: deque[Group] = deque()
        self._calls: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="emofuse-model", daemon=True)
        self._thread.start()

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """A block during which one more request may bring groups; from any thread."""
        with self._changed:
            self.reading += 1
        try:
            yield
        finally:
            with self._changed:
                self.reading -= 1
                self._changed.notify_all()

    @property
    def depth(self) -> int:
        """Segments that wait."""
        with self._changed:
            return sum(len(group.items) for queue in (self._queue, self._patient) for group in queue)

    @property
    def alive(self) -> bool:
        """Whether it takes groups."""
        return self._thread.is_alive() and not self._closed

    def submit(self, group: Group) -> Future[Answers]:
        """Put a group at the end; its future has an answer for each segment, or may be cancelled. Raises RuntimeError
        once the batcher is closed."""
        with self._changed:
            self._check_open()
            (self._patient if group.patient else self._queue).append(group)
            self._changed.notify()
        return group.answers

    def call(self, work: Callable[[], Any]) -> Future[Any]:
        """Do something else with the model, before the next batch."""
        future: Future[Any] = Future()
        with self._changed:
            self._check_open()
            self._calls.append((work, future))
            self._changed.notify()
        return future

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the batcher is closed")

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._patient or self._calls or self._closed)
                if not (self._queue or self._patient or self._calls):
                    return
                calls, self._calls = self._calls, deque()
            for work, future in calls:
                _settle(future, work)
            if groups := self._gather():
                self._predict(groups)

    def _gather(self) -> list[Group]:
        """The groups of the next turn."""
        with self._changed:
            queue = self._queue or self._patient
            first = self._next(queue)
            if first is None:
                return []
            groups, until = [first], time.monotonic() + self.linger
            while not first.alone and self.rows > 1:
                group = self._fitting(queue, groups)
                if group is not None:
                    groups.append(group)
                elif not (self._room(groups) and self._wait(len(groups), until)):
                    break
        return groups

    def _next(self, queue: deque[Group]) -> Group | None:
        """The first group that nobody has cancelled."""
        while queue:
            if (group := queue.popleft()).answers.set_running_or_notify_cancel():
                return group
        return None

    def _fitting(self, queue: deque[Group], groups: Sequence[Group]) -> Group | None:
        """The first waiting group of the same kind, if it fits."""
        rows, weight = sum(len(g.items) for g in groups), sum(g.weight for g in groups)
        for group in list(queue):
            if group.alone or group.only_words != groups[0].only_words:
                continue
            if rows + len(group.items) > self.rows or weight + group.weight > self.seconds:
                return None
            queue.remove(group)
            if group.answers.set_running_or_notify_cancel():
                return group
        return None

    def _room(self, groups: Sequence[Group]) -> bool:
        return sum(len(g.items) for g in groups) < self.rows and sum(g.weight for g in groups) < self.seconds

    def _wait(self, have: int, until: float) -> bool:
        """Wait for one more group; False where none can come, or none has in time."""
        left = until - time.monotonic()
        return self.reading > have and left > 0 and self._changed.wait(left)

    def _predict(self, groups: Sequence[Group]) -> None:
        began = time.monotonic()
        try:
            answers = self._answers(groups)
        except BaseException as error:
            if len(groups) == 1:
                groups[0].answers.set_exception(error)
                return
            for group in groups:
                self._predict([group])
            return
        rows, seconds = sum(len(g.items) for g in groups), sum(g.seconds for g in groups)
        if self.on_batch is not None:
            self.on_batch(Batched(rows, len(groups), seconds, time.monotonic() - began))
        for group, own in zip(groups, answers, strict=True):
            group.answers.set_result(own)

    def _answers(self, groups: Sequence[Group]) -> list[Answers]:
        """The answers of each group."""
        items = [(index, person, segment) for index, group in enumerate(groups) for person, segment in group.items]
        samples = [sample for group in groups for sample in self._prepared(group)]
        found: list[Answers] = [[] for _ in groups]
        for index, prediction in predict_chunk(self.model, items, samples):
            found[index].append(prediction)
        return found

    def _prepared(self, group: Group) -> Sequence[PreparedSample]:
        return group.samples or [self.model.prepare(segment) for _, segment in group.items]


def _settle(future: Future[Any], work: Callable[[], Any]) -> None:
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)
