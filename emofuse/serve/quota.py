"""Quotas: media-seconds that each caller has used in this hour."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from emofuse.serve.keys import Caller
from emofuse.serve.problems import RefusedError

HOUR = 3600.0


class Quotas:
    """Media-seconds by caller and clock hour; `default` holds for whoever has no quota of its own, None = no limit.

    A request is charged before its work with what its clip announces; what it held beyond that is added after.
    """

    def __init__(self, default: float | None, clock: Callable[[], float] = time.time) -> None:
        self.default, self._clock = default, clock
        self._lock = threading.Lock()
        self._hour, self._used = self._now(), dict[str, float]()

    def left(self, caller: Caller) -> float | None:
        """Media-seconds that a caller may still have in this hour; None = no limit."""
        limit = self._limit(caller)
        if limit is None:
            return None
        with self._lock:
            self._turn()
            return max(0.0, limit - self._used.get(caller.name, 0.0))

    def limited(self, caller: Caller) -> bool:
        """Whether a caller has a quota."""
        return self._limit(caller) is not None

    def charge(self, caller: Caller, seconds: float) -> None:
        """Count media-seconds before they are read. Raises RefusedError where there are not enough left."""
        limit = self._limit(caller)
        with self._lock:
            self._turn()
            used = self._used.get(caller.name, 0.0)
            if limit is not None and used + seconds > limit:
                wait = (self._hour + 1) * HOUR - self._clock()
                raise RefusedError(
                    429,
                    "quota",
                    f"{seconds:.0f} more media-seconds would be {used + seconds:.0f} in this hour, of the {limit:.0f} "
                    "that this key has; come back in the next, or send less",
                    wait,
                )
            self._used[caller.name] = used + seconds

    def add(self, caller: Caller, seconds: float) -> None:
        """Count media-seconds that have been read already, whether or not there were so many left."""
        with self._lock:
            self._turn()
            self._used[caller.name] = self._used.get(caller.name, 0.0) + seconds

    def saved(self) -> tuple[int, dict[str, float]]:
        """The hour and what was used in it, to be kept over a restart."""
        with self._lock:
            self._turn()
            return self._hour, dict(self._used)

    def restore(self, hour: int, used: dict[str, float]) -> None:
        """Take up what was saved; of another hour, nothing."""
        with self._lock:
            if hour == self._now():
                self._used.update(used)

    def _limit(self, caller: Caller) -> float | None:
        return self.default if caller.quota is None else caller.quota

    def _now(self) -> int:
        return int(self._clock() // HOUR)

    def _turn(self) -> None:
        if (hour := self._now()) != self._hour:
            self._hour, self._used = hour, {}
