"""Corrections, written as rows of a manifest that `emofuse data check` and `emofuse train` read."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import tempfile
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from emofuse.corpora.manifest.formulas import guarded, unguarded
from emofuse.demo.uploads import open_regular
from emofuse.errors import DataError, nearest
from emofuse.files import write_file
from emofuse.tasks import EMOTIONS

COLUMNS = ("id", "media", "start", "end", "text", "speaker", "emotion")
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Correction:
    """What somebody says it was; without `start` and `end`, the whole of the material."""

    emotion: str
    media: Path | None
    text: str | None
    speaker: str
    """Who contributed it, as a name that says nothing else: everything of one visit stays in one split."""
    start: float | None = None
    end: float | None = None


def save(folder: Path, correction: Correction, consent: str) -> Path:
    """Add a row to `folder`/manifest.csv, with a copy of the media below `folder`/media; returns the manifest.

    `consent` is the sentence that was agreed to; it goes with its time to `folder`/consent.jsonl. A second correction
    of the same stretch replaces the first. Raises DataError for an unknown emotion or where there is nothing to keep,
    and OSError for media that is not a regular file.
    """
    if correction.emotion not in EMOTIONS:
        raise DataError(f"no emotion {correction.emotion!r}; {nearest(correction.emotion, EMOTIONS)}")
    if correction.media is None and not correction.text:
        raise DataError("a correction needs the media or the words that it is about")
    folder.mkdir(parents=True, exist_ok=True)
    media = _keep(folder, correction.media) if correction.media else ""
    with _LOCK:
        row = _row(correction, media)
        manifest = folder / "manifest.csv"
        rows = [old for old in _read(manifest) if old["id"] != row["id"]]
        write_file(manifest, _table([*rows, row]))
        agreed = {"id": row["id"], "time": datetime.now(UTC).isoformat(timespec="seconds"), "consent": consent}
        log = folder / "consent.jsonl"
        before = log.read_text(encoding="utf-8") if log.is_file() else ""
        write_file(log, f"{before}{json.dumps(agreed, ensure_ascii=False)}\n")
    return manifest


def _row(correction: Correction, media: str) -> dict[str, str]:
    times = ["" if at is None else f"{at:.3f}" for at in (correction.start, correction.end)]
    text = " ".join((correction.text or "").split())
    identity = hashlib.sha256("\n".join([media, *times, text, correction.speaker]).encode()).hexdigest()[:16]
    cells = (identity, media, *times, text, correction.speaker, correction.emotion)
    return dict(zip(COLUMNS, cells, strict=True))


def _keep(folder: Path, media: Path) -> str:
    """Copy the media under the hash of its content; the path from the manifest's folder."""
    home, hashed = folder / "media", hashlib.sha256()
    home.mkdir(exist_ok=True)
    with open_regular(media) as file:
        opened, name = tempfile.mkstemp(dir=home, prefix=".")
        part = Path(name)
        try:
            with os.fdopen(opened, "wb") as copy:
                while chunk := file.read(1 << 20):
                    hashed.update(chunk)
                    copy.write(chunk)
            kept = part.replace(home / f"{hashed.hexdigest()[:16]}{media.suffix.lower()}")
        finally:
            part.unlink(missing_ok=True)
    return f"media/{kept.name}"


def _read(manifest: Path) -> list[dict[str, str]]:
    if not manifest.is_file():
        return []
    read = csv.DictReader(io.StringIO(manifest.read_text(encoding="utf-8"), newline=""))
    return [{name: unguarded(cell or "") for name, cell in row.items()} for row in read]


def _table(rows: list[dict[str, str]]) -> str:
    table = io.StringIO(newline="")
    writer: csv.DictWriter[str] = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: guarded(cell) for name, cell in row.items()} for row in rows)
    return table.getvalue()
