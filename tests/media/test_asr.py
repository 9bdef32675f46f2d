"""Speech recognition with the weights that the extra `asr` brings, and without them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from emofuse.corpora.registry import read
from emofuse.errors import MediaError, MissingExtraError
from emofuse.media.asr import AUTO, EMBEDDED, check_language, check_recogniser, find_recogniser, transcribe
from emofuse.media.decode import read_audio
from emofuse.media.reader import MediaOptions, segments

needs_weights = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("faster_whisper", EMBEDDED)),
    reason="the extra asr is not installed",
)


@pytest.fixture
def embedded() -> str:
    model = find_recogniser(AUTO)
    assert model is not None
    return model


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    absent = {"faster_whisper", EMBEDDED}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in absent else found(name, *rest))


@pytest.mark.usefixtures("without_extra")
def test_without_the_extra_auto_finds_none_and_a_name_says_what_to_install() -> None:
    assert find_recogniser(AUTO) is None
    with pytest.raises(MissingExtraError, match=r"faster_whisper.*pip install 'emofuse\[asr\]'"):
        find_recogniser("small")
    with pytest.raises(MissingExtraError, match=r"emofuse\[asr\]"):
        transcribe(np.zeros(16_000, np.float32), "tiny-of-nowhere")


@pytest.mark.usefixtures("without_extra")
def test_the_reader_refuses_before_it_reads(real_clip: Path) -> None:
    with pytest.raises(MissingExtraError, match=r"emofuse\[asr\]"):
        segments(real_clip, options=MediaOptions(asr="tiny"))


def test_none_is_none() -> None:
    assert find_recogniser("none") is find_recogniser(None) is None


@needs_weights
def test_words_of_the_real_clip_with_their_seconds(real_clip: Path, embedded: str) -> None:
    words = transcribe(read_audio(real_clip), embedded, start=100.0).words
    assert {"kids", "door"} <= {word.text.strip(".,").lower() for word in words}
    assert all(100.6 < word.start <= word.end < 103.0 for word in words)


@needs_weights
def test_a_raw_clip_has_words_a_voice_and_a_face(real_clip: Path, embedded: str) -> None:
    (segment,) = segments(real_clip, options=MediaOptions(asr=embedded))
    assert segment.present == {"text", "speech", "face"}


@needs_weights
def test_german_is_not_read_as_english_words(corpora_root: Path, embedded: str) -> None:
    """The first utterance of a development speaker; told that it is English, the recogniser takes it for that."""
    utterance = next(iter(read("emodb", corpora_root / "emodb", "dev").utterances))
    notes: list[str] = []
    found = list(segments(utterance.media, options=MediaOptions(asr=embedded), notes=notes))
    assert [note.code for note in notes if "unsure" in note] == ["words_doubtful"]
    assert all(segment.words is None or not segment.words for segment in found)
    told = list(segments(utterance.media, options=MediaOptions(asr=embedded, language="en")))
    assert any(segment.words for segment in told)


@needs_weights
def test_a_language_that_the_recogniser_does_not_know(embedded: str) -> None:
    with pytest.raises(MediaError, match="knows English alone, and the language given is 'de'"):
        transcribe(np.zeros(16_000, np.float32), embedded, language="de")
    with pytest.raises(MediaError, match="knows English alone, and the language given is 'de'"):
        check_recogniser(embedded, "de")
    check_recogniser(embedded, "en")


@needs_weights
def test_a_language_that_a_recogniser_of_many_does_not_know() -> None:
    from faster_whisper.tokenizer import _LANGUAGE_CODES  # pyright: ignore[reportMissingImports]

    check_language("small", "de", _LANGUAGE_CODES)
    with pytest.raises(MediaError, match=r"'small' knows no language 'german'; .*valid: af, am, "):
        check_language("small", "german", _LANGUAGE_CODES)
