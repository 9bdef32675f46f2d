"""Who may use the model when: one at a time, a few waiting, the rest told so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from emofuse.errors import EmofuseError


class FullError(EmofuseError):
    """More are waiting than may wait."""


class Turns:
    """A queue in front of the model."""

    def __init__(self, waiting: int) -> None:
        self._most = waiting
        self._waiting = 0
        self._count = threading.Lock()
        self._model = threading.Lock()

    def try_enter(self) -> bool:
        """Take a place among those who wait; False where there is none. Every True is given back by `leave`."""
        with self._count:
            if self._waiting > self._most:
                return False
            self._waiting += 1
            return True

    def leave(self) -> None:
        """Give the place back."""
        with self._count:
            self._waiting -= 1

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for as long as the block lasts. Raises `FullError`."""
        if not self.try_enter():
            raise FullError("too many are waiting; try again in a minute")
        try:
            yield
        finally:
            self.leave()

    @contextmanager
    def model(self, gone: Callable[[], bool]) -> Iterator[bool]:
        """The model for as long as the block lasts; False where whoever waited has gone before it was free."""
        mine = False
        while not gone() and not (mine := self._model.acquire(timeout=0.2)):
            pass
        try:
            yield mine
        finally:
            if mine:
                self._model.release()
