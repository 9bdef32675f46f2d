"""The ledger of jobs: a row a job in SQLite, which survives the process, and what each caller has used."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from emofuse.errors import EmofuseError
from emofuse.files import well_formed

State = Literal["queued", "running", "done", "failed", "cancelled"]
VERSION = 2
_TABLES = """
CREATE TABLE jobs (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL, state TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
  attempts INTEGER NOT NULL, asked TEXT NOT NULL, done REAL, total REAL, answer TEXT, code TEXT, message TEXT,
  charged INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX waiting ON jobs (state, created);
CREATE TABLE used (owner TEXT PRIMARY KEY, hour INTEGER NOT NULL, seconds REAL NOT NULL);
"""
_FROM_1 = """
ALTER TABLE jobs ADD COLUMN charged INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET charged = attempts > 0;
UPDATE jobs SET asked = '{}' WHERE state IN ('done', 'failed', 'cancelled');
"""


@dataclass(frozen=True)
class Row:
    """A job as it stands."""

    id: str
    owner: str
    state: State
    created: float
    updated: float
    attempts: int
    """Times that it was begun."""
    asked: dict[str, Any]
    done: float | None
    """Media-seconds read."""
    total: float | None
    answer: str | None
    """The wire form of the analysis, once done."""
    code: str | None
    message: str | None
    """Why it failed."""
    charged: bool
    """Whether its media-seconds are counted already: however often it is begun, they are once."""


class Ledger:
    """Jobs of one folder, used by one process at a time, from any of its threads.

    A job is begun by `begin`, which counts the attempt before anything of it is read: one that ends its process, and
    has done so `attempts` times, is set aside as failed at the next start. What was asked is kept until a job has
    ended, its answer until it is forgotten, and neither longer, not even in pages that are free. Only the file's owner
    may read it.
    """

    def __init__(self, path: Path, attempts: int = 2) -> None:
        self.attempts = attempts
        self._lock = threading.Lock()
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            path.chmod(0o600)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA secure_delete=ON")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._db.executescript(f"BEGIN;{_TABLES}PRAGMA user_version={VERSION};COMMIT;")
            elif version == 1:
                self._db.executescript(f"BEGIN;{_FROM_1}PRAGMA user_version={VERSION};COMMIT;")
        except (sqlite3.Error, OSError) as error:
            raise EmofuseError(f"{path} cannot be used as a ledger of jobs ({error}); name another --state") from error
        if version not in (0, 1, VERSION):
            raise EmofuseError(f"{path} is a ledger of version {version}, this emofuse reads {VERSION}; name another")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def add(self, owner: str, asked: dict[str, Any], job: str | None = None) -> str:
        """A new job at the end of the queue; its name."""
        job, now = job or new_name(), time.time()
        with self._writing() as db:
            db.execute(
                "INSERT INTO jobs (id, owner, state, created, updated, attempts, asked) VALUES (?,?,'queued',?,?,0,?)",
                (job, owner, now, now, json.dumps(asked)),
            )
        return job

    def get(self, job: str, owner: str) -> Row | None:
        """A job of this owner; None where there is none, or it is another's."""
        with self._lock:
            row = self._db.execute("SELECT * FROM jobs WHERE id=? AND owner=?", (job, owner)).fetchone()
        return None if row is None else _row(row)

    def begin(self) -> Row | None:
        """The job that waits longest, now running and with one attempt more; None where none waits."""
        with self._writing() as db:
            found = db.execute("SELECT id FROM jobs WHERE state='queued' ORDER BY created, id LIMIT 1").fetchone()
            if found is None:
                return None
            db.execute(
                "UPDATE jobs SET state='running', attempts=attempts+1, updated=? WHERE id=?", (time.time(), found["id"])
            )
            return _row(db.execute("SELECT * FROM jobs WHERE id=?", (found["id"],)).fetchone())

    def progress(self, job: str, done: float, total: float | None) -> bool:
        """Media-seconds of a running job; whether it still is to be done."""
        return self._change(job, ("running",), done=done, total=total)

    def charged(self, job: str) -> None:
        """The media-seconds of a running job are counted."""
        self._change(job, ("running",), charged=True)

    def finish(self, job: str, answer: str) -> bool:
        """The answer of a running job; False where it was cancelled meanwhile."""
        return self._end(job, ("running",), state="done", answer=answer)

    def fail(self, job: str, code: str, message: str) -> bool:
        """Why a running job has no answer."""
        return self._end(job, ("running",), state="failed", code=code, message=well_formed(message))

    def release(self, job: str) -> bool:
        """Put a running job back, as if it had not been begun: the service is stopping."""
        with self._writing() as db:
            sql = "UPDATE jobs SET state='queued', attempts=attempts-1, updated=? WHERE id=? AND state='running'"
            return db.execute(sql, (time.time(), job)).rowcount == 1

    def cancel(self, job: str) -> bool:
        """End a job that is not done yet."""
        return self._end(job, ("queued", "running"), state="cancelled")

    def recover(self) -> list[str]:
        """While nothing is worked on: queue again, or set aside, what was begun and has not ended; those set aside."""
        message = (
            f"{self.attempts} times the service ended while this was worked on, or had no room for the answer; "
            "it is not tried again"
        )
        with self._writing() as db:
            ended = db.execute(
                "UPDATE jobs SET state='failed', code='ended', message=?, updated=?, asked='{}' "
                "WHERE state='running' AND attempts>=? RETURNING id",
                (message, time.time(), self.attempts),
            )
            spent = [row["id"] for row in ended.fetchall()]
            db.execute("UPDATE jobs SET state='queued', updated=? WHERE state='running'", (time.time(),))
        return spent

    def delete(self, job: str) -> None:
        """Forget a job."""
        with self._writing() as db:
            db.execute("DELETE FROM jobs WHERE id=?", (job,))
        self._forget()

    def expire(self, seconds: float) -> list[str]:
        """Forget jobs that ended longer ago than this; their names."""
        with self._writing() as db:
            old = db.execute(
                "DELETE FROM jobs WHERE state IN ('done','failed','cancelled') AND updated<? RETURNING id",
                (time.time() - seconds,),
            )
            names = [row["id"] for row in old.fetchall()]
        if names:
            self._forget()
        return names

    def count(self, *states: State) -> int:
        """Jobs in these states."""
        marks = ",".join("?" * len(states))
        with self._lock:
            return self._db.execute(f"SELECT count(*) FROM jobs WHERE state IN ({marks})", states).fetchone()[0]

    def names(self) -> set[str]:
        """Of all jobs."""
        with self._lock:
            return {row["id"] for row in self._db.execute("SELECT id FROM jobs")}

    def save_used(self, hour: int, used: dict[str, float]) -> None:
        """Media-seconds that each caller has used in an hour."""
        with self._writing() as db:
            db.execute("DELETE FROM used WHERE hour<>?", (hour,))
            db.executemany(
                "INSERT INTO used VALUES (?,?,?) ON CONFLICT (owner) DO UPDATE SET hour=excluded.hour, "
                "seconds=excluded.seconds",
                [(owner, hour, seconds) for owner, seconds in used.items()],
            )

    def used(self) -> tuple[int, dict[str, float]]:
        """What `save_used` was given last."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM used").fetchall()
        return max((row["hour"] for row in rows), default=0), {row["owner"]: row["seconds"] for row in rows}

    def _end(self, job: str, before: tuple[State, ...], **values: Any) -> bool:
        """A change after which what was asked is not needed any more."""
        ended = self._change(job, before, asked="{}", **values)
        self._forget()
        return ended

    def _forget(self) -> None:
        """Write what was changed to the file itself, and empty the log of changes, which still holds what was there; on
        a full disk that waits for the next time, since the change itself is kept."""
        with self._lock, suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _change(self, job: str, before: tuple[State, ...], **values: Any) -> bool:
        values["updated"] = time.time()
        names, marks = ", ".join(f"{name}=?" for name in values), ",".join("?" * len(before))
        with self._writing() as db:
            sql = f"UPDATE jobs SET {names} WHERE id=? AND state IN ({marks})"
            return db.execute(sql, (*values.values(), job, *before)).rowcount == 1

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:  # a full disk may have ended it already
                    self._db.execute("ROLLBACK")


def new_name() -> str:
    """A name that nobody can guess."""
    return secrets.token_urlsafe(18).replace("-", "a").replace("_", "b")


def _row(row: sqlite3.Row) -> Row:
    values = dict(row)
    return Row(**values | {"asked": json.loads(values["asked"]), "charged": bool(values["charged"])})
