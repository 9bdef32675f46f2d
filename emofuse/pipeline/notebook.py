"""An analysis in a notebook: player, headline, timeline, table and notes, as one piece of HTML."""

from __future__ import annotations

import base64
import importlib.util
import mimetypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from emofuse import pages
from emofuse.pipeline.overview import columns, headline
from emofuse.types import Prediction

LARGEST = 8_000_000
"""Bytes of a clip that is carried in the notebook; a larger one is played from its path, where the page may read it."""
MOST = 50
"""Rows shown; a table of a long clip is for `to_dataframe`."""


def page(
    title: str,
    overall: Prediction | None,
    segments: Sequence[Prediction],
    words_of: Callable[[Prediction], str],
    notes: Sequence[str],
    source: str | None,
) -> str:
    """The HTML; without matplotlib it has no timeline, and without the file no player."""
    shown = columns(segments[:MOST], words_of)
    return pages.render(
        "analysis.html",
        title=title,
        headline=headline(overall) if overall else "nothing to predict was found",
        player=player(source),
        timeline=_timeline(segments),
        header=list(shown),
        rows=list(zip(*shown.values(), strict=True)),
        rest=max(0, len(segments) - MOST),
        notes=notes,
    )


def player(source: str | None) -> dict[str, Any] | None:
    """Element and address of what plays the clip: the file itself where it is small, else its path."""
    path = Path(source) if source else None
    if path is None or not path.is_file():
        return None
    kind = mimetypes.guess_type(path.name)[0] or ""
    element = {"video": "video", "audio": "audio", "image": "img"}.get(kind.partition("/")[0])
    if element is None:
        return None
    small = path.stat().st_size <= LARGEST
    data = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}" if small else path.as_posix()
    return {"element": element, "address": data, "name": path.name}


def _timeline(segments: Sequence[Prediction]) -> str | None:
    if len(segments) < 2 or not any(p.end > p.start for p in segments):
        return None
    if importlib.util.find_spec("matplotlib") is None:
        return None
    from emofuse import plots
    from emofuse.pipeline.timeline import figure

    return pages.image(plots.png(figure(segments)), "emotions over time, fused and by modality", width=720)
