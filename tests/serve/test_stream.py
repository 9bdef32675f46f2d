"""Sound in as it is recorded, predictions out: over a real WebSocket."""

from __future__ import annotations

import contextlib
import fractions
import json
import time

import av
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from emofuse.errors import MediaError
from emofuse.media.decode import read_audio
from emofuse.pipeline.live import LiveSession
from emofuse.serve.keys import add_key


@pytest.fixture(scope="module")
def voice(clip) -> np.ndarray:
    """The clip's voice, 16-bit at 16 kHz."""
    return np.round(read_audio(clip) * 32767).clip(-32768, 32767).astype(np.int16)


@contextlib.contextmanager
def opened(running, **opening):
    """A stream that has been opened."""
    with connect(running.url.replace("http", "ws") + "/v1/stream", max_size=None) as socket:
        socket.send(json.dumps(opening))
        yield socket


def answers(socket) -> list[dict]:
    """What comes until the stream is closed."""
    found = []
    try:
        while True:
            found.append(json.loads(socket.recv(timeout=60)))
    except ConnectionClosed:
        return found


def test_the_last_answer_is_that_of_the_pipeline_for_the_last_seconds(serve, pipeline, voice):
    running = serve(stream_window=3.0)
    with opened(running, format="pcm16", rate=16_000) as socket:
        for start in range(0, len(voice), 1600):
            socket.send(voice[start : start + 1600].tobytes())
        socket.send('{"type": "end"}')
        found = answers(socket)
    assert found[0] == {"type": "ready"} and {each["type"] for each in found[1:]} == {"prediction"}
    times = [each["at"] for each in found[1:]]
    assert times == sorted(times) and times[-1] == pytest.approx(len(voice) / 16_000, abs=1e-3)
    expected = pipeline(audio=(16_000, voice[-48_000:])).overall
    assert list(found[-1]["overall"]["emotions"].values()) == pytest.approx(list(expected.emotions.values()), abs=1e-6)


def test_a_stream_outlives_the_time_that_headers_have(serve, voice):
    """All streams ended after the 20 seconds within which the headers of a connection must have come."""
    running = serve(header_seconds=0.5)
    with opened(running) as socket:
        assert json.loads(socket.recv(timeout=20)) == {"type": "ready"}
        time.sleep(1.0)
        socket.send(voice[:32_000].tobytes())
        socket.send('{"type": "end"}')
        assert answers(socket)[-1]["type"] == "prediction"


def test_opus_is_heard_as_the_sound_that_was_encoded(serve, voice):
    from scipy.signal import resample_poly

    running = serve()
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    encoder.time_base = fractions.Fraction(1, 48_000)
    sound = resample_poly(voice[:48_000].astype(float), 3, 1).clip(-32768, 32767).astype(np.int16)
    with opened(running, format="opus") as socket:
        for start in range(0, len(sound) - 959, 960):
            frame = av.AudioFrame.from_ndarray(sound[None, start : start + 960], format="s16", layout="mono")
            frame.sample_rate, frame.pts = 48_000, start
            for packet in encoder.encode(frame):
                socket.send(bytes(packet))
        socket.send('{"type": "end"}')
        found = answers(socket)
    assert found[-1]["at"] == pytest.approx(3.0, abs=0.05) and found[-1]["overall"]["present"] == ["speech"]


def test_an_error_of_an_answer_is_told_while_sound_still_comes(serve, voice, monkeypatch):
    def answer(_: LiveSession) -> None:
        raise MediaError("it cannot be read")

    running = serve()
    monkeypatch.setattr(LiveSession, "answer", answer)
    with opened(running) as socket:
        socket.send(voice[:16_000].tobytes())
        found = answers(socket)  # nothing more is sent, not even the end
        assert (found[-1]["code"], found[-1]["message"]) == ("unreadable", "it cannot be read")
        assert socket.close_code == 1003


