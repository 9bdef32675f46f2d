"""The queue in front of the model: first come, first served, one at a time, and each told how many are before them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator

from emofuse.errors import EmofuseError


class FullError(EmofuseError):
    """More are waiting than may wait, or one visitor has taken as many places as one may."""


class ModelQueue:
    """Those who want the model, in order of arrival; the first of them has it."""

    def __init__(self, waiting: int, each: int) -> None:
        self._most, self._each = waiting + 1, each
        self._tickets: deque[Ticket] = deque()
        self._changed = threading.Condition()

    def join(self, visitor: str, expected: float | None = None) -> Ticket:
        """The last place, for work that is expected to take so many seconds (None = nobody knows).

        Raises `FullError` at once where there is none; `leave` gives the place back.
        """
        with self._changed:
            own = sum(ticket.visitor == visitor for ticket in self._tickets)
            if len(self._tickets) >= self._most or own >= self._each:
                raise FullError("too many are waiting; try again in a minute")
            ticket = Ticket(self, visitor, expected)
            self._tickets.append(ticket)
        return ticket

    def place(self, ticket: Ticket) -> int | None:
        """How many are before a ticket; None once it has left."""
        return self._tickets.index(ticket) if ticket in self._tickets else None

    def before(self, ticket: Ticket) -> list[Ticket]:
        """Those whose turn comes first."""
        with self._changed:
            return list(self._tickets)[: self.place(ticket) or 0]

    def leave(self, ticket: Ticket, only_waiting: bool = False) -> None:
        """Take a ticket out, or `only_waiting`, one that does not have the model; whoever is behind it moves up."""
        with self._changed:
            place = self.place(ticket)
            if place is not None and not (only_waiting and place == 0):
                self._tickets.remove(ticket)
                self._changed.notify_all()

    def moved(self, ticket: Ticket, told: int | None) -> int | None:
        """Wait until a ticket's place is another than was `told`; that place."""
        with self._changed:
            self._changed.wait_for(lambda: self.place(ticket) != told)
            return self.place(ticket)


class Ticket:
    """A place in the queue, from `ModelQueue.join` to `leave`."""

    def __init__(self, queue: ModelQueue, visitor: str, expected: float | None) -> None:
        self._queue, self.visitor, self._expected = queue, visitor, expected
        self._began: float | None = None

    def places(self) -> Iterator[int]:
        """How many are before this one, whenever that changes; 0, the last, is its turn. Ends without 0 if it left."""
        told = -1
        while told != 0:
            place = self._queue.moved(self, told)
            if place is None:
                return
            if place == 0:
                self._began = time.monotonic()
            yield (told := place)

    def wait(self) -> float | None:
        """Seconds until its turn, as far as the work of those before it is known; None where some of it is not."""
        left = [ticket.left() for ticket in self._queue.before(self)]
        known = [seconds for seconds in left if seconds is not None]
        return sum(known) if len(known) == len(left) else None

    def left(self) -> float | None:
        """Seconds that its own work still takes, at least one."""
        if self._expected is None:
            return None
        done = 0.0 if self._began is None else time.monotonic() - self._began
        return max(1.0, self._expected - done)

    def give_up(self) -> None:
        """Leave, unless it has the model already."""
        self._queue.leave(self, only_waiting=True)

    def leave(self) -> None:
        """Give the place back."""
        self._queue.leave(self)
