"""A live session: the last seconds predicted over and over, in whatever format the microphone gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import resample_poly

from emofuse.demo.live import Live
from emofuse.demo.settings import Settings


@pytest.fixture
def live(pipeline) -> Live:
    """A session that looks back 4 s and shows 10."""
    return Live(pipeline, Settings(live_window=4.0, live_shown=10.0))


def stereo(voice: np.ndarray) -> np.ndarray:
    """The voice as Gradio's microphone gives it: int16, two channels, 48 kHz."""
    sound = np.round(resample_poly(voice.astype(np.float64), 3, 1) * 32767).clip(-32768, 32767).astype(np.int16)
    return np.stack([sound, sound], axis=1)


def test_chunks_are_predicted_as_the_whole_they_make(live, pipeline, voice):
    sound = stereo(voice)[: 48_000 * 3]
    shown = None
    for second in range(3):
        shown = live.hear(48_000, sound[48_000 * second : 48_000 * (second + 1)], now=100.0 + second)
    whole = pipeline(audio=(48_000, sound[:, 0].astype(np.float32) / 32768)).overall.emotions
    assert shown["points"][-1]["emotions"] == pytest.approx(list(whole.values()), abs=1e-3)
    assert [point["at"] for point in shown["points"]] == [0.0, 1.0, 2.0]
    assert shown["present"] == ["speech"] and shown["latency"] > 0 and shown["median"] > 0 and shown["still"] is None


def test_only_the_last_seconds_count_and_only_they_are_kept(live, pipeline, voice):
    sound = stereo(voice)
    shown = None
    for start in range(0, len(sound), 48_000):
        shown = live.hear(48_000, sound[start : start + 48_000], now=start / 48_000)
    assert sum(len(chunk) for chunk in live.session.chunks) == 4 * 48_000
    expected = pipeline(audio=(48_000, sound[-4 * 48_000 :])).overall.emotions
    assert shown["points"][-1]["emotions"] == list(expected.values())


def test_silence_is_listened_to_and_the_timeline_rolls(live):
    quiet = np.zeros((8_000, 1), np.int16)
    for tick in range(14):
        shown = live.hear(16_000, quiet, now=float(tick))
    assert shown["points"][-1]["emotions"] is None and shown["present"] == []
    assert [point["at"] for point in shown["points"]] == [float(at) for at in range(3, 14)]


def test_a_microphone_that_changes_its_format_starts_anew(live, voice):
    live.hear(48_000, stereo(voice)[:48_000], now=0.0)
    live.hear(16_000, np.zeros((16_000, 1), np.int16), now=1.0)
    assert len(live.session.chunks) == 1


def test_the_camera_is_predicted_with_the_voice_or_alone(live, samples, voice):
    from emofuse.media.image import read_image

    face = read_image(samples / "face.jpg")
    alone = live.see(face, now=0.0)
    assert alone["present"] == ["face"] and len(alone["still"]["boxes"]) == 1
    both = live.hear(16_000, np.round(voice[:48_000] * 32767).astype(np.int16)[:, None], now=0.5)
    assert both["present"] == ["speech", "face"] and set(both["points"][-1]["unimodal"]) == {"speech", "face"}
    assert live.see(face, True, now=1.0) is None
    blurred = live.hear(16_000, np.zeros((1600, 1), np.int16), now=1.2)
    assert blurred["still"]["src"] != alone["still"]["src"]
    later = live.hear(16_000, np.zeros((1600, 1), np.int16), now=9.0)
    assert later["still"] is None
