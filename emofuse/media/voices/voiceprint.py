"""Voiceprint: a short stretch of one voice as a few numbers in which a speaker's own stretches lie together."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32
from safetensors.numpy import load

from emofuse.files import bundled
from emofuse.media.voices.cepstrum import COEFFICIENTS

FILE = "voiceprint/projection.safetensors"
QUIET = 30.0
"""Decibels below the loud end of a stretch from which a frame is a pause."""


def statistics(frames: Float32[np.ndarray, "frames 25"]) -> Float[np.ndarray, " features"]:
    """Mean and standard deviation of the coefficients over the frames of `cepstra` that are no pause."""
    spoken = frames[~pauses(frames), :COEFFICIENTS].astype(np.float64)
    return np.concatenate([spoken.mean(axis=0), spoken.std(axis=0)])


def pauses(frames: Float32[np.ndarray, "frames 25"]) -> np.ndarray:
    """Which frames are pauses; never all of them."""
    level = frames[:, COEFFICIENTS]
    return level <= np.percentile(level, 95) - QUIET


@lru_cache(maxsize=1)
def projection() -> Float[np.ndarray, "features dims"]:
    """Of statistics onto the directions that tell speakers apart, in which the spread within a speaker is 1.

    Linear discriminant analysis (Fisher 1936) on acted speech of many emotions, so that an angry voice lies beside
    the same voice at ease; `recipes/voiceprint` fits it. Raises `CheckpointError` where the file is not there.
    """
    return load(bundled(FILE).read_bytes())["projection"].astype(np.float64)
