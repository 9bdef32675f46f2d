"""The plan: what was handed in as a table of items with unique ids, cut into shards that do not depend on who works."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emofuse.batch_jobs.manifest import COLUMNS, is_manifest, read_manifest
from emofuse.errors import DataError, MediaError
from emofuse.files import home_path, replacing, well_formed
from emofuse.media.formats import MEDIA_SUFFIXES, TEXT_SUFFIXES, existing_file, sidecar_of
from emofuse.media.remote import expand, is_address
from emofuse.pipeline.sources import CLIP_SUFFIXES, media_in

if TYPE_CHECKING:
    import pyarrow

MIB = 1 << 20
TEXT_WEIGHT = MIB // 16
"""What a text weighs, beside its bytes: a clip of the smallest shard counts as sixteen texts."""
UNKNOWN = 4 * MIB
"""Bytes that something is taken to have that cannot be asked."""
STRETCH = MIB // 4
"""What a second of a stretch of a clip weighs, up to the whole file."""
SMALLEST, LARGEST = 4 * MIB, 64 * MIB
"""Bytes of a shard: a sixty-fourth of the job, from 4 clips or 64 texts to 64 clips or 1,024 texts."""
SHARDS = 64


@dataclass(frozen=True)
class Item:
    """One clip or text of a job."""

    id: str
    media: str | None = None
    text: str | None = None
    transcript: str | None = None
    start: float | None = None
    end: float | None = None
    speaker: str | None = None
    channel: str | None = None
    context: list[str] | None = None
    sidecar: bool = False
    """Whether the transcript was found beside the clip."""
    problem: str | None = None
    """What is wrong with its row."""
    unread: str | None = None
    """The cells of such a row that could not be read, as they came: a JSON object."""
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def weight(self) -> int:
        """Bytes to read, at least those that work on it costs."""
        if self.media is None:
            return TEXT_WEIGHT + len(self.text or "")
        if is_address(self.media):
            return UNKNOWN
        try:
            size = Path(self.media).stat().st_size
        except (OSError, ValueError):
            size = 0
        if self.end is not None:
            size = min(size, round((self.end - (self.start or 0.0)) * STRETCH))
        return TEXT_WEIGHT + size if self.media.lower().endswith(TEXT_SUFFIXES) else max(size, MIB)

    @property
    def bare(self) -> bool:
        """Whether it is a file and nothing else."""
        words = None if self.sidecar else self.transcript
        said = (self.text, words, self.speaker, self.channel, self.context, self.start, self.end, self.problem)
        return not self.extras and all(value is None for value in said)


def gather(inputs: Sequence[str], *, sidecars: bool = True) -> list[Item]:
    """Every item of the inputs, in their order, each file once; with `sidecars`, what lies beside a clip that comes
    without words is its transcript. A table's row that says more than its file is an item of its own.

    Raises DataError, MediaError.
    """
    items: list[Item] = []
    taken: dict[str, int] = {}
    files: set[str | None] = set()
    rows: set[str | None] = set()
    """Files that rows of tables are, and nothing else."""
    for name in map(well_formed, inputs):
        for item, own_id in _items_of(name):
            item = item if sidecars or not item.sidecar else replace(item, transcript=None, sidecar=False)
            table = is_manifest(name)
            if not table or (item.bare and not own_id):
                if item.media in files or (item.media in rows and not table):
                    continue
                (rows if table else files).add(item.media)
            if item.id in taken:
                raise DataError(
                    f"the id {item.id!r} is that of items {taken[item.id] + 1} and {len(items) + 1}; make them differ"
                )
            taken[item.id] = len(items)
            items.append(item)
    if not items:
        raise DataError(f"nothing to analyse in {', '.join(inputs)}: there is no row")
    return items


def _items_of(name: str) -> Iterator[tuple[Item, bool]]:
    """Items, with whether a row gave it the id."""
    if is_manifest(name):
        yield from ((_of_row(row), bool(row["id"])) for row in read_manifest(name))
    elif is_address(name):
        for clip, words in expand(name, CLIP_SUFFIXES):
            yield Item(clip, clip, transcript=words, sidecar=words is not None), False
    else:
        yield from ((_of_file(path), False) for path in _files(name))


def _files(name: str) -> list[Path]:
    """The files a name stands for: itself, the media of a folder, what a pattern matches.

    Raises MediaError where nothing is there: a name that is misspelt begins no job.
    """
    path = home_path(name)
    if path.is_dir():
        return media_in(path)
    if path.exists():
        return [path]
    if not any(mark in name for mark in "*?["):
        return [existing_file(path)]
    found = sorted(Path(p) for p in glob.glob(str(path), recursive=True))  # noqa: PTH207  # of absolute patterns too
    files = [p for p in found if p.is_file() and p.suffix.lower() in MEDIA_SUFFIXES]
    beside = {sidecar_of(p) for p in files}
    if not files:
        raise MediaError(f"nothing matches {name!r}; check the pattern (** goes into folders)")
    return [p for p in files if p not in beside]


def _of_file(path: Path) -> Item:
    given, path = path, path.absolute()
    if well_formed(str(path)) != str(path):
        name, whole = (os.fsencode(one).decode("utf-8", "backslashreplace") for one in (given, path))
        return Item(name, whole, problem=f"cannot read {name}: its name is not UTF-8, which tables hold; rename it")
    words = sidecar_of(path)
    return Item(str(given), str(path), transcript=str(words) if words else None, sidecar=words is not None)


def _of_row(row: dict[str, Any]) -> Item:
    values = {key: row[key] for key in COLUMNS}
    values["id"] = values["id"] or row["default_id"]
    media, words = values["media"], None
    if media is not None and not is_address(media) and values["text"] is None and values["transcript"] is None:
        words = sidecar_of(Path(media), timed=values["start"] is not None or values["end"] is not None)
    values |= {"transcript": str(words), "sidecar": True} if words else {}
    return Item(**values, extras=row["extras"], problem=row["problem"], unread=row["unread"])


def shards(items: Iterable[Item], total: int) -> Iterator[list[Item]]:
    """Items in order, cut where the next would make a shard too heavy; `total`: their weights' sum."""
    limit = min(max(total // SHARDS, SMALLEST), LARGEST)
    shard: list[Item] = []
    weight = 0
    for item in items:
        if shard and weight + item.weight > limit:
            yield shard
            shard, weight = [], 0
        shard.append(item)
        weight += item.weight
    if shard:
        yield shard


def digest_of(shard: Sequence[Item], *more: str) -> str:
    """Eight hexadecimal digits that change with any input of a shard."""
    told = json.dumps([[vars(item) for item in shard], *more], sort_keys=True, default=str)
    return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:8]


def write_plan(path: Path, cut: Sequence[Sequence[Item]]) -> None:
    """The plan as Parquet, a row group a shard."""
    import pyarrow.parquet as parquet

    whole = _table([item for shard in cut for item in shard])
    with replacing(path) as temporary, parquet.ParquetWriter(temporary, whole.schema) as writer:
        start = 0
        for shard in cut:
            writer.write_table(whole.slice(start, len(shard)), row_group_size=len(shard))
            start += len(shard)


def read_shard(path: Path, index: int) -> list[Item]:
    """The items of a shard, from 0 on."""
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(path) as file:
        rows = file.read_row_group(index).to_pylist()
    known = {name: key for key in vars(Item("")) if key != "extras" for name in (key,)}
    return [
        Item(
            **{key: row.get(key) for key in known},
            extras={name[len(EXTRA) :]: value for name, value in row.items() if name.startswith(EXTRA)},
        )
        for row in rows
    ]


EXTRA = "extra."
"""Prefix of the columns of a plan that are carried through."""


def _table(items: Sequence[Item]) -> pyarrow.Table:
    import pyarrow

    text, number, flag = pyarrow.string(), pyarrow.float64(), pyarrow.bool_()
    kinds = {"start": number, "end": number, "sidecar": flag, "context": pyarrow.list_(text)}
    columns = {
        key: pyarrow.array([getattr(item, key) for item in items], kinds.get(key, text))
        for key in vars(Item(""))
        if key != "extras"
    }
    for name in dict.fromkeys(name for item in items for name in item.extras):
        columns[EXTRA + name] = _extra([item.extras.get(name) for item in items])
    return pyarrow.table(columns)


def _extra(values: list[Any]) -> pyarrow.Array:
    """Values of several tables in one type: their own where they share one, else text."""
    import pyarrow

    try:
        found = pyarrow.array(values)
    except (pyarrow.ArrowException, OverflowError):
        found = None
    if found is not None and not pyarrow.types.is_null(found.type) and not _hollow(found.type):
        return found
    return pyarrow.array(
        [None if v is None else v if isinstance(v, str) else _told(v) for v in values], pyarrow.string()
    )


def _told(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, (list, dict)) else str(value)


def _hollow(kind: pyarrow.DataType) -> bool:
    """Whether a type has a structure without a field somewhere in it, which Parquet cannot hold."""
    import pyarrow

    parts = [kind.field(i).type for i in range(kind.num_fields)]
    return (pyarrow.types.is_struct(kind) and not parts) or any(map(_hollow, parts))
