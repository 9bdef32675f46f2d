"""Jobs: handed in now, answered later, and there again after the process was killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from emofuse.errors import EmofuseError
from emofuse.serve.keys import add_key
from emofuse.serve.ledger import Ledger

TEXT = "I am so happy today! This is terrible. I am sad, so sad."


def wait_for(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def until_done(running, job: str, seconds: float = 60.0, **options) -> dict:
    """The job once it waits and runs no more."""
    end = time.monotonic() + seconds
    while (found := running.client.get(f"/v1/jobs/{job}", **options).json())["state"] in ("queued", "running"):
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return found


def test_a_job_is_answered_as_the_pipeline_answers_it(serve, pipeline, clip, tmp_path):
    running = serve(state=tmp_path / "state")
    words = clip.with_suffix(".srt")
    with clip.open("rb") as media, words.open("rb") as cues:
        reply = running.client.post("/v1/jobs", files={"file": media, "transcript": cues})
    job = reply.json()["id"]
    assert reply.status_code == 202 and reply.headers["location"] == f"/v1/jobs/{job}"
    assert until_done(running, job)["state"] == "done"
    expected = pipeline(clip, transcript=words).to_dict() | {"source": "sample.mp4"}
    assert running.client.get(f"/v1/jobs/{job}/answer").json() == json.loads(json.dumps(expected))
    assert running.client.get(f"/v1/jobs/{job}/answer?format=srt").text.startswith("1\n")
    assert list((tmp_path / "state" / "files").iterdir()) == []
    assert running.client.delete(f"/v1/jobs/{job}").status_code == 204
    assert running.client.get(f"/v1/jobs/{job}").status_code == 404


def test_a_job_that_cannot_be_read_says_why_and_leaves_nothing(serve, tmp_path):
    running = serve(state=tmp_path / "state")
    job = running.client.post("/v1/jobs", files={"file": ("a.mp4", b"x" * 100)}).json()["id"]
    found = until_done(running, job)
    assert found["state"] == "failed" and "a.mp4" in found["error"]["message"]
    assert str(tmp_path) not in found["error"]["message"] and list((tmp_path / "state" / "files").iterdir()) == []
    assert running.client.get(f"/v1/jobs/{job}/answer").status_code == 409
    for body in ({}, {"coverage": "2"}):
        assert running.client.post("/v1/jobs", json=body).status_code == 422
    assert list((tmp_path / "state" / "files").iterdir()) == []


def test_a_job_is_its_callers_alone(serve, tmp_path):
    ann, bob = (add_key(tmp_path / "keys", name) for name in ("ann", "bob"))
    running = serve(state=tmp_path / "state", keys=tmp_path / "keys")
    hers, his = ({"Authorization": f"Bearer {key}"} for key in (ann, bob))
    job = running.client.post("/v1/jobs", json={"text": TEXT}, headers=hers).json()["id"]
    for method, path in (("GET", ""), ("GET", "/answer"), ("DELETE", "")):
        assert running.client.request(method, f"/v1/jobs/{job}{path}", headers=his).status_code == 404
    assert until_done(running, job, headers=hers)["state"] == "done"


def test_without_a_folder_there_are_no_jobs(running):
    reply = running.client.post("/v1/jobs", json={"text": TEXT})
    assert reply.status_code == 404 and "--state" in reply.json()["error"]["message"]


def test_a_waiting_job_can_be_taken_back_and_too_many_are_refused(serve, tmp_path):
    running = serve(state=tmp_path / "state", jobs_waiting=1)
    release, begun = threading.Event(), threading.Event()
    running.service.batcher.call(lambda: (begun.set(), release.wait(60)))
    begun.wait(20)
    first = running.client.post("/v1/jobs", json={"text": "sad"}).json()["id"]
    wait_for(lambda: running.service.jobs.ledger.count("running") == 1)
    second = running.client.post("/v1/jobs", json={"text": "sad"}).json()["id"]
    refused = running.client.post("/v1/jobs", json={"text": "sad"})
    assert refused.status_code == 429 and refused.headers["retry-after"] == "60"
    for job in (second, first):
        assert running.client.delete(f"/v1/jobs/{job}").status_code == 204
    release.set()
    third = running.client.post("/v1/jobs", json={"text": TEXT}).json()["id"]
    assert until_done(running, third)["state"] == "done"


def test_the_ledger_counts_attempts_and_sets_aside_what_ends_its_process(tmp_path):
    path = tmp_path / "jobs.sqlite3"
    ledger = Ledger(path, attempts=2)
    job = ledger.add("ann", {"fields": {}, "files": {}})
    for attempt in (1, 2):
        assert ledger.begin().attempts == attempt
        ledger.close()
        ledger = Ledger(path, attempts=2)
        assert ledger.recover() == ([] if attempt == 1 else [job])
    found = ledger.get(job, "ann")
    assert found.state == "failed" and found.code == "ended" and ledger.begin() is None
    assert not ledger.finish(job, "{}") and ledger.get(job, "bob") is None


def test_a_job_put_back_by_a_stop_has_not_been_tried(tmp_path):
    ledger = Ledger(tmp_path / "jobs.sqlite3")
    job = ledger.add("ann", {})
    ledger.begin()
    assert ledger.release(job) and ledger.get(job, "ann").attempts == 0 and ledger.begin().id == job
    assert ledger.cancel(job) and not ledger.finish(job, "{}") and ledger.get(job, "ann").answer is None


def test_answers_are_forgotten_after_their_time_and_quotas_are_kept(tmp_path):
    ledger = Ledger(tmp_path / "jobs.sqlite3")
    job = ledger.add("ann", {})
    ledger.begin()
    ledger.finish(job, "{}")
    assert ledger.expire(100) == [] and ledger.expire(-1) == [job] and ledger.names() == set()
    ledger.save_used(5, {"ann": 7.5})
    ledger.save_used(6, {"bob": 1.5})
    assert ledger.used() == (6, {"bob": 1.5})


def test_a_job_that_is_put_back_is_charged_once(serve, pipeline, tmp_path):
    """A service that is stopped while a job is under way, and begun again with what had been used."""
    from emofuse.serve.app import create_app
    from emofuse.serve.server import serving
    from emofuse.serve.settings import Settings

    settings, words = Settings(state=tmp_path / "state", quota=15.0), "so sad " * 20
    release, begun = threading.Event(), threading.Event()
    app = create_app(pipeline, settings)
    with serving(app) as url:
        app.state.service.batcher.call(lambda: (begun.set(), release.wait(60)))
        begun.wait(20)
        job = httpx.post(f"{url}/v1/jobs", json={"text": words}, timeout=60).json()["id"]
        ledger = app.state.service.jobs.ledger
        wait_for(lambda: (row := ledger.get(job, "127.0.0.1")) is not None and row.charged)
        threading.Timer(0.5, release.set).start()
    running = serve(state=tmp_path / "state", quota=15.0)
    assert until_done(running, job)["state"] == "done"
    assert running.service.quotas.saved()[1] == {"127.0.0.1": pytest.approx(len(words.strip()) / 15, abs=0.2)}


def test_an_error_that_nobody_expects_ends_no_job_but_its_own(serve, tmp_path, monkeypatch):
    monkeypatch.setattr("emofuse.serve.jobs.AGAIN", 0.05)
    running = serve(state=tmp_path / "state")
    fail, failed = running.service.jobs.ledger.finish, []

    def finish(job: str, answer: str) -> bool:
        if not failed:
            failed.append(job)
            raise UnicodeEncodeError("utf-8", "x", 0, 1, "as sqlite raises it")
        return fail(job, answer)

    monkeypatch.setattr(running.service.jobs.ledger, "finish", finish)
    jobs = [running.client.post("/v1/jobs", json={"text": "sad"}).json()["id"] for _ in range(2)]
    assert [until_done(running, job)["state"] for job in jobs] == ["failed", "done"] and failed


SECRET = "the moonlight sonata is what I played"


def test_what_was_asked_is_kept_until_the_job_has_ended_and_nowhere_after(serve, tmp_path):
    state = tmp_path / "state"
    running = serve(state=state)
    release, begun = threading.Event(), threading.Event()
    running.service.batcher.call(lambda: (begun.set(), release.wait(60)))
    begun.wait(20)
    job = running.client.post("/v1/jobs", json={"text": "sad", "context": json.dumps([SECRET])}).json()["id"]

    def held() -> bool:
        return any(SECRET.encode() in path.read_bytes() for path in state.glob("jobs.sqlite3*"))

    assert held()
    release.set()
    until_done(running, job)
    wait_for(lambda: not held(), 10)
    assert running.client.delete(f"/v1/jobs/{job}").status_code == 204
    modes = {path.name: path.stat().st_mode & 0o077 for path in state.glob("jobs.sqlite3*")}
    assert "jobs.sqlite3" in modes and set(modes.values()) == {0}
    assert b"overall" not in b"".join(path.read_bytes() for path in state.glob("jobs.sqlite3*"))


def test_while_a_job_takes_long_old_answers_go_and_what_was_used_is_kept(serve, tmp_path, monkeypatch):
    monkeypatch.setattr("emofuse.serve.jobs.EXPIRY", 0.05)
    running = serve(state=tmp_path / "state", jobs_kept=1.5 / 3600, quota=1000.0)
    first = running.client.post("/v1/jobs", json={"text": "so sad " * 15}).json()["id"]
    until_done(running, first)
    release, begun = threading.Event(), threading.Event()
    running.service.batcher.call(lambda: (begun.set(), release.wait(60)))
    begun.wait(20)
    second = running.client.post("/v1/jobs", json={"text": "sad"}).json()["id"]
    wait_for(lambda: running.client.get(f"/v1/jobs/{first}").status_code == 404, 20)
    wait_for(lambda: sum(running.service.jobs.ledger.used()[1].values()) > 6, 20)
    assert running.client.get(f"/v1/jobs/{second}").json()["state"] == "running"
    release.set()


def test_a_ledger_of_before_is_taken_up(tmp_path):
    path = tmp_path / "jobs.sqlite3"
    ledger = Ledger(path)
    jobs = [ledger.add("ann", {"fields": {"text": text}, "files": {}}) for text in ("first", "second", "third")]
    ledger.begin()
    ledger.finish(jobs[0], "{}")
    ledger.begin()
    with ledger._lock:
        ledger._db.executescript(
            "UPDATE jobs SET asked='{\"fields\": {}}'; ALTER TABLE jobs DROP COLUMN charged; PRAGMA user_version=1"
        )
    ledger.close()
    ledger = Ledger(path)
    assert [(row := ledger.get(job, "ann")).charged for job in jobs] == [True, True, False] and row is not None
    assert ledger.get(jobs[0], "ann").asked == {} and ledger.get(jobs[2], "ann").asked == {"fields": {}}
    assert ledger.recover() == [] and ledger.begin().id == jobs[1]
    ledger.close()
    with contextlib.closing(Ledger(path)) as again:
        assert again.count("running") == 1


def pages(ledger: Ledger, most: int | None = None) -> int:
    """How many pages the file of a ledger has; `most`: it may have no more, as on a full disk."""
    with ledger._lock:
        held = ledger._db.execute("PRAGMA page_count").fetchone()[0]
        ledger._db.execute(f"PRAGMA max_page_count={most or held}")
    return held


def test_a_full_disk_is_told_and_jobs_go_on_once_there_is_room(serve, tmp_path, monkeypatch):
    monkeypatch.setattr("emofuse.serve.jobs.AGAIN", 0.05)
    running = serve(state=tmp_path / "state", characters=10**6, attempts=3)
    jobs = running.service.jobs
    release, begun = threading.Event(), threading.Event()
    running.service.batcher.call(lambda: (begun.set(), release.wait(60)))
    begun.wait(20)
    job = running.client.post("/v1/jobs", json={"text": TEXT * 200}).json()["id"]
    wait_for(lambda: jobs.ledger.count("running") == 1)
    pages(jobs.ledger)
    reply = running.client.post("/v1/jobs", json={"text": TEXT * 5000})
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "full")
    assert reply.headers["retry-after"] == "60"
    assert [path.name for path in (tmp_path / "state" / "files").iterdir()] == [job]
    release.set()
    wait_for(lambda: jobs._unwritten)
    assert jobs.ledger.get(job, "127.0.0.1").answer is None
    pages(jobs.ledger, 1 << 30)
    assert until_done(running, job)["state"] == "done"
    assert running.client.get(f"/v1/jobs/{job}/answer").status_code == 200


def test_one_folder_is_one_services(serve, tmp_path, pipeline):
    from emofuse.serve.app import create_app
    from emofuse.serve.settings import Settings

    serve(state=tmp_path / "state")
    with pytest.raises(EmofuseError, match="another service uses"):
        create_app(pipeline, Settings(state=tmp_path / "state"))


SERVER = """
import sys
from pathlib import Path
from emofuse.model.model import EmotionModel
from emofuse.pipeline.pipeline import Pipeline
from emofuse.serve.app import create_app
from emofuse.serve.server import run
from emofuse.serve.settings import Settings
pipeline = Pipeline(EmotionModel.from_pretrained(sys.argv[1]), name="tiny")
if sys.argv[3] == "slow":
    import time
    pipeline.model.decode = lambda *_: time.sleep(600)
