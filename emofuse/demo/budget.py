"""Budgets: how many seconds of the model's work each visitor may have in an hour."""

from __future__ import annotations

import threading
import time
from collections import deque

WINDOW = 3600.0
"""Seconds after which work is forgotten."""


class Budgets:
    """Seconds of work that were spent for each visitor within the last hour."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._spent: dict[str, deque[tuple[float, float]]] = {}
        self._lock = threading.Lock()

    def spend(self, visitor: str, seconds: float) -> None:
        """Note work that was done."""
        with self._lock:
            self._spent.setdefault(visitor, deque()).append((time.monotonic(), seconds))

    def left(self, visitor: str) -> float:
        """Seconds that a visitor still has."""
        with self._lock:
            spent = self._spent.get(visitor, deque())
            while spent and time.monotonic() - spent[0][0] > WINDOW:
                spent.popleft()
            if not spent:
                self._spent.pop(visitor, None)
            return self.seconds - sum(seconds for _, seconds in spent)
