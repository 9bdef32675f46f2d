"""Keys: who may call, kept as hashes, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emofuse.errors import EmofuseError
from emofuse.files import write_file

PREFIX = "ef_"
"""How a key begins, so that one that leaked can be searched for."""
NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_LINE = re.compile(r"(?P<name>\S+)\s+sha256:(?P<hash>[0-9a-f]{64})(\s+(?P<quota>\d+(\.\d+)?))?")
VALID = (
    "a line a key: NAME sha256:HASH [media-seconds an hour]; write one with emofuse serve --keys FILE --new-key NAME"
)


@dataclass(frozen=True)
class Caller:
    """Whoever sends a request: the name of a key, or an address."""

    name: str
    quota: float | None = None
    """Media-seconds an hour; None = that of the service."""


@dataclass(frozen=True)
class KeyRing:
    """The keys of a file. A key has 256 random bits, so that one round of SHA-256 is enough to keep it."""

    callers: tuple[tuple[str, Caller], ...]
    """(hash of the key, whose it is)."""

    @classmethod
    def read(cls, path: Path) -> KeyRing:
        """Raises EmofuseError for a file that is not there or holds anything but keys."""
        ring = cls.parse(_text(path), path)
        if not ring.callers:
            raise EmofuseError(f"{path} holds no key, so nobody could call; valid: {VALID}")
        return ring

    @classmethod
    def parse(cls, text: str, path: Path) -> KeyRing:
        """The keys of a file's text, of which there may be none. Raises EmofuseError for anything but keys."""
        found: list[tuple[str, Caller]] = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            match = _LINE.fullmatch(line.strip())
            if match is None:
                raise EmofuseError(f"{path}, line {number} is not a key; valid: {VALID}")
            quota = match["quota"]
            found.append((match["hash"], Caller(match["name"], float(quota) if quota else None)))
        return cls(tuple(found))

    def caller(self, key: str) -> Caller | None:
        """Whose key it is; every hash is compared, whichever is right, each in constant time."""
        given, owner = _hash(key), None
        for kept, caller in self.callers:
            if hmac.compare_digest(kept, given):
                owner = caller
        return owner

    def named(self, name: str) -> Caller:
        """Whose key has this name; of one that was deleted, somebody without a quota of its own."""
        return next((caller for _, caller in self.callers if caller.name == name), Caller(name))


def add_key(path: Path, name: str, quota: float | None = None) -> str:
    """Write a new key's hash to the file, and return the key, which is kept nowhere. Raises EmofuseError."""
    if not NAME.fullmatch(name):
        raise EmofuseError(f"{name[:80]!r} cannot name a key; valid: up to 64 letters, digits and _ . @ -")
    if quota is not None and not (math.isfinite(quota) and quota > 0):
        raise EmofuseError(f"a quota of {quota} media-seconds is none; give a number above 0, or none for no limit")
    before = _text(path) if path.exists() else ""
    if any(caller.name == name for _, caller in KeyRing.parse(before, path).callers):
        raise EmofuseError(f"{path} has a key named {name!r} already; delete its line, or take another name")
    key = PREFIX + secrets.token_urlsafe(32)
    line = f"{name} sha256:{_hash(key)}" + (f" {np.format_float_positional(quota, trim='-')}" if quota else "")
    write_file(path, f"{before.rstrip()}\n{line}\n".lstrip())
    path.chmod(0o600)
    return key


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EmofuseError(f"cannot read the keys {str(path)!r}: {error}; valid: {VALID}") from None


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
