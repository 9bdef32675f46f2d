"""The inline carrier: this process."""

from __future__ import annotations

import time
from collections.abc import Sequence

from emofuse.batch_jobs.engine import Engine
from emofuse.batch_jobs.job import Job
from emofuse.batch_jobs.progress import Meter

PAUSE = 0.5
"""Seconds until a shard that another process holds is looked at again."""


def run(job: Job, shards: Sequence[int], meter: Meter) -> None:
    """Every shard; returns when all are committed, by whomever. Ctrl-C leaves a job that goes on."""
    left = job.left(shards)
    engine = Engine(job) if left else None
    while left and engine is not None:
        held = [shard for shard in left if not engine.run(shard, meter.add)]
        left = job.left(held)
        if left:
            time.sleep(PAUSE)
            meter.tick()
