"""Shards: any corpora's examples in tar archives, which may lie at an address and be larger than the disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from emofuse.corpora.corpus import Corpus, Log
from emofuse.corpora.folding import Folding
from emofuse.errors import DataError
from emofuse.types import Shard, Stored, Utterance

INDEX = "index.jsonl"
FORMAT = 1
FIELDS = ("id", "corpus", "split", "speaker", "dialogue", "start", "end", "text", "labels", "language", "face_crop")
"""Of an utterance, as they stand in the index and in the JSON beside the media."""


class Shards(Corpus):
    """What `emofuse data shards` wrote. Options: `address` (where the archives lie, s3://bucket/folder, gs://, https://,
    …; None = beside the index), `cache` (folder of the copies of archives at an address), `disk_gb` (the most that
    it may hold). Labels fold as the corpus that an utterance came from says.
    """

    name = "shards"
    licence = "that of the corpora in them"
    citation = ""
    layout = """
        ROOT/index.jsonl
        and beside it, or at the option address, the archives that it names, as emofuse data shards writes them:
        train-00000.tar, train-00001.tar, …, dev-00000.tar, …
        """
    foldings: ClassVar[Mapping[str, Folding]] = {}

    def scan(
        self,
        root: Path,
        log: Log,
        *,
        address: str | None = None,
        cache: str = ".cache/emofuse/shards",
        disk_gb: float = 20.0,
    ) -> Iterator[Utterance]:
        """Every utterance of the index; archives are looked at only where they lie beside it."""
        if disk_gb <= 0:
            raise DataError(f"shards option disk_gb={disk_gb}; a number of GB above 0")
        index = root / INDEX if root.is_dir() else root
        if not index.is_file():
            why = "it holds no index, which is written last: writing did not end; run emofuse data shards again"
            raise self.layout_error(root, why)
        header, rows = read_index(index)
        limit = round(disk_gb * 1e9)
        shards = {
            name: _beside(index.parent / name, size)
            if address is None
            else Shard(f"{address.rstrip('/')}/{name}", size, cache, limit)
            for name, size in header.items()
        }
        for row in rows:
            yield _utterance(row, shards)


def read_index(path: Path) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Bytes by name of archive, and a row an utterance. Raises DataError where it is no whole index."""
    try:
        first, *rows = (json.loads(line) for line in path.read_text("utf-8").rstrip("\n").split("\n"))
        shards, count, version = dict(first["shards"]), first["examples"], first["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no index of shards ({error}); copy it again") from error
    if version != FORMAT:
        raise DataError(f"{path} has the format {version}, and this version of emofuse reads {FORMAT}: write it again")
    if len(rows) != count:
        raise DataError(f"{path} holds {len(rows)} of {count} rows: it was cut off; copy it again")
    return shards, rows


def _beside(path: Path, size: int) -> Shard:
    there = path.stat().st_size if path.is_file() else None
    if there is None:
        raise DataError(f"no shard {path}; copy it beside its index, or say where it lies by the option address")
    if there != size:
        raise DataError(f"{path} has {there} bytes, not the {size} of its index: it was cut off; copy it again")
    return Shard(str(path), size)


def _utterance(row: Mapping[str, Any], shards: Mapping[str, Shard]) -> Utterance:
    own: dict[str, Any] = {name: row[name] for name in FIELDS if name in row}
    own |= {name: tuple(row[name]) for name in ("context", "after") if name in row}
    if media := row.get("media"):
        stored = Stored(shards[media["shard"]], media["offset"], media["bytes"], media["sha256"])
        own |= {"media": Path(media["shard"], media["name"]), "stored": stored}
    return Utterance(**own)
