"""The corpora by name: those of this package, of installed packages, and those registered by hand."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from emofuse.corpora.corpus import Corpus, Protocol, Reading
from emofuse.errors import DataError, nearest
from emofuse.types import Split

GROUP = "emofuse.corpora"
"""The entry point group of packages that bring a corpus: its name → module:Class."""
DECLARED = ("name", "licence", "citation", "layout", "foldings")
_registered: dict[str, type[Corpus]] = {}


def corpus(name: str) -> Corpus:
    """A new reader of the corpus. Raises DataError for an unknown name, or a declaration that is not whole."""
    known = _registered.get(name) or _built_in().get(name)
    if known:
        return known()
    plugins = _plugins()
    if name not in plugins:
        raise DataError(f"no corpus {name!r}; {nearest(name, names())}")
    found = plugins[name].load()
    if getattr(found, "name", None) != name:
        raise DataError(f"entry point {name} = {plugins[name].value} of {GROUP} is not a corpus named {name!r}")
    return register(found)()


def names() -> tuple[str, ...]:
    """Every name that `corpus` knows."""
    return tuple(sorted({**_built_in(), **_registered, **_plugins()}))


def register(reader: type[Corpus]) -> type[Corpus]:
    """Make a corpus known by its name in this process; usable as a decorator of its class.

    Raises DataError when its declaration is not whole, or another corpus has the name.
    """
    lacking = [field for field in DECLARED if getattr(reader, field, None) is None]
    if lacking or inspect.isabstract(reader):
        what = ", ".join(lacking) or "scan"
        raise DataError(f"corpus {reader.__name__} declares no {what}; see docs/adding-a-corpus.md")
    other = (_built_in() | _registered).get(reader.name, reader)
    if (other.__module__, other.__qualname__) != (reader.__module__, reader.__qualname__):
        raise DataError(f"{reader.__module__} and {other.__module__} both name a corpus {reader.name!r}; rename one")
    _registered[reader.name] = reader
    return reader


def read(name: str, root: str | Path, split: Split | None = None, **options: Any) -> Reading:
    """The corpus `name` in the folder (for a manifest: the file) `root`."""
    return corpus(name).read(root, split, **options)


def protocol_of(name: str) -> Protocol:
    """The protocol of a corpus; the general one for a name that is none, as of samples put together from several."""
    known = name in _registered or name in _built_in() or name in _plugins()
    return corpus(name).protocol if known else Protocol()


@functools.cache
def _built_in() -> dict[str, type[Corpus]]:
    package = importlib.import_module("emofuse.corpora")
    found: dict[str, type[Corpus]] = {}
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        classes = inspect.getmembers(importlib.import_module(info.name), inspect.isclass)
        own = (c for _, c in classes if issubclass(c, Corpus) and c.__module__ == info.name)
        found |= {c.name: c for c in own if not inspect.isabstract(c)}
    return found


def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
