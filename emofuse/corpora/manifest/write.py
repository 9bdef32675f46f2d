"""Manifest writer: utterances as a table that `emofuse train` reads."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from emofuse.corpora.manifest.formulas import guarded
from emofuse.corpora.manifest.rows import COLUMNS
from emofuse.errors import DataError
from emofuse.files import replacing
from emofuse.types import Utterance

OPTIONAL = ("language",)
"""Columns that are written only where they hold something."""


def write_manifest(utterances: Iterable[Utterance], path: str | Path, columns: tuple[str, ...] = ()) -> Path:
    """Write a CSV or JSONL manifest, whole or not at all; media is relative to its folder where that is possible.

    `columns` adds (empty) label columns to fill in. Raises DataError for another ending.
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise DataError(f"a manifest is written as .csv or .jsonl, not {path.name!r}")
    rows = [_row(u, path.parent) for u in utterances]
    labels = dict.fromkeys((*columns, *(key for row in rows for key in row if key not in COLUMNS)))
    told = [c for c in COLUMNS if c not in OPTIONAL or any(row[c] is not None for row in rows)]
    header = (*told, *labels)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        if path.suffix.lower() == ".csv":
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows([_cell(row.get(name)) for name in header] for row in rows)
        else:
            for row in rows:
                filled = {name: row[name] for name in header if row.get(name) is not None}
                file.write(json.dumps(filled, ensure_ascii=False) + "\n")
    return path


def _row(utterance: Utterance, folder: Path) -> dict[str, Any]:
    media = utterance.media
    return {
        "id": utterance.id,
        "media": None if media is None else Path(os.path.relpath(media, folder)).as_posix(),
        "start": utterance.start,
        "end": utterance.end,
        "text": utterance.text,
        "speaker": utterance.speaker,
        "dialogue": utterance.dialogue,
        "split": utterance.split,
        "language": utterance.language,
        **{k: dict(v) if hasattr(v, "items") else v for k, v in utterance.labels.items()},  # type: ignore[call-overload]
    }


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else guarded(value)
