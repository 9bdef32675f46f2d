"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def corpora_root() -> Path:
    """The folder of real corpora: EMOFUSE_CORPORA, or shared/corpora beside the checkout."""
    root = Path(os.environ.get("EMOFUSE_CORPORA", ROOT.parent / "shared" / "corpora"))
    if not root.is_dir():
        pytest.skip(f"no corpora at {root}; set EMOFUSE_CORPORA to the folder that holds ravdess, meld, …")
    return root


@pytest.fixture(scope="session")
def real_clip(corpora_root: Path) -> Path:
    """A RAVDESS audio-visual clip (actor 01, neutral): a face, a voice, no transcript."""
    clip = corpora_root / "clips" / "01-01-01-01-01-01-01.mp4"
    if not clip.is_file():
        pytest.skip(f"no clip at {clip}")
    return clip


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout the tests run in."""
    return ROOT
