"""Admission: a bounded number of requests, a bounded number of each caller's, and when to come back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from emofuse.serve.problems import RefusedError
from emofuse.serve.settings import Settings

_MEMORY = 0.2
"""Weight of the newest request in the mean time of a request."""


class Admission:
    """The places of requests. It is used from one thread, the event loop's, and waits for nothing."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.taken: Counter[str] = Counter()
        self.draining = False
        self.refused = 0
        self._mean = 1.0

    @property
    def count(self) -> int:
        """Requests that are received, wait or are worked on."""
        return self.taken.total()

    @property
    def retry_after(self) -> float:
        """Seconds until a place is likely to be free, as requests went lately."""
        return min(60.0, max(1.0, self._mean * self.settings.waiting / self.settings.working))

    @contextmanager
    def place(self, caller: str) -> Iterator[None]:
        """A place until the block ends. Raises RefusedError at once where there is none."""
        if self.draining:
            raise RefusedError(503, "stopping", "the service is stopping; ask another one", self.retry_after)
        if self.count >= self.settings.places or self.taken[caller] >= self.settings.places_each:
            self.refused += 1
            raise RefusedError(429, "too_many", "too many requests are waiting; come back later", self.retry_after)
        self.taken[caller] += 1
        began = time.monotonic()
        try:
            yield
        finally:
            self._mean += _MEMORY * (time.monotonic() - began - self._mean)
            self.taken[caller] -= 1
            if not self.taken[caller]:
                del self.taken[caller]