app = create_app(pipeline, Settings(state=Path(sys.argv[2]), drain_seconds=1))
run(app, "127.0.0.1", 0, lambda url: print(url, flush=True))
"""


@contextlib.contextmanager
def start(model: Path, state: Path, speed: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """A service in a process of its own, and its address; it is ended with the block."""
    arguments = [sys.executable, "-c", SERVER, str(model), str(state), speed]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_jobs_under_way_are_done_after_a_restart(pipeline, tmp_path, end):
    model, state = pipeline.model.save_pretrained(tmp_path / "model"), tmp_path / "state"
    with start(model, state, "slow") as (process, url):
        jobs = [httpx.post(f"{url}/v1/jobs", json={"text": TEXT}, timeout=60).json()["id"] for _ in range(3)]
        while httpx.get(f"{url}/v1/jobs/{jobs[0]}", timeout=60).json()["state"] != "running":
            time.sleep(0.05)
        os.kill(process.pid, end)
        if end == signal.SIGTERM:
            time.sleep(3)  # the model hangs for ten minutes: it is told to stop, and then killed
    with start(model, state, "quick") as (process, url):
        for job in jobs:
            while (found := httpx.get(f"{url}/v1/jobs/{job}", timeout=60).json())["state"] in ("queued", "running"):
                time.sleep(0.05)
            answer = httpx.get(f"{url}/v1/jobs/{job}/answer", timeout=60).json()
            assert found["state"] == "done"
            assert answer == json.loads(json.dumps(pipeline(text=TEXT).to_dict()))
        assert httpx.get(f"{url}/v1/jobs/{jobs[0]}", timeout=60).json()["attempts"] == 2
        process.terminate()
        assert process.wait(60) == 0
