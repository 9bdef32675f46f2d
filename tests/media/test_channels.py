"""Calls with a speaker a channel: who speaks when, what leaks from one channel to the other, and both at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from emofuse.errors import MediaError
from emofuse.media.asr import Heard, Transcriber
from emofuse.media.channels import without_crosstalk
from emofuse.media.decode import read_audio
from emofuse.media.reader import segments
from emofuse.media.segmentation import Span
from emofuse.types import Word

RATE = 16_000
CALLERS = ("agent", "customer")
CALL = """WEBVTT

00:00.600 --> 00:01.800
<v agent>How can I help?

00:02.200 --> 00:03.600
This is terrible.
"""


@pytest.fixture(scope="module")
def sentences(repository: Path) -> list[np.ndarray]:
    """Three spoken sentences."""
    sound = read_audio(repository / "demo" / "samples" / "sample.mp4")
    return [sound[round(a * RATE) : round(b * RATE)] for a, b in ((0.6, 1.8), (2.0, 3.8), (4.0, 6.0))]


def call(sentences: list[np.ndarray], leak: float = 0.0, late: int = 80) -> np.ndarray:
    """agent 0.6–1.8, customer 2.2–4.0, agent 5.0–7.0 and customer from 5.8 on, with each heard in the other channel."""
    agent, customer = np.zeros((2, 8 * RATE), np.float32)
    for channel, start, part in ((agent, 0.6, 0), (customer, 2.2, 1), (agent, 5.0, 2), (customer, 5.8, 0)):
        channel[round(start * RATE) :][: len(sentences[part])] = sentences[part]
    return np.stack([agent + leak * np.roll(customer, late), customer + leak * np.roll(agent, late)])


@pytest.mark.parametrize("leak", [0.0, 0.1, 0.4])
def test_each_channel_is_its_speakers_alone(sentences, leak):
    found = list(segments(audio=(RATE, call(sentences, leak)), channels=["agent", "customer"]))
    assert [s.speaker for s in found] == ["agent", "customer", "agent", "customer"]
    starts = [s.start for s in found]
    assert starts == pytest.approx([0.6, 2.2, 5.0, 5.8], abs=0.35) and starts == sorted(starts)
    assert found[2].end > found[3].start, "two who speak at once keep their own segments"
    for segment in found:
        assert segment.waveform is not None
        assert segment.waveform.size == pytest.approx((segment.end - segment.start) * RATE, abs=2)


def test_cross_talk_is_silenced_and_two_at_once_are_not(sentences):
    channels = call(sentences, leak=0.3)
    apart = without_crosstalk(channels)
    alone = slice(round(0.7 * RATE), round(1.7 * RATE))
    assert np.square(apart[1, alone]).mean() < 0.01 * np.square(channels[1, alone]).mean()
    assert np.square(apart[0, alone]).mean() > 0.95 * np.square(channels[0, alone]).mean()
    both = slice(round(5.9 * RATE), round(6.8 * RATE))
    assert (np.square(apart[:, both]).mean(axis=1) > 0.6 * np.square(channels[:, both]).mean(axis=1)).all()


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_file_gives_what_the_array_gives(sentences, tmp_path, ending):
    channels, path = call(sentences, 0.2), tmp_path / f"call.{ending}"
    soundfile.write(path, channels.T, RATE, subtype="PCM_16")
    (kept, rate) = soundfile.read(path, dtype="float32")
    one = list(segments(path, channels=["agent", "customer"]))
    other = list(segments(audio=(rate, kept), channels=["agent", "customer"]))
    assert [(s.speaker, s.start, s.end) for s in one] == [(s.speaker, s.start, s.end) for s in other]
    for a, b in zip(one, other, strict=True):
        assert a.waveform == pytest.approx(b.waveform, abs=1e-5)


def test_cues_go_to_the_channel_they_name_or_that_is_loud(sentences):
    found = list(segments(audio=(RATE, call(sentences, 0.1)), channels=["Agent", "customer"], transcript=CALL))
    assert [s.speaker for s in found] == ["Agent", "customer"]
    assert [" ".join(w.text for w in s.words) for s in found] == ["How can I help?", "This is terrible."]
    assert found[1].context == ("Agent: How can I help?",)
    assert {w.speaker for s in found for w in s.words} == {"Agent", "customer"}


def test_lines_without_times_are_laid_over_what_their_speaker_says(sentences):
    said = "AGENT: Good morning.\nCUSTOMER: This is terrible, I am so sad.\nAGENT: That is not great."
    found = list(segments(audio=(RATE, call(sentences)), channels=["agent", "customer"], transcript=said))
    assert [s.speaker for s in found] == ["agent", "customer", "agent", "customer"]
    words = {name: [w.text for s in found if s.speaker == name for w in s.words or ()] for name in CALLERS}
    assert words["agent"] == ["Good", "morning.", "That", "is", "not", "great."]
    assert words["customer"] == ["This", "is", "terrible,", "I", "am", "so", "sad."]


def test_only_one_of_them_is_predicted(sentences, tiny_model):
    from emofuse.pipeline.pipeline import Pipeline

    sound = (RATE, call(sentences, 0.1))
    found = Pipeline(tiny_model, "tiny")(audio=sound, channels=["agent", "customer"], only="customer")
    assert {p.speaker for p in found.segments} == {"customer"} and len(found.segments) == 2


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a", "b", "c"], r"channels names 3 speakers \(a, b, c\), and the sound has 2 channel"),
        (["a", "a"], "names 'a' twice"),
        ("agent", r"channels names 1 speakers \(agent\), and the sound has 2"),
    ],
)
def test_names_and_channels_must_agree(sentences, names, said):
    with pytest.raises(MediaError, match=said):
        list(segments(audio=(RATE, call(sentences)), channels=names))


def test_a_text_has_no_channels():
    with pytest.raises(MediaError, match="the sound has no channels"):
        list(segments(text="hello", channels=["a", "b"]))


def test_mono_sound_in_two_channels_is_refused(sentences):
    mono = call(sentences).sum(axis=0)
    with pytest.raises(MediaError, match="the 2 channels of the sound are the same"):
        list(segments(audio=(RATE, np.stack([mono, mono])), channels=["a", "b"]))


def test_who_speaks_at_the_same_time_in_the_other_channel_says_words_of_their_own(sentences, monkeypatch):
    """Both channels speak from the clip's first sample to its last, so that their spans are the same."""
    length = min(map(len, sentences))
    sound = np.stack([sentences[0][:length], sentences[1][:length]])
    heard: list[np.ndarray] = []

    def transcribe(waveform: np.ndarray, model: str, *, language: str | None, start: float) -> Heard:
        heard.append(waveform)
        return Heard((Word(f"said{len(heard)}", start, start + 0.1),))

    monkeypatch.setattr("emofuse.media.asr.transcribe", transcribe)
    transcriber = Transcriber("tiny", None)
    spans = [Span(0.0, 1.0, "speech", name, channel) for channel, name in enumerate(("agent", "customer"))]
    found = [transcriber.words(sound[span.channel], span, True).words[0].text for span in spans]
    assert found == ["said1", "said2"] and not np.array_equal(*heard)
    assert transcriber.words(sound[1], spans[1], True).words[0].text == "said2" and len(heard) == 2
