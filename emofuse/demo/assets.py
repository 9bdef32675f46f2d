"""Assets: the script's modules and the examples, served beside the page; a fixed list, read from nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.responses import FileResponse, PlainTextResponse, Response

from emofuse.demo import samples
from emofuse.demo.texts import STATIC

PLACE = "/emofuse/"
"""The folder, as seen from the page."""
ADDRESS = re.compile(r"/emofuse/(js|samples)/[a-z]+\.[a-z0-9]+")
"""What an asset's address looks like."""
_TYPES = {
    ".js": "text/javascript; charset=utf-8", ".mp4": "video/mp4", ".flac": "audio/flac", ".jpg": "image/jpeg",
    ".png": "image/png", ".srt": "text/plain; charset=utf-8",
}  # fmt: skip


def assets() -> dict[str, Path]:
    """Address → file of everything that is served beside the page."""
    scripts = {f"{PLACE}js/{path.name}": path for path in (STATIC / "js").glob("*.js")}
    return scripts | {f"{PLACE}samples/{name}": path for name, path in samples.served().items()}


def answer(found: dict[str, Path], address: str) -> Response:
    """One of the assets; 404 for anything else."""
    path = found.get(address)
    if path is None:
        return PlainTextResponse("there is nothing here", 404)
    return FileResponse(path, media_type=_TYPES[path.suffix], headers={"cache-control": "no-cache"})
