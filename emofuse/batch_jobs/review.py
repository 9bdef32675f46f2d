"""Review queue of a job: the segments that somebody should look at, as a manifest whose labels are to be filled in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emofuse.batch_jobs.job import Job
from emofuse.batch_jobs.plan import Item
from emofuse.corpora.manifest.write import write_manifest
from emofuse.errors import DataError
from emofuse.media.formats import TEXT_SUFFIXES, kind_of
from emofuse.media.remote import is_address
from emofuse.media.transcript import spread
from emofuse.model.conformal import FILE as CONFORMAL
from emofuse.model.conformal import ConformalTable, load_conformal
from emofuse.model.folder import locate
from emofuse.pipeline.conversation.acts import Act
from emofuse.pipeline.conversation.apply import Referee
from emofuse.pipeline.formats import from_row
from emofuse.pipeline.rules import Rules
from emofuse.pipeline.sets import sets_of
from emofuse.types import Segment, Utterance

EMOTION = "emotion"


@dataclass(frozen=True)
class Queued:
    """A segment to look at."""

    utterance: Utterance
    """Its label of the emotion is empty; `guess` is what the model says."""
    why: tuple[str, ...]
    sure: float
    """The probability of the leading emotion."""


@dataclass(frozen=True)
class Queue:
    """What was written."""

    path: Path
    rows: int
    why: dict[str, int]
    """Reason → segments; one may have several."""
    looked_at: int
    unreachable: int
    """Segments that belong in it and were left out: of an address, which a manifest cannot hold."""


def write_queue(
    folder: Path,
    out: Path,
    *,
    coverage: float = 0.9,
    acts: Sequence[Act] = (),
    rules: Rules | None = None,
    most: int | None = None,
) -> Queue:
    """Write the segments of a job that abstain at a coverage, are unlike training, or meet an act or a rule.

    The least sure come first; `most` keeps so many. Raises DataError where there is no job, or nothing in it.
    """
    job = Job(folder)
    found, looked_at, unreachable = [], 0, 0
    for item, rows in _clips(job):
        reasons = reasons_of(rows, _conformal(job), coverage, acts, rules)
        looked_at += len(rows)
        for number, (row, why) in enumerate(zip(rows, reasons, strict=True)):
            if why and is_address(item.media or ""):
                unreachable += 1
            elif why:
                found.append(_queued(item, number, row, why))
    if not looked_at:
        raise DataError(f"{folder} holds no predictions yet; run the job first: emofuse batch --resume --out {folder}")
    chosen = sorted(_told_apart(found), key=lambda each: each.sure)[:most]
    write_manifest((each.utterance for each in chosen), out, (EMOTION, "guess", "why"))
    return Queue(out, len(chosen), dict(Counter(w for each in chosen for w in each.why)), looked_at, unreachable)


def reasons_of(
    rows: Sequence[Mapping[str, Any]],
    conformal: ConformalTable,
    coverage: float,
    acts: Sequence[Act] = (),
    rules: Rules | None = None,
) -> list[tuple[str, ...]]:
    """Why each segment of a clip, in their order, should be looked at; () = it need not be.

    Acts and rules that the job applied count as they fired; `acts` and `rules` are applied to what it kept.
    """
    referee, found = Referee(acts), []
    for row in rows:
        said = from_row(row)
        sets = sets_of(said, conformal, coverage)
        why = ["abstained"] if sets.get(EMOTION) == () else []
        why += [f"unfamiliar {modality}" for modality in sorted(said.unfamiliar)]
        why += [f"act {firing['act']}" for firing in row.get("acts") or ()]
        why += [f"rule {name}" for name in said.rules]
        if rules:
            why += [f"rule {name}" for name in rules.over(said, _segment(row)).rules]
        if acts and said.present & {"text", "speech"}:
            firings = referee.turn(replace(said, sets=sets), row.get("text") or "", said.start)
            why += [f"act {firing.act}" for firing in firings]
        found.append(tuple(dict.fromkeys(why)))
    return found


def _segment(row: Mapping[str, Any]) -> Segment:
    """As much of it as rules read."""
    return Segment(
        str(row.get("id")), row["start"], row["end"], spread(row.get("text") or "", row["start"], row["end"])
    )


def _conformal(job: Job) -> ConformalTable:
    """Of the job's model, without its weights."""
    path = locate(job.options.model) / CONFORMAL
    return load_conformal(path) if path.is_file() else {}


def _clips(job: Job) -> Iterator[tuple[Item, list[dict[str, Any]]]]:
    """Each clip that was read, with its rows of segments in their order."""
    import pyarrow.parquet as parquet

    for shard in (s for s in job.shards if job.done(s)):
        with parquet.ParquetFile(job.part("segments", shard)) as file:
            rows = file.read([n for n in file.schema_arrow.names if n != "embedding"]).to_pylist()
        by_clip: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            rest = json.loads(row.pop("more") or "{}")
            by_clip.setdefault(row["id"], []).append(row | rest)
        for item in job.read(shard):
            if item.id in by_clip:
                yield item, by_clip[item.id]


def _queued(item: Item, number: int, row: Mapping[str, Any], why: tuple[str, ...]) -> Queued:
    emotions = from_row(row).emotions or {}
    guess = max(emotions, key=lambda name: emotions[name]) if emotions else ""
    media = None if item.media is None or item.media.lower().endswith(TEXT_SUFFIXES) else Path(item.media).absolute()
    timed = media is not None and kind_of(media) != "picture" and row["end"] > row["start"]
    utterance = Utterance(
        id=f"{item.id}#{number}",
        corpus="manifest",
        split="train",
        speaker=row.get("speaker") or item.speaker or item.id,
        media=media,
        start=row["start"] if timed else None,
        end=row["end"] if timed else None,
        text=row.get("text") or None,
        labels={EMOTION: "", "guess": guess, "why": "; ".join(why)},
    )
    return Queued(utterance, why, max(emotions.values(), default=0.0))


def _told_apart(found: Sequence[Queued]) -> Iterator[Queued]:
    """One of those that a manifest could not tell apart: of several faces in one segment, the first."""
    seen = set()
    for each in found:
        u = each.utterance
        key = (u.media, u.start, u.end, u.text, u.speaker)
        if key not in seen and (u.media is not None or u.text):
            seen.add(key)
            yield each
