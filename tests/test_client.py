"""A pipeline that is elsewhere: the same inputs, the same answers to the bit."""

from __future__ import annotations

import http.server
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import fields

import numpy as np
import pytest

from emofuse.client import Client, ServiceError
from emofuse.errors import EmofuseError, MediaError, OutputError
from emofuse.media.decode import read_audio
from emofuse.pipeline.pipeline import Pipeline
from emofuse.serve.app import create_app
from emofuse.serve.server import serving
from emofuse.serve.settings import Settings

TEXT = "I am so happy today! This is terrible. I am sad, so sad."


@pytest.fixture(scope="module")
def pipeline(tiny_pipeline) -> Pipeline:
    """The whole pipeline around a model with random weights."""
    return tiny_pipeline()


@pytest.fixture(scope="module")
def client(pipeline) -> Iterator[Client]:
    """Of a service around it."""
    with serving(create_app(pipeline, Settings())) as url, Client(url) as client:
        yield client


@pytest.fixture
def clip(repository):
    """The clip that comes with the project."""
    return repository / "demo" / "samples" / "sample.mp4"


def assert_equal(found, local) -> None:
    """Every field of two analyses, embeddings by their bytes, notes by their codes."""
    assert found.to_dict() == local.to_dict()
    assert (found.source, found.duration, found.transcript, found.id) == (
        local.source, local.duration, local.transcript, local.id,
    )  # fmt: skip
    assert [getattr(note, "code", None) for note in found.notes] == [getattr(n, "code", None) for n in local.notes]
    left_out = {"acts", "conformal", "overall", "segments", "notes", "speakers", "persons"}
    for field in fields(found):
        if field.name not in left_out:
            assert getattr(found, field.name) == getattr(local, field.name), field.name
    pairs = [(found.speakers[name], p) for name, p in local.speakers.items()]
    pairs += [(found.persons[person], p) for person, p in local.persons.items()]
    pairs += list(zip(found.segments, local.segments, strict=True))
    pairs += [(found.overall, local.overall)] if local.overall else []
    for one, other in pairs:
        for field in fields(one):
            mine, its = getattr(one, field.name), getattr(other, field.name)
            if field.name == "embedding":
                assert mine.dtype == its.dtype and mine.tobytes() == its.tobytes()
            else:
                assert mine == its, field.name


def test_every_kind_of_input_is_answered_to_the_bit(client, pipeline, clip):
    sound = read_audio(clip)[: 16_000 * 3]
    picture = np.random.default_rng(0).integers(0, 255, (60, 64, 3), dtype=np.uint8)
    for inputs in (
        {"text": TEXT},
        {"source": clip, "transcript": clip.with_suffix(".srt")},
        {"source": str(clip), "transcript": "one line\nand another"},
        {"source": clip.read_bytes()},
        {"audio": (16_000, sound), "text": "hello there"},
        {"audio": {"array": sound, "sampling_rate": 16_000}},
        {"image": picture},
        {"text": "ANN: I am so happy!\nBOB: This is terrible.", "only": "ANN", "context": ["BOB: sad"]},
        {"audio": (16_000, np.stack([sound, sound[::-1]])), "channels": ["agent", "customer"]},
        {"text": "so sad", "speaker": "ann"},
    ):
        assert_equal(client(**inputs), pipeline(**inputs))


def test_sets_of_any_coverage_are_made_here(client, pipeline):
    assert client(text=TEXT).at_coverage(0.8).to_dict() == pipeline(text=TEXT).at_coverage(0.8).to_dict()


