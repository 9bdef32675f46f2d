"""The examples: files that ship with the package, and sentences; nothing from the network."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
FILES = (
    ("clip", "sample.mp4", "sample.srt", "sample.jpg"),
    ("speech", "voice.flac", "", "voice.png"),
    ("picture", "face.jpg", "", "face.jpg"),
)
"""(kind, file, its words, its thumbnail)."""
TEXTS = (
    "We did it! I can't stop smiling, this is the best day of my life.",
    "How dare you read my letters? I have had enough of this!",
    "I am so happy for you both. But I will miss you terribly when you leave. What if we never meet again?",
)


def folder() -> Path | None:
    """Where the samples are: in an installation inside the package, in a clone in demo/samples."""
    homes = (_PACKAGE / "_samples", _PACKAGE.parent / "demo" / "samples")
    return next((home for home in homes if (home / FILES[0][1]).is_file()), None)


def served() -> dict[str, Path]:
    """Name → path of every file of the examples that is there."""
    home = folder()
    names = {name for _, *names in FILES for name in names if name} if home is not None else set()
    return {name: home / name for name in sorted(names) if home is not None and (home / name).is_file()}
