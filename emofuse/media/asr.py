"""Speech recognition: the words of a waveform and their seconds, by faster-whisper."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float32

from emofuse.errors import MediaError, require_package
from emofuse.types import Word


@lru_cache(maxsize=1)
def _recogniser(model: str, device: str) -> Any:
    require_package("faster_whisper", "asr")
    from faster_whisper import WhisperModel  # pyright: ignore[reportMissingImports]

    try:
        return WhisperModel(model, device=device, compute_type="default")
    except (OSError, RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise MediaError(
            f"the speech recogniser {model!r} cannot be loaded ({said}); give the hub id of a faster-whisper model "
            "(for example 'small' or 'Systran/faster-whisper-small') or the folder of one"
        ) from error


def transcribe(
    waveform: Float32[np.ndarray, " samples"],
    model: str,
    *,
    language: str | None = None,
    start: float = 0.0,
    device: str = "auto",
) -> tuple[Word, ...]:
    """The words said in 16 kHz mono sound, with their seconds (counted from `start`), by faster-whisper.

    `model` is a hub id, a size such as "small", or a local folder; `language` a code such as "en", None = guessed.
    Raises MissingExtraError without the extra `asr`, MediaError when the model cannot be loaded.
    """
    found, _ = _recogniser(str(model), device).transcribe(
        waveform, language=language, word_timestamps=True, condition_on_previous_text=False, beam_size=1
    )
    return tuple(
        Word(word.word.strip(), start + float(word.start), start + float(word.end))
        for part in found
        for word in part.words or ()
        if word.word.strip()
    )
