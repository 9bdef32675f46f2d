"""The carrier of worker processes: one that dies is started again, and its shard is run by whoever is free."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from emofuse.batch_jobs.carriers.inline import PAUSE
from emofuse.batch_jobs.job import Job
from emofuse.batch_jobs.ledger import release
from emofuse.batch_jobs.progress import Meter
from emofuse.batch_jobs.settle import environment
from emofuse.errors import DataError, installed
from emofuse.media.prefetch import cores

STARTS = 3
"""Workers in a row that may end before they are ready."""
PATIENCE = 10.0
"""Seconds a worker has to leave its shard on Ctrl-C."""


class Worker:
    """One process, what it is at, and what it has told of that."""

    def __init__(self, job: Job, number: int, readers: int, device: str | None, events: queue.SimpleQueue[Any]) -> None:
        root = str(Path(__file__).resolve().parents[3])
        variables = os.environ | environment(job.options.threads)
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-P", "-m", "emofuse.batch_jobs.carriers.worker", str(job.folder), str(readers)]
        self.process = subprocess.Popen(
            command + ([device] if device else []),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=variables,
            start_new_session=True,  # Ctrl-C reaches the parent alone, which tells the workers
            text=True,
            encoding="utf-8",
        )
        self.number, self.events = number, events
        self.ready = False
        self.shard: int | None = None
        self.told = 0, 0, 0.0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                self.events.put((self, json.loads(line)))
            except ValueError:  # cut off by a kill
                continue
        self.events.put((self, None))

    def take(self, shard: int) -> None:
        """Hand it a shard; one that is gone says so through its events."""
        self.shard, self.told = shard, (0, 0, 0.0)
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.write(f"{shard}\n")
            self.process.stdin.flush()

    def leave(self) -> None:
        """No more shards: it ends by itself."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()


class Crew:
    """The workers of a job and the shards they have yet to run."""

    def __init__(self, job: Job, shards: Sequence[int], workers: int, meter: Meter) -> None:
        self.job, self.meter = job, meter
        self.pending = deque(job.left(shards))
        self.held: deque[tuple[float, int]] = deque()
        """(when to look again, shard) of those that another process is at."""
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.size = max(min(workers, len(self.pending)), 1)
        self.devices = devices(job.options.device)
        self.workers: dict[int, Worker] = {}
        self.false_starts = 0

    def run(self) -> None:
        """Until every shard is committed, by whomever. Raises DataError, OutputError, … of a worker."""
        try:
            for number in range(self.size if self.pending else 0):
                self._start(number)
            while self.pending or self.held or any(w.shard is not None for w in self.workers.values()):
                self._hand_out()
                try:
                    worker, event = self.events.get(timeout=PAUSE)
                except queue.Empty:
                    self.meter.tick()
                    continue
                self._take(worker, event)
        finally:
            self._dismiss()

    def _start(self, number: int) -> None:
        device = self.devices[number % len(self.devices)] if self.devices else None
        readers = max(cores() // self.size, 1)
        self.workers[number] = Worker(self.job, number, readers, device, self.events)

    def _hand_out(self) -> None:
        while self.held and self.held[0][0] <= time.monotonic():
            self.pending.append(self.held.popleft()[1])
        for worker in self.workers.values():
            if worker.ready and worker.shard is None and self.pending:
                worker.take(self.pending.popleft())

    def _take(self, worker: Worker, event: dict[str, Any] | None) -> None:
        match event:
            case None:
                self._died(worker)
            case {"event": "ready"}:
                worker.ready, self.false_starts = True, 0
            case {"event": "progress", "clips": clips, "failed": failed, "seconds": seconds}:
                worker.told = worker.told[0] + clips, worker.told[1] + failed, worker.told[2] + seconds
                self.meter.add(clips, failed, seconds)
            case {"event": "done", "shard": shard, "committed": committed}:
                worker.shard = None
                if not committed:
                    self.held.append((time.monotonic() + PAUSE, shard))
            case {"event": "error", "message": message}:
                raise DataError(message)

    def _died(self, worker: Worker) -> None:
        """Start another in its place; what it told of a shard that is not committed came to nothing."""
        if self.workers.get(worker.number) is not worker:
            return
        code = worker.process.wait()
        if not worker.ready:
            self.false_starts += 1
            if self.false_starts >= STARTS:
                raise DataError(f"workers end before they are ready (exit code {code}); --workers 0 shows why")
        if worker.shard is not None and not self.job.done(worker.shard):
            clips, failed, seconds = worker.told
            self.meter.add(-clips, -failed, -seconds)
            self.pending.appendleft(worker.shard)
        worker.shard = None
        self._start(worker.number)

    def _dismiss(self) -> None:
        """End all workers: those in a shard leave it first, so that no clip loses an attempt."""
        for worker in self.workers.values():
            worker.leave()
        until = time.monotonic() + PATIENCE
        for worker in self.workers.values():
            try:
                worker.process.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
                if worker.shard is not None:
                    release(self.job.work / f"{worker.shard:05d}.jsonl")


def devices(device: str) -> list[str]:
    """GPUs to share out between workers; none where there is one at most, or one is named."""
    if device not in ("auto", "cuda") or not installed("torch"):
        return []
    import torch

    if not torch.cuda.is_available():
        return []
    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


def default_workers(device: str) -> int:
    """One a GPU, else one a core."""
    return len(devices(device)) or cores()


def run(job: Job, shards: Sequence[int], workers: int, meter: Meter) -> None:
    """Every shard, by so many processes."""
    Crew(job, shards, workers, meter).run()
