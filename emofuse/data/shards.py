"""Shard writer: any corpus's utterances in tar archives of about one size, in WebDataset's layout, with an index."""

from __future__ import annotations

import hashlib
import io
import json
import math
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.corpora.shards import FIELDS, FORMAT, INDEX
from emofuse.data.load import holds_features
from emofuse.errors import DataError
from emofuse.files import check_output_folder, home_path, replacing, write_file
from emofuse.media.decode import read_audio
from emofuse.media.formats import existing_file, kind_of
from emofuse.media.memory import LARGEST
from emofuse.types import SAMPLE_RATE, SPLITS, Utterance

BLOCK = 512
"""Bytes that tar rounds up to."""


@dataclass
class Written:
    """What was written."""

    shards: dict[str, int] = field(default_factory=dict)
    """Bytes by name."""
    rows: list[dict[str, Any]] = field(default_factory=list)


def write_shards(utterances: Iterable[Utterance], out: str | Path, size: int = 500_000_000) -> Written:
    """Write every utterance into archives of about `size` bytes a split, in random order, and last of all the index.

    Each utterance has a number, a NUMBER.json of its labels and words, and its media as NUMBER.ENDING: sound from
    `start` to `end` cut to 16-bit FLAC at 16 kHz, any other file whole, once for all utterances of it. An archive
    appears whole. Raises DataError where the folder holds shards already, or an utterance holds what no shard can, and
    OutputError where there can be no such folder.
    """
    out = home_path(out)
    if (out / INDEX).exists():
        raise DataError(f"{out} holds shards already; choose another folder, or delete them")
    if size < BLOCK:
        raise DataError(f"shards of {size} bytes; a size like 500MB")
    check_output_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    written, rng = Written(), np.random.default_rng(0)
    given = [_checked(u) for u in utterances]
    for split in SPLITS:
        groups = list(_groups([u for u in given if u.split == split]))
        _write_split(split, [groups[i] for i in rng.permutation(len(groups))], out, size, written)
    header = {"format": FORMAT, "examples": len(written.rows), "shards": written.shards}
    lines = (json.dumps(line, ensure_ascii=False) for line in (header, *written.rows))
    write_file(out / INDEX, "\n".join(lines) + "\n")
    return written


def _checked(utterance: Utterance) -> Utterance:
    if utterance.extras or holds_features(utterance):
        raise DataError(f"{utterance.id} holds features or files of other modalities, which shards do not take")
    if utterance.stored:
        raise DataError(f"{utterance.id} is in a shard already; copy the shards, or write them from the corpus")
    if utterance.media is not None and existing_file(utterance.media).stat().st_size > LARGEST:
        raise DataError(f"{utterance.media} is larger than {LARGEST} bytes, which a shard cannot give back: cut it")
    return utterance


def _groups(utterances: Sequence[Utterance]) -> Iterator[list[Utterance]]:
    """Utterances that share their bytes are together: those of one video, of which parts are not cut."""
    shared: dict[Path, list[Utterance]] = {}
    for utterance in utterances:
        if utterance.media is None or _is_cut(utterance):
            yield [utterance]
        else:
            shared.setdefault(utterance.media, []).append(utterance)
    yield from shared.values()


def _is_cut(utterance: Utterance) -> bool:
    part = utterance.start is not None or utterance.end is not None
    return part and utterance.media is not None and kind_of(utterance.media) == "sound"


def _write_split(split: str, groups: Sequence[list[Utterance]], out: Path, size: int, written: Written) -> None:
    left, number = list(reversed(groups)), 0
    while left:
        path = out / f"{split}-{number:05d}.tar"
        with ExitStack() as stack:
            temporary = stack.enter_context(replacing(path))
            archive = stack.enter_context(tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT))
            while left and archive.offset < size:
                _add_group(archive, path.name, left.pop(), written)
        written.shards[path.name] = path.stat().st_size
        number += 1


def _add_group(archive: tarfile.TarFile, shard: str, group: Sequence[Utterance], written: Written) -> None:
    media: dict[str, Any] | None = None
    for utterance in group:
        key = f"{len(written.rows):09d}"
        if media is None and utterance.media is not None:
            ending, data = _media(utterance)
            name = key + ending
            offset = _add(archive, name, data)
            sha256 = hashlib.sha256(data).hexdigest()
            media = {"shard": shard, "name": name, "offset": offset, "bytes": len(data), "sha256": sha256}
        row = _row(utterance, media)
        _add(archive, f"{key}.json", json.dumps(row, ensure_ascii=False).encode())
        written.rows.append(row)


def _media(utterance: Utterance) -> tuple[str, bytes]:
    """The ending and the bytes of its media."""
    assert utterance.media is not None
    if not _is_cut(utterance):
        return utterance.media.suffix.lower(), utterance.media.read_bytes()
    import soundfile

    sound = read_audio(utterance.media, utterance.start, utterance.end)
    if not len(sound):
        raise DataError(f"{utterance.id}: {utterance.media} holds no sound from {utterance.start} to {utterance.end} s")
    file = io.BytesIO()
    soundfile.write(file, sound, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return ".flac", file.getvalue()


def _row(utterance: Utterance, media: dict[str, Any] | None) -> dict[str, Any]:
    cut = _is_cut(utterance)
    row: dict[str, Any] = {f: None if cut and f in ("start", "end") else getattr(utterance, f) for f in FIELDS}
    row["labels"] = {k: dict(v) if isinstance(v, Mapping) else v for k, v in utterance.labels.items()}
    row |= {"context": list(utterance.context), "after": list(utterance.after)}
    return row if media is None else row | {"media": media}


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> int:
    """Add a member; returns where its bytes begin."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))
    return archive.offset - math.ceil(len(data) / BLOCK) * BLOCK
