"""Repair of text that was decoded wrongly on its way into a corpus."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

_C1 = {c: bytes([c]).decode("cp1252", errors="ignore") or " " for c in range(0x80, 0xA0)}


def repair(text: str) -> str:
    r"""Windows-1252 bytes read as Latin-1 ("\x92") and UTF-8 read as Windows-1252 ("â€™") put right; spaces joined."""
    if "â€" in text or "Ã" in text:
        try:
            text = text.encode("cp1252").decode("utf-8")
        except UnicodeError:
            text = text.replace("â€™", "’")
    return " ".join(text.translate(_C1).split())


def table(path: Path, delimiter: str = ",") -> Iterable[tuple[int, dict[str, str]]]:
    """Rows of a csv file with the number of each (the header is row 1); UTF-8 with or without mark, else cp1252."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    for number, row in enumerate(reader, start=2):
        yield number, {k: (v or "") for k, v in row.items() if k is not None}


def by_share(key: str, share: float) -> bool:
    """Whether a hash of the key falls into this share: a split that never changes where none is published."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") < share * 2**32
