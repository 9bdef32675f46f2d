"""Addresses (s3://, gs://, https://, …): listed and fetched through fsspec and its own packages."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from emofuse.errors import DataError, MediaError, MissingExtraError, first_line
from emofuse.media.formats import existing_file, sidecar_endings, thumbnail_endings

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z\d+.-]*://")
_LONGEST_SUFFIX = 12


def is_address(name: str) -> bool:
    """Whether something is an address, not a path."""
    return _SCHEME.match(name) is not None


def _file_system(address: str) -> tuple[Any, str]:
    """fsspec's file system of an address, and the path in it. Raises MissingExtraError, DataError."""
    from fsspec.core import url_to_fs

    try:
        return url_to_fs(address)
    except ImportError as error:
        raise MissingExtraError(f"cannot open {address}: {first_line(error)}") from error
    except ValueError as error:
        raise DataError(f"cannot open {address}: {first_line(error)}") from error


def expand(address: str, endings: tuple[str, ...]) -> list[tuple[str, str | None]]:
    """(address, that of the transcript beside it) of what a pattern or a folder holds, else the one address itself.

    Raises DataError where nothing is there.
    """
    pattern = any(mark in PurePosixPath(urlsplit(address).path).as_posix() for mark in "*[")
    if address.startswith(("http://", "https://")):
        return [(address, None)]
    system, path = _file_system(address)
    try:
        if pattern:
            found = system.glob(path)
        elif system.isdir(path):
            found = system.find(path)
        else:
            return [(address, None)]
    except Exception as error:  # whatever the package of the store raises
        raise DataError(f"cannot list {address}: {type(error).__name__}: {first_line(error)}") from error
    names = {system.unstrip_protocol(name) for name in sorted(found)}
    clips = sorted(name for name in names if name.lower().endswith(endings))
    if not clips:
        raise DataError(f"{address} holds no media; it should hold files that end in {', '.join(endings)}")
    return [(clip, _words_beside(clip, names)) for clip in clips]


def _words_beside(clip: str, names: Container[str]) -> str | None:
    """The transcript of a clip among the names beside it; see `formats.sidecar_of`."""
    stem, path = clip.rpartition(".")[0], PurePosixPath(clip)
    if any(stem + ending in names for ending in thumbnail_endings(path)):
        return None
    return next((stem + ending for ending in sidecar_endings(path) if stem + ending in names), None)


@contextmanager
def opened(name: str) -> Iterator[IO[bytes]]:
    """The bytes of a path or an address. Raises MediaError, DataError."""
    if not is_address(name):
        with existing_file(name).open("rb") as file:
            yield file
        return
    system, path = _file_system(name)
    try:
        file = system.open(path, "rb")
    except Exception as error:  # whatever the package of the store raises
        raise DataError(f"cannot open {name}: {type(error).__name__}: {first_line(error)}") from error
    with file:
        yield file


@contextmanager
def fetched(address: str, folder: Path) -> Iterator[Path]:
    """A copy of what an address holds, in `folder`, gone when the block ends. Raises MediaError; OSError for a full
    disk."""
    system, path = _file_system(address)
    suffix = PurePosixPath(urlsplit(address).path).suffix
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as home:
        copy = Path(home, f"clip{suffix if len(suffix) < _LONGEST_SUFFIX else ''}")
        with copy.open("wb") as target:
            try:
                source = system.open(path, "rb")
            except Exception as error:
                raise _unreadable(address, error) from error
            with source:
                while block := _block(source, address):
                    target.write(block)
        yield copy


def _block(source: IO[bytes], address: str) -> bytes:
    try:
        return source.read(1 << 20)
    except Exception as error:
        raise _unreadable(address, error) from error


def _unreadable(address: str, error: Exception) -> MediaError:
    return MediaError(f"cannot read {address}: {type(error).__name__}: {first_line(error)}")
