"""The status of a job, read from its folder, whether or not somebody works on it."""

from __future__ import annotations

from dataclasses import dataclass

from emofuse.batch_jobs.job import Job


@dataclass(frozen=True)
class Status:
    """How far a job is."""

    items: int
    shards: int
    shards_done: int
    clips_done: int
    failed: int
    media_seconds: float
    open_shards: int
    """Shards that were begun and are not done."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left."""
        return self.shards_done == self.shards


def status(job: Job) -> Status:
    """Read every committed part's columns of errors and seconds; the rest is a matter of names."""
    import pyarrow.compute as compute
    import pyarrow.parquet as parquet

    left = job.left(job.shards)
    done = sorted(set(job.shards).difference(left))
    clips = failed = 0
    seconds = 0.0
    for shard in done:
        with parquet.ParquetFile(job.part("clips", shard)) as file:
            table = file.read(["error", "duration"])
        clips += table.num_rows
        failed += table.num_rows - table["error"].null_count
        seconds += compute.sum(table["duration"]).as_py() or 0.0
    opened = sum((job.work / f"{shard:05d}.jsonl").is_file() for shard in left)
    return Status(job.items, len(job.shards), len(done), clips, failed, round(seconds, 3), opened)


def in_words(job: Job, now: Status) -> str:
    """A few lines for a terminal."""
    lines = [
        f"{job.folder}: {job.options.model}, {now.clips_done} of {now.items} clips done, {now.failed} of them failed",
        f"{now.shards_done} of {now.shards} shards, {now.open_shards} begun; {now.media_seconds / 60:.1f} min of media",
    ]
    if now.complete:
        lines.append(
            "complete"
            + (f"; run the failures again: emofuse batch {job.folder}/failed.jsonl --out …" if now.failed else "")
        )
    else:
        lines.append(f"go on: emofuse batch --resume --out {job.folder}")
    return "\n".join(lines)
