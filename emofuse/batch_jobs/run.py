"""A job from its inputs to its outputs: begun or gone on with, carried, closed."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from emofuse.batch_jobs import plan
from emofuse.batch_jobs.job import Job, JobOptions, begin, begun, model_fingerprint
from emofuse.batch_jobs.outputs import write_failures, write_tables
from emofuse.batch_jobs.progress import Meter
from emofuse.batch_jobs.status import Status, status
from emofuse.errors import DataError, installed, require_package
from emofuse.files import home_path


@dataclass(frozen=True)
class Carrier:
    """Who runs the shards; the answers do not depend on it."""

    workers: int | None = None
    """Processes; 0 = this one; None = one a GPU, else one a core. With Ray, actors."""
    shard: tuple[int, int] = (1, 1)
    """(i, n): only every n-th shard, from the i-th on, i from 1."""
    ray: bool = False
    address: str | None = None
    gpus: float = 0.0
    memory: float = 2.0


def open_job(folder: Path, inputs: Sequence[str], options: JobOptions, *, sidecars: bool = True) -> Job:
    """A new job, or the same one again; `sidecars`: see `plan.gather`.

    Raises DataError where the one in the folder is another, and EmofuseError for options that nobody could do a new one
    with.
    """
    if re.match(r"[a-z][a-z\d+.-]+:/", str(folder)):  # a path has lost one of an address's slashes
        raise DataError(f"a job works in a folder, and {folder} is an address: copy its parts there when it is done")
    from emofuse.batch_jobs.engine import check_possible

    fingerprint = model_fingerprint(options.model)
    items, options = plan.gather(inputs, sidecars=sidecars), settled(options)
    if not begun(folder):
        check_possible(options)
    return begin(folder, items, options, fingerprint, inputs)


def require_extra() -> None:
    """Raise MissingExtraError where the packages that jobs need are not there."""
    for package in ("pyarrow", "filelock", "fsspec"):
        require_package(package, extra="batch")


def settled(options: JobOptions) -> JobOptions:
    """The options as all who work on the job can take them, from wherever they are started.

    A model's folder is absolute, and precision is not chosen by measuring: "auto" is bfloat16 on a GPU that has it,
    else float32; int8 is for who asks for it. Raises EmofuseError for a precision or a device that is not there, which
    would else begin a job that nobody can do.
    """
    from emofuse.model.folder import locate, shipped
    from emofuse.runtime.backend import choose_backend, choose_device

    if options.model not in shipped() and home_path(options.model).is_dir():
        options = replace(options, model=str(home_path(options.model).absolute()))
    if options.precision != "auto":
        if installed("torch"):
            from emofuse.runtime.precision import check_precision

            check_precision(options.precision)
            choose_device(options.device)
        return options
    if choose_backend(locate(options.model), "auto") != "torch" or not installed("torch"):
        return replace(options, precision="float32")
    import torch

    on_gpu = choose_device(options.device).type == "cuda" and torch.cuda.is_bf16_supported()
    return replace(options, precision="bfloat16" if on_gpu else "float32")


def carry(job: Job, carrier: Carrier, *, as_json: bool = False) -> Status:
    """Run what is left of the job, or of this carrier's share of it, and close it once all is done.

    Raises KeyboardInterrupt on Ctrl-C and SIGTERM, after which the job goes on where it was.
    """
    index, of = carrier.shard
    mine = [shard for shard in job.shards if shard % of == index - 1]
    left = set(job.left(mine))
    done = sum(job.counts[shard] for shard in mine if shard not in left)
    meter = Meter(done, sum(job.counts[shard] for shard in mine), as_json=as_json)
    try:
        with stoppable():
            _carrier(job, mine, carrier, meter)()
    finally:
        meter.tick(last=True)
        if job.left(job.shards) != list(job.shards):
            _write_failures(job)
    now = status(job)
    if now.complete:
        write_tables(job)
        job.clear()
    return now


def _carrier(job: Job, shards: Sequence[int], carrier: Carrier, meter: Meter) -> Callable[[], None]:
    if carrier.ray:
        from emofuse.batch_jobs.carriers import cluster

        return lambda: cluster.run(
            job,
            shards,
            meter,
            address=carrier.address,
            workers=carrier.workers,
            gpus=carrier.gpus,
            memory=carrier.memory,
        )
    if carrier.workers == 0:
        from emofuse.batch_jobs.carriers import inline

        return lambda: inline.run(job, shards, meter)
    from emofuse.batch_jobs.carriers import processes

    workers = carrier.workers or processes.default_workers(job.options.device)
    return lambda: processes.run(job, shards, workers, meter)


def _write_failures(job: Job) -> None:
    with job.lock("failed", seconds=30) as held:
        if held:
            write_failures(job)


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM, as clusters and services send it before they kill, ends the block as Ctrl-C does."""

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def share(text: str) -> tuple[int, int]:
    """(i, n) of "i/n". Raises DataError."""
    first, slash, last = text.partition("/")
    if not slash or not first.isdecimal() or not last.isdecimal() or not 1 <= int(first) <= int(last):
        raise DataError(f"--shard {text!r} is not i/n with i from 1 to n, as 3/8")
    return int(first), int(last)
