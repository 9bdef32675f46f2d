"""Jobs: long clips, worked on one after another behind those who wait for an answer."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from emofuse.errors import EmofuseError
from emofuse.files import home_path
from emofuse.pipeline import formats
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.wire import to_wire
from emofuse.serve.ledger import Ledger, Row, new_name
from emofuse.serve.logs import LOG, log
from emofuse.serve.problems import RefusedError
from emofuse.serve.quota import Quotas
from emofuse.serve.receive import Part, Received
from emofuse.serve.settings import Settings
from emofuse.serve.work import StoppedError, Work

TOLD = 1.0
"""Seconds between two entries of how far a job is."""
EXPIRY = 60.0
"""Seconds between two looks for answers that have been kept long enough."""
AGAIN = 5.0
"""Seconds after which a ledger that could not be written, as on a full disk, is tried again."""
MakeWork = Callable[[Received, Row], Work]
Answered = Callable[[Analysis, Work], None]


class Jobs:
    """A folder with the ledger and a folder of files for each job that is not done; a thread does the jobs in order.

    Files of a job are deleted as soon as it is done, failed or cancelled; its answer is kept for `jobs_kept` hours.
    What `quotas` count is taken up from the ledger, and kept there. `answered` is called with each answer. Raises
    EmofuseError where another process uses the folder.
    """

    def __init__(self, folder: Path, settings: Settings, quotas: Quotas, make: MakeWork, answered: Answered) -> None:
        self.folder, self.settings, self.quotas = home_path(folder), settings, quotas
        self._make, self._tell = make, answered
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.folder / "files").mkdir(mode=0o700, exist_ok=True)
            self._hold = FileLock(self.folder / "lock", thread_local=False)
            self._hold.acquire(timeout=0)
        except Timeout:
            raise EmofuseError(f"another service uses {str(folder)!r}; name another --state") from None
        except OSError as error:
            raise EmofuseError(f"cannot keep jobs in {str(folder)!r}: {error}; name another --state") from error
        self.ledger = Ledger(self.folder / "jobs.sqlite3", settings.attempts)
        quotas.restore(*self.ledger.used())
        self._changed, self._closed, self._closing = threading.Event(), threading.Event(), False
        self._current: tuple[str, Work] | None = None
        self._unwritten = False
        """Whether a job may have been begun whose end the ledger could not take."""
        self._recover()
        self._threads = [
            threading.Thread(target=work, name=f"emofuse-{name}", daemon=True)
            for name, work in (("jobs", self._run), ("jobs-kept", self._keep_house))
        ]
        for thread in self._threads:
            thread.start()

    def place(self) -> tuple[str, Path]:
        """A name and a folder for the files of a new job. Raises RefusedError where too many wait."""
        if self.ledger.count("queued") >= self.settings.jobs_waiting:
            raise RefusedError(429, "too_many", "too many jobs are waiting; come back later", 60)
        name = new_name()
        folder = self.folder / "files" / name
        folder.mkdir(mode=0o700)
        return name, folder

    def add(self, name: str, owner: str, received: Received) -> Row:
        """A new job from what lies in its place."""
        files = {key: [part.path.name, part.name] for key, part in received.files.items()}
        self.ledger.add(owner, {"fields": received.fields, "files": files}, name)
        self._changed.set()
        row = self.ledger.get(name, owner)
        assert row is not None
        return row

    def cancel(self, name: str) -> None:
        """End a job, and forget it with its answer and its files."""
        self.ledger.cancel(name)
        current = self._current
        if current is not None and current[0] == name:
            current[1].cancel()
        self.drop(name)
        self.ledger.delete(name)

    def drop(self, name: str) -> None:
        """Delete the files of a job."""
        shutil.rmtree(self.folder / "files" / name, ignore_errors=True)

    def close(self) -> None:
        """Put back what is being worked on, end the threads, and keep what callers have used."""
        self._closing = True
        self._changed.set()
        self._closed.set()
        current = self._current
        if current is not None:
            current[1].cancel()
        for thread in self._threads:
            thread.join()
        self._keep(self._save_used)
        self.ledger.close()
        self._hold.release()

    def _recover(self) -> None:
        """Take up what an earlier process left; files that belong to no job are deleted."""
        self._take_up()
        known = self.ledger.names()
        for left in (self.folder / "files").iterdir():
            if left.name not in known:
                shutil.rmtree(left, ignore_errors=True)

    def _take_up(self) -> None:
        """Queue what was begun and has not ended once more, or set it aside."""
        for name in self.ledger.recover():
            log("job set aside", job=name)
            self.drop(name)

    def _run(self) -> None:
        while not self._closing:
            self._changed.clear()
            if not self._keep(self._next):  # nothing is lost, and jobs go on once what is wrong has passed
                self._unwritten = True
                self._changed.wait(AGAIN)

    def _keep_house(self) -> None:
        """Forget old answers and keep what callers have used, however long a job takes and however the process ends."""
        while not self._closing:
            self._keep(self._expire)
            self._keep(self._save_used)
            self._closed.wait(EXPIRY)

    def _keep(self, work: Callable[[], None]) -> bool:
        """Whether it was done; else the log says why."""
        try:
            work()
        except sqlite3.Error as error:  # a full disk
            log("the ledger of jobs cannot be written", 40, error=str(error))
        except Exception:
            LOG.exception("jobs failed")
        else:
            return True
        return False

    def _save_used(self) -> None:
        self.ledger.save_used(*self.quotas.saved())

    def _expire(self) -> None:
        for name in self.ledger.expire(self.settings.jobs_kept * 3600):
            self.drop(name)

    def _next(self) -> None:
        """Do the job that waits longest; wait where none does."""
        if self._unwritten:
            self._take_up()
            self._unwritten = False
        row = self.ledger.begin()
        if row is None:
            self._changed.wait(EXPIRY)
        else:
            self._do(row)

    def _do(self, row: Row) -> None:
        began = time.monotonic()
        state = "done"
        try:
            self.ledger.finish(row.id, self._answer(row))
        except StoppedError:
            state = "put back" if self._closing and self.ledger.release(row.id) else "cancelled"
        except RefusedError as error:
            state = error.code
            self.ledger.fail(row.id, error.code, error.message)
        except sqlite3.Error:
            raise
        except EmofuseError as error:
            state = "unreadable"
            self.ledger.fail(row.id, "unreadable", str(error))
        except Exception as error:
            state = "failed"
            self.ledger.fail(row.id, "failed", "the service failed at this; its log says why")
            log("job failed", 40, job=row.id, error=type(error).__name__)
        finally:
            self._current = None
        if state != "put back":
            self.drop(row.id)
        log("job", job=row.id, caller=row.owner, state=state, attempt=row.attempts, seconds=time.monotonic() - began)

    def _answer(self, row: Row) -> str:
        folder = self.folder / "files" / row.id
        files = {key: Part(folder / here, shown) for key, (here, shown) in row.asked["files"].items()}
        work = self._make(Received(dict(row.asked["fields"]), files), row)
        work.progress = _Told(self.ledger, row.id, work)
        self._current = (row.id, work)
        if self._closing:
            work.cancel()
        analysis = work.run()
        self._tell(analysis, work)
        return formats.dump(to_wire(analysis))


class _Told:
    """Enters how far a job is, now and then; a job that is no longer wanted is ended."""

    def __init__(self, ledger: Ledger, name: str, work: Work) -> None:
        self.ledger, self.name, self.work = ledger, name, work
        self._last = 0.0

    def __call__(self, done: float, total: float | None) -> None:
        if time.monotonic() - self._last >= TOLD:
            self._last = time.monotonic()
            with suppress(sqlite3.Error):  # a full disk: the job itself may still be done
                if not self.ledger.progress(self.name, done, total):
                    self.work.cancel()


def as_dict(row: Row) -> dict[str, Any]:
    """How a job stands, as its caller may know it."""
    return {
        "id": row.id,
        "state": row.state,
        "created": row.created,
        "updated": row.updated,
        "attempts": row.attempts,
        "progress": None if row.done is None else {"seconds": row.done, "of": row.total},
        "error": None if row.code is None else {"code": row.code, "message": row.message},
    }
