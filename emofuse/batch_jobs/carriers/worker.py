"""A worker: a process that is told shards on stdin, runs them, and tells on stdout how far it is, in lines of JSON.

`python -m emofuse.batch_jobs.carriers.worker FOLDER READERS [DEVICE]`. It ends when stdin does; a SIGTERM, or the end
of its parent in the middle of a shard, costs no clip an attempt.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, NoReturn

PATIENCE = 20.0
"""Seconds a worker without a parent has to leave its shard."""


class Line:
    """Where the parent listens; whatever else prints to stdout goes to stderr."""

    def __init__(self) -> None:
        self.file = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def tell(self, **event: Any) -> None:
        """One event; nobody may be listening any more."""
        with self._lock:
            try:
                self.file.write(json.dumps(event) + "\n")
                self.file.flush()
            except OSError:
                os.kill(os.getpid(), signal.SIGTERM)


def main() -> NoReturn:
    """Work until there is no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    signal.signal(signal.SIGTERM, _interrupt)
    line, orders = Line(), queue.SimpleQueue[int | None]()
    code = 0
    try:
        threading.Thread(target=_listen, args=(orders,), daemon=True).start()
        _work(line, orders)
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the parent ends whom it hears an error of, here its bearer
        from emofuse.errors import EmofuseError

        if not isinstance(error, EmofuseError):
            traceback.print_exc()
        line.tell(event="error", message=str(error) or type(error).__name__)
        code = 1
    sys.stderr.flush()
    os._exit(code)  # nothing is left to do, and tearing PyTorch down takes a while


def _work(line: Line, orders: queue.SimpleQueue[int | None]) -> None:
    from emofuse.batch_jobs.engine import Engine
    from emofuse.batch_jobs.job import Job

    engine = Engine(Job(Path(sys.argv[1])), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
    line.tell(event="ready")
    while (shard := orders.get()) is not None:
        done = engine.run(shard, lambda c, f, s: line.tell(event="progress", clips=c, failed=f, seconds=s))
        line.tell(event="done", shard=shard, committed=done)


def _listen(orders: queue.SimpleQueue[int | None]) -> None:
    """Shards as they are told; without a parent, leave what is being done."""
    for told in sys.stdin:
        orders.put(int(told))
    orders.put(None)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(PATIENCE)
    os._exit(130)


def _interrupt(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
