"""What the example buttons fill in: files that ship with the package, nothing from the network."""

from __future__ import annotations

import shutil
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
FILES = {"clip": "sample.mp4", "speech": "voice.flac", "picture": "face.jpg"}
TEXTS = (
    "We did it! I can't stop smiling, this is the best day of my life.",
    "How dare you read my letters? I have had enough of this!",
    "I am so happy for you both. But I will miss you terribly when you leave. What if we never meet again?",
)


def folder() -> Path | None:
    """Where the samples are: in an installation inside the package, in a clone in demo/samples."""
    homes = (_PACKAGE / "_samples", _PACKAGE.parent / "demo" / "samples")
    return next((home for home in homes if (home / FILES["clip"]).is_file()), None)


def sample(kind: str, into: Path) -> tuple[Path | None, str]:
    """A copy of an example's file in `into`, and the words that go with it."""
    home = folder()
    if home is None or not (home / FILES[kind]).is_file():
        return None, ""
    file = Path(shutil.copyfile(home / FILES[kind], into / FILES[kind]))
    words = (home / FILES[kind]).with_suffix(".srt")
    return file, words.read_text(encoding="utf-8") if words.is_file() else ""
