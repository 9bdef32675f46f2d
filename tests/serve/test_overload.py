"""More than it can do, and callers that are slow, leave, or are still there when it is told to stop."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections import Counter

import httpx
import pytest

TEXTS = ["i am so happy!", "this is not great", "sad", "terrible, i am so so sad", "so so happy", "great!", "not sad"]


def wait_for(true, seconds: float = 20.0) -> None:
    """Until something is so."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def busy():
    """Keeps a service's model busy until the block ends."""
    import contextlib

    @contextlib.contextmanager
    def keep(running):
        release, begun = threading.Event(), threading.Event()
        running.service.batcher.call(lambda: (begun.set(), release.wait(60)))
        assert begun.wait(20)
        try:
            yield release
        finally:
            release.set()

    return keep


def test_a_flood_is_answered_or_told_to_come_back_and_no_answer_is_mixed(serve, pipeline, in_loop):
    running = serve(working=4, waiting=4, each=100)
    expected = {text: json.loads(json.dumps(pipeline(text=text).to_dict()))["overall"]["emotions"] for text in TEXTS}

    async def one(client: httpx.AsyncClient, text: str) -> tuple[str, httpx.Response]:
        return text, await client.post("/v1/analyze", json={"text": text})

    async def flood() -> list[tuple[str, httpx.Response]]:
        limits = httpx.Limits(max_connections=80)
        async with httpx.AsyncClient(base_url=running.url, timeout=60, limits=limits) as client:
            return await asyncio.gather(*(one(client, TEXTS[i % len(TEXTS)]) for i in range(160)))

    statuses = Counter()
    for text, reply in in_loop(flood()):
        statuses[reply.status_code] += 1
        if reply.status_code == 429:
            assert 1 <= int(reply.headers["retry-after"]) <= 60 and reply.json()["error"]["code"] == "too_many"
        else:
            emotions = reply.json()["overall"]["emotions"]
            assert emotions == pytest.approx(expected[text], abs=1e-5), text
    assert statuses.keys() == {200, 429} and statuses[200] >= 8, statuses
    assert running.service.admission.count == 0 and running.left_over == []
    assert running.analyze(text="sad").status_code == 200


def test_one_caller_does_not_take_all_places(serve, busy):
    running = serve(working=2, waiting=2, each=2)
    with busy(running):
        threads = [threading.Thread(target=running.analyze, kwargs={"text": "sad"}) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_for(lambda: running.service.admission.count == 2)
        assert running.analyze(text="sad").status_code == 429
        assert running.client.get("/readyz").status_code == 200
    for thread in threads:
        thread.join()


def test_requests_that_wait_share_a_batch(serve, busy):
    running = serve()
    turns = []
    running.service.batcher.on_batch = turns.append
    with busy(running):
        threads = [threading.Thread(target=running.analyze, kwargs={"text": text}) for text in TEXTS]
        for thread in threads:
            thread.start()
        wait_for(lambda: running.service.batcher.depth == len(TEXTS))
    for thread in threads:
        thread.join()
    assert turns[0].requests == len(TEXTS)


def test_an_answer_that_takes_too_long_is_given_up(serve, busy):
    running = serve(answer_seconds=0.3)
    with busy(running):
        reply = running.analyze(text="sad")
        assert reply.status_code == 504 and reply.json()["error"]["code"] == "timeout"
        wait_for(lambda: running.service.admission.count == 0 and running.left_over == [])
    assert running.analyze(text="sad").status_code == 200


def test_who_leaves_is_not_worked_for(serve, busy, clip):
    running = serve()
    turns = []
    with busy(running):
        running.service.batcher.on_batch = turns.append
        with clip.open("rb") as media, pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{running.url}/v1/analyze", files={"file": media}, timeout=httpx.Timeout(20, read=0.5))
        wait_for(lambda: running.service.admission.count == 0 and running.left_over == [])
    running.service.batcher.call(lambda: None).result(20)
    assert turns == []
    assert running.analyze(text="sad").status_code == 200


def raw(running) -> socket.socket:
    """A connection that sends what it likes."""
    host, port = running.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def test_who_leaves_in_the_middle_of_an_upload_leaves_nothing(serve):
    running = serve()
    with raw(running) as connection:
        head = b"POST /v1/analyze HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
        connection.sendall(head + b"Content-Length: 100000\r\n\r\n" + part + b"x" * 1000)
        wait_for(lambda: running.left_over != [])
    wait_for(lambda: running.left_over == [] and running.service.admission.count == 0)
    assert running.analyze(text="sad").status_code == 200


def test_a_body_that_drips_is_given_up(serve):
    running = serve(upload_seconds=0.5)
    with raw(running) as connection:
        head = b"POST /v1/analyze HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head + b"{")
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")
    wait_for(lambda: running.service.admission.count == 0)


def test_headers_that_drip_are_hung_up_on(serve):
    running = serve(header_seconds=0.5)
    with raw(running) as connection:
        connection.sendall(b"POST /v1/analyze HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert connection.recv(1000) == b""


def test_told_to_stop_it_finishes_what_it_has_and_takes_nothing_new(serve, busy):
    from emofuse.serve.admission import RefusedError

    running = serve()
    replies: list[httpx.Response] = []
    with busy(running) as release:
        thread = threading.Thread(target=lambda: replies.append(running.analyze(text="sad")))
        thread.start()
        wait_for(lambda: running.service.batcher.depth == 1)
        running.service.admission.draining = True
        assert running.client.get("/readyz").status_code == 503
        refused = running.analyze(text="sad")
        assert refused.status_code == 503 and "retry-after" in refused.headers
        with pytest.raises(RefusedError), running.service.admission.place("ann"):
            pass
        release.set()
    thread.join()
    assert replies[0].status_code == 200