def test_many_are_answered_in_order_with_errors_in_their_place(client, pipeline, tmp_path, clip):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"x" * 100)
    items = [{"text": "sad", "id": "a"}, broken, {"text": "so happy", "id": 7}, {"wrong": 1}, clip]
    found = client.predict_many(items)
    local = [pipeline.predict_many([item], progress=False)[0] for item in items]  # alone: no batch is shared
    for one, other in zip(found, local, strict=True):
        if isinstance(other, EmofuseError):
            assert isinstance(one, EmofuseError)
        else:
            assert_equal(one, other)
    assert "broken.mp4" in str(found[1]) and found[4].notes[0].code == "sidecar"
    shutil.copy(clip, tmp_path / "other.mp4")
    (tmp_path / "other.srt").write_bytes(b"\0\1\2")
    (found,) = client.predict_many([tmp_path / "other.mp4"])
    assert "it is not text" in str(found) and "was taken for its transcript: mend, rename or remove it" in str(found)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"url": 5}, "5 is no address of a service; give http://HOST:PORT"),
        ({"url": ""}, "'' is no address of a service"),
        ({"url": "localhost:8000"}, "'localhost:8000' is no address of a service"),
        ({"key": 5}, "key is a string as emofuse serve --new-key prints it, not int"),
        ({"timeout": "x"}, "timeout is a number of seconds above 0, or None, not 'x'"),
        ({"tries": -1}, "tries is a whole number from 0 on, not -1"),
    ],
)
def test_a_client_of_nothing_says_what_is_valid(arguments, told):
    with pytest.raises(EmofuseError, match=re.escape(told)):
        Client(**{"url": "http://127.0.0.1:9"} | arguments)


def test_errors_are_those_of_a_pipeline_or_say_what_the_service_said(client, pipeline, tmp_path):
    for inputs in ({"source": tmp_path / "none.mp4"}, {"text": 3}, {}, {"frames": (1, [])}):
        with pytest.raises(MediaError):
            client(**inputs)
    with pytest.raises(ServiceError, match="does not answer"):
        Client("http://127.0.0.1:9", tries=0)(text="hello")
    with pytest.raises(EmofuseError, match="put it in a list"):
        list(client.predict_iter("a.mp4"))
    for window in (0, 1.5, True):
        with pytest.raises(EmofuseError, match="window is a whole number from 1 on"):
            client.predict_iter([], window=window)


def test_what_is_sent_is_not_rendered_over(tmp_path, clip, monkeypatch):
    own = shutil.copy(clip, tmp_path / "c.mp4")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Client, "_sent", lambda *_, **__: pytest.fail("it was sent"))
    with own.open("rb") as file:
        for source in (own, "c.mp4", file):
            with pytest.raises(OutputError, match="it is also an input; name another file"):
                Client("http://127.0.0.1:9").render(source, "./c.mp4")
    assert own.read_bytes() == clip.read_bytes()


@pytest.mark.parametrize("window", [1, 2, 16])
def test_what_an_iterable_raises_comes_after_the_answers_to_what_it_gave(client, window):
    def items():
        yield from ({"id": text, "text": text} for text in ("sad", "great!", "so happy"))
        raise KeyError("row 4")

    found = []
    with pytest.raises(KeyError, match="row 4"):
        for answer in client.predict_iter(items(), window=window):
            found.append(answer.id)
    assert found == ["sad", "great!", "so happy"]


def test_it_comes_back_when_told_to(pipeline, tmp_path, monkeypatch):
    slept: list[float] = []
    app = create_app(pipeline, Settings(working=1, waiting=0))
    app.state.service.admission.taken["somebody"] = 1

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        app.state.service.admission.taken.clear()

    monkeypatch.setattr("emofuse.client.time.sleep", sleep)
    with serving(app) as url, Client(url) as client:
        assert client(text="sad").overall is not None
    assert slept == [1.0]


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[]", b'{"models": []}'])
def test_what_is_no_service_of_ours_is_told(body, monkeypatch):
    """Somebody else's server, behind a proxy that says when to come back by a date."""
    asked: list[int] = []

    class Stranger(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            asked.append(429 if not asked else 200)
            self.send_response(asked[-1])
            self.send_header("Retry-After", "Sat, 28 Nov 2026 00:00:00 GMT")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            return

    slept: list[float] = []
    monkeypatch.setattr("emofuse.client.time.sleep", slept.append)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Client(f"http://127.0.0.1:{server.server_port}") as client:
            with pytest.raises(ServiceError, match="is it emofuse serve"):
                client(text="sad")
            with pytest.raises(ServiceError, match="is it emofuse serve"):
                client.name.upper()
        server.shutdown()
    assert slept == [1.0]
