"""Embeddings of a job: what `--embeddings` kept of every segment, to search and to cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.batch_jobs.job import Job
from emofuse.errors import DataError
from emofuse.pipeline.similar import Embeddings


@dataclass(frozen=True, eq=False)
class Kept:
    """The segments of a job that have an embedding."""

    rows: list[dict[str, Any]]
    """`id`, `segment`, `start`, `end`, `emotion`, `text`, `present`."""
    embeddings: Embeddings
    model: str

    def row_of(self, name: str) -> int | None:
        """The place of ID#SEGMENT, or of the first segment of ID; None where there is no such."""
        whole = [i for i, row in enumerate(self.rows) if name in (row["id"], f"{row['id']}#{row['segment']}")]
        return whole[0] if whole else None


def read_embeddings(folder: Path) -> Kept:
    """All that are committed. Raises DataError where the job kept none."""
    import pyarrow.parquet as parquet

    job, rows, states = Job(folder), [], []
    for shard in (s for s in job.shards if job.done(s)):
        with parquet.ParquetFile(job.part("segments", shard)) as file:
            if "embedding" not in file.schema_arrow.names:
                raise DataError(f"{folder} has no embeddings: run the batch with --embeddings, into another folder")
            read = file.read(["id", "segment", "start", "end", "emotion", "text", "present", "embedding"]).to_pylist()
        for row in read:
            if (state := row.pop("embedding")) is not None:
                rows.append(row)
                states.append(np.array(state, np.float32))
    if not rows:
        raise DataError(f"{folder} holds no segments with an embedding yet")
    return Kept(rows, Embeddings(np.stack(states), [row["present"] for row in rows]), job.options.model)
