"""Media in shards: read where they lie in a tar archive, of which a copy is fetched where it lies at an address."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

from emofuse.errors import DataError, first_line, require_package
from emofuse.files import home_path, replacing
from emofuse.media.memory import LARGEST, MemoryFile
from emofuse.media.remote import is_address, opened
from emofuse.types import Shard, Stored

AGAIN = 8
"""How often a copy is fetched that another process lets go before it is read."""


def read_stored(stored: Stored, name: str) -> MemoryFile:
    """The bytes of a media file in a shard, under a name. Raises DataError where they are not what was written."""
    if stored.bytes > LARGEST:
        raise DataError(f"{name} has {stored.bytes} bytes; at most {LARGEST} are read from a shard: cut the file")
    data = _bytes(stored)
    if len(data) < stored.bytes:
        raise DataError(
            f"{stored.shard.place} ends within {name}, {len(data)} of {stored.bytes} bytes: it was cut off; copy it "
            "again"
        )
    if hashlib.sha256(data).hexdigest() != stored.sha256:
        raise DataError(
            f"{name} in {stored.shard.place} is not what was written: the shard is damaged or another; copy it and its "
            "index again"
        )
    return MemoryFile(data, name)


def _bytes(stored: Stored) -> bytes:
    for _ in range(AGAIN):
        path = at_hand(stored.shard)
        try:
            with path.open("rb") as file:
                file.seek(stored.offset)
                return file.read(stored.bytes)
        except FileNotFoundError:
            if not is_address(stored.shard.place):
                raise DataError(f"no shard {path}; copy it there, or write the shards again") from None
    raise DataError(
        f"copies of {stored.shard.place} leave {stored.shard.cache} before they are read: raise disk_gb, or use fewer "
        "workers"
    )


def at_hand(shard: Shard) -> Path:
    """The shard on this disk: as it lies there, or a copy of what lies at its address.

    Copies are fetched one at a time, over all processes of a folder, and the least recently used leave first, so that
    the folder never holds more than its limit. Raises DataError where nothing can be fetched, or something else comes.
    """
    if not is_address(shard.place):
        return Path(shard.place)
    require_package("fsspec", "batch")
    require_package("filelock", "batch")
    from filelock import FileLock

    assert shard.cache is not None
    folder = home_path(shard.cache)
    copy = folder / f"{hashlib.sha256(shard.place.encode()).hexdigest()[:16]}.tar"
    with suppress(FileNotFoundError):
        os.utime(copy)
        return copy
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if not copy.is_file():
            _make_room(folder, shard)
            _fetch(shard, copy)
    return copy


def _make_room(folder: Path, shard: Shard) -> None:
    """Let the least recently used copies leave until the shard fits."""
    if shard.bytes > shard.limit:
        raise DataError(
            f"{shard.place} has {shard.bytes} bytes, and {folder} may hold {shard.limit}: raise disk_gb, or write "
            "smaller shards"
        )
    held = sorted((p.stat().st_mtime_ns, p.stat().st_size, p) for p in folder.glob("*.tar"))
    over = sum(size for _, size, _ in held) + shard.bytes - shard.limit
    for _, size, path in held:
        if over <= 0:
            break
        path.unlink(missing_ok=True)
        over -= size


def _fetch(shard: Shard, copy: Path) -> None:
    """Copy what lies at the address, whole or not at all."""
    with replacing(copy) as temporary:
        try:
            with opened(shard.place) as source, temporary.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except DataError:
            raise
        except Exception as error:  # whatever the package of the store raises
            raise DataError(f"cannot read {shard.place}: {type(error).__name__}: {first_line(error)}") from error
        came = temporary.stat().st_size
        if came != shard.bytes:
            raise DataError(
                f"{shard.place} has {came} bytes, not the {shard.bytes} of its index: it was cut off, or is another; "
                "copy it there again"
            )
