"""The carrier of a Ray cluster, or of Ray on this machine: shards through Ray Data's `map_batches`, an engine an actor.

What goes through Ray is the number of a shard and how many clips it had; clips are read, and parts written, where the
actor runs, so the job's folder must be one that every node sees under the same path.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emofuse.batch_jobs.job import Job
from emofuse.batch_jobs.ledger import release
from emofuse.batch_jobs.progress import Meter
from emofuse.batch_jobs.settle import environment
from emofuse.errors import DataError, EmofuseError, first_line, require_package

GIB = 1 << 30
STORE = 100 << 20
"""Bytes of Ray's object store on this machine: next to nothing goes through it."""
TRIES = 3
"""Runs of the data set in a row that may end without a shard committed."""
KNOCK = 10.0
"""Seconds in which a cluster's head has to take a connection."""


class ShardRunner:
    """An actor: an engine that is built once and runs the shards it is handed."""

    def __init__(self, folder: str, readers: int) -> None:
        from emofuse.batch_jobs.engine import Engine

        self.engine = Engine(Job(Path(folder)), readers)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Shards → what is to be counted of each. An error of the job, not of a clip, is told, not raised: Ray would
        run the shard again and again."""
        found: dict[str, list[Any]] = {"shard": [], "clips": [], "failed": [], "seconds": [], "error": []}
        for shard in map(int, batch["shard"]):
            told = [0, 0, 0.0]

            def report(clips: int, failed: int, seconds: float, told: list[Any] = told) -> None:
                told[:] = told[0] + clips, told[1] + failed, told[2] + seconds

            try:
                self.engine.run(shard, report)
                error = ""
            except EmofuseError as problem:
                error = str(problem)
            for name, value in zip(found, (shard, *told, error), strict=True):
                found[name].append(value)
        return found


def run(
    job: Job,
    shards: Sequence[int],
    meter: Meter,
    *,
    address: str | None = None,
    workers: int | None = None,
    gpus: float = 0.0,
    memory: float = 2.0,
) -> None:
    """Every shard, by actors: `workers` of them (None = as many as there are processors, or as GPUs hold), each with
    `threads` processors, `gpus` of a GPU, which may be a fraction, and `memory` GiB set aside.

    `address` of a cluster; None = the one RAY_ADDRESS names, else Ray on this machine. Raises DataError where it
    cannot be reached, or what the work on a shard raised.
    """
    require_package("ray", "ray")
    import ray

    mine = not ray.is_initialized()
    if mine:
        connect(address)
    try:
        idle = 0
        while left := job.left(shards):
            try:
                _once(job, left, meter, workers, gpus, memory)
            except EmofuseError:
                raise
            except Exception as error:  # Ray's own have no common base
                problem = f"Ray ended the work: {type(error).__name__}: {first_line(error)}"
            else:
                problem = "other processes hold what is left"
            idle = idle + 1 if len(job.left(shards)) == len(left) else 0
            if idle >= TRIES:
                raise DataError(f"{problem}; the same command goes on")
    finally:
        if mine:
            ray.shutdown()
            _release(job, shards)


def connect(address: str | None) -> None:
    """Reach the cluster at an address, or the one RAY_ADDRESS names, or start Ray on this machine. Raises DataError."""
    import ray

    named = address or os.environ.get("RAY_ADDRESS")
    local = named is None
    if named is not None:
        _knock(named)
    else:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it sends statistics of use to its makers
    options: dict[str, Any] = {"include_dashboard": False, "object_store_memory": STORE} if local else {}
    try:
        ray.init(
            address=None if local else address or "auto", log_to_driver=False, logging_level=logging.ERROR, **options
        )
    except Exception as error:  # Ray raises bare ones, as where its node does not start in time
        ray.shutdown()
        raise DataError(f"cannot reach Ray at {address or 'this machine'}: {first_line(error)}") from error


def _knock(address: str) -> None:
    """Raise DataError where nobody listens at HOST:PORT, which Ray itself would wait minutes for."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return  # "auto", "local"
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK).close()
    except (OSError, OverflowError) as error:
        raise DataError(
            f"cannot reach Ray at {address}: {first_line(error)}; start a head there (ray start --head), or leave the "
            "address out"
        ) from error


def _once(job: Job, shards: Sequence[int], meter: Meter, workers: int | None, gpus: float, memory: float) -> None:
    """One pass over the shards that are left."""
    import ray

    threads = job.options.threads
    there = ray.cluster_resources()
    fits = int(there.get("GPU", 0) / gpus) if gpus else int(there.get("CPU", 1) / threads)
    size = max(min(workers or fits, len(shards)), 1)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # its progress; the meter shows the job's
    rows = ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards))
    done = rows.map_batches(
        ShardRunner,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=1),
        fn_constructor_kwargs={"folder": str(job.folder.absolute()), "readers": max(threads, 1)},
        num_cpus=threads,
        num_gpus=gpus or None,
        memory=memory * GIB,
        runtime_env={"env_vars": environment(threads)},
    )
    for row in done.iter_rows():
        if row["error"]:
            raise DataError(row["error"])
        meter.add(int(row["clips"]), int(row["failed"]), float(row["seconds"]))


def _release(job: Job, shards: Sequence[int]) -> None:
    """Where this ended before the work did, its actors were ended on purpose: no clip loses an attempt by it."""
    for shard in job.left(shards):
        path = job.work / f"{shard:05d}.jsonl"
        if path.is_file():
            with job.lock(shard, seconds=5) as held:
                if held:
                    release(path)
