"""Provenance of a checkpoint: its seeds, and what development data chose of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emofuse.errors import CheckpointError


def provenance(folder: str | Path) -> dict[str, Any]:
    """`seeds` and `dev_chose` of a checkpoint folder by its report.json; None where the report does not say.

    Raises CheckpointError for a report that is damaged.
    """
    path = Path(folder) / "report.json"
    try:
        report: Mapping[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); save the model again, or take the file away") from None
    seed, chose = report.get("seed"), report.get("dev_chose")
    return {"seeds": None if seed is None else [seed], "dev_chose": chose if chose is not None else _older(report)}


def dev_chose(*, epochs: int, temperatures: bool, sets: bool, others: Sequence[str] = ()) -> list[str]:
    """What development data chose in a training: of several epochs one, temperatures, prediction sets, and others."""
    found = {"epoch": epochs > 1, "temperatures": temperatures, "prediction sets": sets}
    return [name for name, holds in found.items() if holds] + list(others)


def sentence(about: Mapping[str, Any]) -> str:
    """Seeds, hashes and what development data chose, in one line, as a report's protocol tells them."""
    seeds, chose = about.get("seeds"), about.get("dev_chose")
    parts = [f"{label} hash {str(about[key])[:12]}" for key, label in HASHES.items() if isinstance(about.get(key), str)]
    parts.append("seed not told by the checkpoint" if seeds is None else f"seed {', '.join(map(str, seeds))}")
    if chose is None:
        parts.append("the checkpoint does not tell what development data chose")
    else:
        parts.append(f"development data chose: {', '.join(chose) or 'nothing'}")
    return "; ".join(parts)


HASHES = {"split_hash": "split", "labels_hash": "labels"}


def _older(report: Mapping[str, Any]) -> list[str] | None:
    """Of a report from before it named them: what its own figures show."""
    if "best_epoch" not in report:
        return None
    epochs = len(report.get("curves", {}).get("epoch", ()))
    calibrated = any(report.get("temperatures", {}).values())
    return dev_chose(epochs=epochs, temperatures=calibrated, sets=calibrated)
