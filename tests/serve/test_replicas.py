"""The service under Ray Serve, on this machine: two replicas and one for jobs, behind one address."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter

import httpx
import pytest

from emofuse.client import Client
from emofuse.errors import EmofuseError
from emofuse.serve.keys import add_key
from emofuse.serve.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, of what it imports and leaves open
TEXTS = ["i am so happy!", "this is not great", "sad", "terrible, i am so so sad", "so so happy", "great!", "not sad"]


def test_a_scale_is_a_number_or_a_range():
    from emofuse.serve.replicas import Scale, read_replicas

    assert read_replicas("2") == (2, 2) and read_replicas("1-4") == (1, 4)
    for wrong in ("", "two", "1-", "-4", "1-2-3", "1.5", "99999"):
        with pytest.raises(EmofuseError, match="neither a number nor a range"):
            read_replicas(wrong)
    for wrong in ({"least": 0}, {"least": 3, "most": 2}):
        with pytest.raises(EmofuseError, match="replicas are none"):
            Scale(**wrong)
    with pytest.raises(EmofuseError, match="a queue at least one place"):
        Scale(queued=0)
    settings = Settings(working=8, waiting=4)
    fixed, scaled = Scale(2, 2).options(settings), Scale(1, 4, queued=9).options(settings)
    assert fixed["num_replicas"] == 2 and "autoscaling_config" not in fixed
    assert scaled["autoscaling_config"] == {"min_replicas": 1, "max_replicas": 4, "target_ongoing_requests": 4.0}
    assert scaled["max_queued_requests"] == 9 and scaled["max_ongoing_requests"] > settings.places


def test_what_a_replica_would_fail_at_is_refused_before_ray_is_started(tmp_path):
    from emofuse.serve.replicas import Scale, replicated

    for model, settings in (("nowhere", Settings()), ("emofuse-small", Settings(keys=tmp_path / "none.txt"))):
        with (
            pytest.raises(EmofuseError, match=r"nowhere|cannot read the keys"),
            replicated({"model": model}, settings, Scale()),
        ):
            pass


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> tuple[str, str, str]:
    """(file of keys, a key without a quota, one of ten media-seconds)."""
    path = tmp_path_factory.mktemp("keys") / "keys.txt"
    return str(path), add_key(path, "ann"), add_key(path, "bob", 10.0)


@pytest.fixture(scope="module")
def cluster(pipeline, keys, tmp_path_factory):
    """The address of a service of two replicas."""
    pytest.importorskip("ray.serve", reason="the extra ray is not installed")
    import ray

    from emofuse.serve.replicas import Scale, replicated

    home = tmp_path_factory.mktemp("cluster")
    model = pipeline.model.save_pretrained(home / "tiny")
    settings = Settings(working=2, waiting=2, each=100, keys=home.__class__(keys[0]), state=home / "state")
    try:
        ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=80 << 20)
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
        pytest.skip(f"Ray starts no node on this machine: {error}")
    try:
        with replicated({"model": model, "device": "cpu"}, settings, Scale(2, 2, queued=8, cpus=0.5), port=0) as url:
            yield url
    finally:
        ray.shutdown()


@pytest.fixture
def http(cluster, keys):
    """A caller with a key."""
    with httpx.Client(base_url=cluster, timeout=120, headers={"Authorization": f"Bearer {keys[1]}"}) as client:
        yield client


def replica_of(http: httpx.Client) -> str:
    """The name of the replica that answers."""
    (name,) = set(re.findall(r'replica="([^"]+)"', http.get("/metrics").text))
    return name


@pytest.mark.slow
def test_every_route_answers_as_the_embedded_service_does(cluster, http, pipeline, clip, keys):
    assert http.get("/healthz").json() == {"status": "ok"} and http.get("/readyz").json() == {"status": "ready"}
    (model,) = http.get("/v1/models").json()["models"]
    assert http.get(f"/v1/models/{model['name']}/conformal").status_code == 200
    assert "/v1/stream" not in http.get("/v1/openapi.json").json()["paths"] and http.get("/nothing").status_code == 404
    words = clip.with_suffix(".srt")
    with Client(cluster, keys[1]) as client:
        for inputs in ({"text": TEXTS[3]}, {"source": clip, "transcript": words}):
            found, local = client(**inputs), pipeline(**inputs)
            assert len(found) == len(local) > 0 and found.transcript == local.transcript
            for one, other in zip(found, local, strict=True):  # sums run on another number of threads there
                assert one.emotions == pytest.approx(other.emotions, abs=1e-4) and one.present == other.present
    refused = httpx.post(f"{cluster}/v1/analyze", json={"text": "sad"}, timeout=60)
    assert refused.status_code == 401 and refused.json()["error"]["code"] == "unauthorized"
    assert http.post("/v1/analyze", json={"text": 3, "words": 1}).status_code == 422
    made = http.post("/v1/jobs", json={"text": "so sad"})
    assert made.status_code == 202 and made.headers["location"] == f"/v1/jobs/{made.json()['id']}"
    limit = time.monotonic() + 60
    while (reply := http.get(f"{made.headers['location']}/answer")).status_code == 409:
        assert time.monotonic() < limit
        time.sleep(0.05)
    expected = pipeline(text="so sad").overall.emotions
    assert reply.json()["overall"]["emotions"] == pytest.approx(expected, abs=1e-5)
    assert http.get(made.headers["location"]).json()["state"] == "done"
    assert http.delete(made.headers["location"]).status_code == 204
    assert http.get(made.headers["location"]).status_code == 404


@pytest.mark.slow
def test_a_stream_is_answered(cluster, keys, clip, in_loop):
    from websockets.asyncio.client import connect

    from emofuse.media.decode import read_audio

    sound = (read_audio(clip)[:48_000] * 32767).astype("<i2").tobytes()

    async def talk() -> list[dict]:
        async with connect(cluster.replace("http", "ws") + "/v1/stream") as socket:
            await socket.send(json.dumps({"format": "pcm16", "rate": 16_000, "key": keys[1]}))
            told = [json.loads(await socket.recv())]
            for i in range(0, len(sound), 16_000):
                await socket.send(sound[i : i + 16_000])
            await socket.send(json.dumps({"type": "end"}))
            told += [json.loads(message) async for message in socket]
            return told

    ready, *answers = in_loop(talk())
    assert ready == {"type": "ready"} and answers[-1]["type"] == "prediction" and answers[-1]["at"] == 3.0


@pytest.mark.slow
def test_both_replicas_work_and_count_a_quota_together(cluster, http, keys, wav):
    limit, seen = time.monotonic() + 60, set()
    while len(seen) < 2 and time.monotonic() < limit:
        seen.add(replica_of(http))
    assert len(seen) == 2
    bob = {"Authorization": f"Bearer {keys[2]}"}
    statuses = Counter()
    for _ in range(8):
        reply = httpx.post(f"{cluster}/v1/analyze", files={"file": ("a.wav", wav)}, headers=bob, timeout=60)
        statuses[reply.status_code] += 1
        if reply.status_code == 429:
            assert reply.json()["error"]["code"] == "quota"
    assert statuses == {200: 3, 429: 5}, "ten seconds of quota are three clips of three, whoever reads them"


@pytest.mark.slow
def test_a_flood_is_answered_or_told_to_come_back_and_no_answer_is_mixed(cluster, keys, pipeline, in_loop):
    expected = {text: pipeline(text=text).overall.emotions for text in TEXTS}

    async def flood() -> list[tuple[str, httpx.Response]]:
        limits, headers = httpx.Limits(max_connections=120), {"Authorization": f"Bearer {keys[1]}"}
        async with httpx.AsyncClient(base_url=cluster, timeout=120, limits=limits, headers=headers) as client:

            async def one(text: str) -> tuple[str, httpx.Response]:
                return text, await client.post("/v1/analyze", json={"text": text})

            return await asyncio.gather(*(one(TEXTS[i % len(TEXTS)]) for i in range(240)))

    statuses = Counter()
    for text, reply in in_loop(flood()):
        statuses[reply.status_code] += 1
        if reply.status_code == 429:
            assert int(reply.headers["retry-after"]) >= 1
        else:
            assert reply.json()["overall"]["emotions"] == pytest.approx(expected[text], abs=1e-5), text
    assert statuses.keys() == {200, 429} and statuses[200] >= 8, statuses
    assert httpx.get(f"{cluster}/readyz", timeout=60).status_code == 200


@pytest.mark.slow
def test_the_command_serves_until_it_is_told_to_stop(pipeline, tmp_path):
    pytest.importorskip("ray.serve", reason="the extra ray is not installed")
    model = pipeline.model.save_pretrained(tmp_path / "tiny")
    command = [sys.executable, "-m", "emofuse", "serve", "--ray", "--replicas", "1-2", "--port", "0", "--cpus", "0.5"]
    command += ["--model", str(model), "--device", "cpu", "--asr", "none"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            reply = httpx.post(f"{url}/v1/analyze", json={"text": "so sad"}, timeout=120)
            assert reply.json()["overall"]["emotions"] == pytest.approx(
                pipeline(text="so sad").overall.emotions, abs=1e-4
            )
            process.send_signal(signal.SIGTERM)
            assert process.wait(200) == 0
        finally:
            process.kill()