@pytest.mark.parametrize(
    ("opening", "then", "code", "told"),
    [
        ('{"format": "mp3"}', None, "invalid", "; format: Input should be 'pcm16' or 'opus'"),
        ("[" * 5000, None, "invalid", "any of format, rate, channels, key"),
        ('{"rate": 1}', None, "invalid", "; rate: Input should be greater than or equal to 8000"),
        ("{}", b"odd", "unreadable", "no whole number of 16-bit samples"),
        ("{}", "hello", "invalid", "binary messages of sound"),
        ('{"format": "opus"}', b"\xff" * 50, "unreadable", "no packet of opus"),
    ],
)
def test_what_is_no_stream_is_closed_with_its_reason(running, opening, then, code, told):
    with connect(running.url.replace("http", "ws") + "/v1/stream") as socket:
        socket.send(opening)
        if then is not None:
            socket.send(then)
        found = answers(socket)
        assert found[-1]["type"] == "error" and found[-1]["code"] == code and told in found[-1]["message"]
        assert socket.close_code in (1003, 1008)


def test_keys_places_and_quotas_hold_for_streams(serve, tmp_path, voice):
    key = add_key(tmp_path / "keys", "ann", 2)
    running = serve(keys=tmp_path / "keys", streams=1)
    with opened(running) as stranger:
        assert answers(stranger)[-1]["code"] == "unauthorized"
    with opened(running, key=key) as socket:
        assert json.loads(socket.recv(timeout=30)) == {"type": "ready"}
        with opened(running, key=key) as second:
            assert answers(second)[-1]["code"] == "too_many" and second.close_code == 1013
        socket.send(voice[: 16_000 * 3].tobytes())
        assert answers(socket)[-1]["code"] == "quota"


def until_refused(socket, messages, seconds: float = 20) -> tuple[str, float]:
    """The code of the error that ends a stream to which messages are sent again and again, and after how long."""
    began, found = time.monotonic(), []
    while time.monotonic() - began < seconds:
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                socket.send(message)
        with contextlib.suppress(TimeoutError):
            found.append(json.loads(socket.recv(timeout=0.1)))
        if found and found[-1]["type"] == "error":
            return found[-1]["code"], time.monotonic() - began
    raise AssertionError(f"still open after {seconds} s: {found[-1:]}")


def test_messages_without_sound_do_not_keep_a_stream_open(serve, voice, monkeypatch):
    monkeypatch.setattr("emofuse.serve.routes.stream.SILENT", 1.5)
    running = serve()
    with opened(running) as socket:
        code, seconds = until_refused(socket, [b""])
    assert code == "slow" and 1.4 < seconds < 10
    with opened(running) as socket:
        for _ in range(4):  # three seconds, with sound in each
            socket.send(voice[:800].tobytes())
            time.sleep(0.75)
        socket.send('{"type": "end"}')
        assert answers(socket)[-1]["type"] == "prediction"


def test_a_stream_ends_by_the_clock_however_little_is_said(serve, voice, monkeypatch):
    monkeypatch.setattr("emofuse.serve.routes.stream.SILENT", 1.5)
    running = serve(stream_minutes=1 / 60)
    with opened(running) as socket:
        code, seconds = until_refused(socket, [voice[:16].tobytes()])
    assert code == "too_large" and 2 < seconds < 12


def test_one_caller_has_its_share_of_the_streams(serve, tmp_path):
    keys = [add_key(tmp_path / "keys", name) for name in ("ann", "bob")]
    running = serve(keys=tmp_path / "keys", streams=4)
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            mine = stack.enter_context(opened(running, key=keys[0]))
            assert json.loads(mine.recv(timeout=30)) == {"type": "ready"}
        third = answers(stack.enter_context(opened(running, key=keys[0])))[-1]
        assert third["code"] == "too_many" and "you have 2 streams open" in third["message"]
        other = stack.enter_context(opened(running, key=keys[1]))
        assert json.loads(other.recv(timeout=30)) == {"type": "ready"}
    until = time.monotonic() + 20
    while running.service.streams:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_who_vanishes_frees_the_place(serve, voice):
    import time

    running = serve(streams=1)
    for _ in range(3):
        with opened(running) as socket:
            assert json.loads(socket.recv(timeout=30)) == {"type": "ready"}
            socket.send(voice[:16_000].tobytes())
            socket.socket.shutdown(2)
        until = time.monotonic() + 20
        while running.service.streams:
            assert time.monotonic() < until
            time.sleep(0.01)
