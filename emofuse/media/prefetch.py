"""Prefetching iterators: they run in threads of their own, a few items ahead."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

T = TypeVar("T")
DEPTH = 16
"""Items a source may be ahead unless told otherwise; a segment is about a megabyte."""
_END = object()


@dataclass(frozen=True)
class _Failed:
    error: BaseException


@dataclass(eq=False)
class _Reader(Generic[T]):
    """One source, read by whoever calls `run`, until it ends, fails, or nobody wants more."""

    make: Callable[[], Iterator[T]]
    stop: threading.Event
    depth: int
    items: queue.Queue[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.items = queue.Queue(self.depth)

    def run(self) -> None:
        """Put the items, and last the end, or the error that ended the source."""
        last: Any = _END
        try:
            for item in self.make():
                if not self._put(item):
                    return
        except BaseException as error:  # handed to whoever takes the items, and raised there
            last = _Failed(error)
        self._put(last)

    def _put(self, item: Any) -> bool:
        while not self.stop.is_set():
            try:
                self.items.put(item, timeout=0.05)
            except queue.Full:
                continue
            return True
        return False

    def take(self) -> Iterator[T]:
        """The items, in order; raises what the source raised."""
        while (item := self.items.get()) is not _END:
            if isinstance(item, _Failed):
                raise item.error
            yield item


class _Threads:
    """Threads that run one reader after another; daemons, as an iterator that nobody closes must not hold the exit."""

    def __init__(self, count: int) -> None:
        self._waiting: queue.SimpleQueue[_Reader[Any] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._most = count

    def start(self, reader: _Reader[T]) -> _Reader[T]:
        """Have a reader run, in a new thread while there are fewer than the most."""
        if len(self._threads) < self._most:
            self._threads.append(threading.Thread(target=self._run, name="emofuse-reader", daemon=True))
            self._threads[-1].start()
        self._waiting.put(reader)
        return reader

    def _run(self) -> None:
        while (reader := self._waiting.get()) is not None:
            reader.run()

    def close(self) -> None:
        """Return once none of them works any more."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            with suppress(RuntimeError):  # an interrupt came while it was being started: it reads nothing
                thread.join()


def ahead(sources: Iterable[Callable[[], Iterator[T]]], workers: int, depth: int = DEPTH) -> Generator[T, None, None]:
    """All items of all sources, those of the first before those of the second; `workers` sources are read at a time.

    A source is taken when its reading begins. Close it to end the threads: it returns once none of them works any
    more. The order does not depend on which thread is quicker, so neither do the batches that are made of the items.
    """
    stop, threads = threading.Event(), _Threads(workers)
    waiting = iter(sources)
    readers: deque[_Reader[T]] = deque()

    def begin(count: int) -> None:
        readers.extend(threads.start(_Reader(source, stop, depth)) for source in islice(waiting, count))

    try:
        begin(workers)
        while readers:
            yield from readers[0].take()
            readers.popleft()
            begin(1)
    finally:
        stop.set()
        threads.close()


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_pool(workers: int) -> Iterator[None]:
    """While several clips are read at once, OpenCV works in their threads alone: its own pool would fight with them."""
    import cv2

    before = cv2.getNumThreads()
    if workers > 1:
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
