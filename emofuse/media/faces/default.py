"""The default face detector: BlazeFace, whose weights come with the package."""

from __future__ import annotations

from functools import lru_cache

from emofuse.media.faces.blazeface import BlazeFaceDetector
from emofuse.media.faces.detect import FaceDetector


@lru_cache(maxsize=1)
def default_detector() -> FaceDetector:
    """One for all who ask for none; it serves several threads."""
    return BlazeFaceDetector()
