"""Jobs on addresses: a web server and, where its packages are there, an S3 store, each of them real and local."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import socket
import threading
from pathlib import Path

import pytest

import emofuse
from emofuse.batch_jobs.engine import Engine
from emofuse.batch_jobs.job import JobOptions
from emofuse.batch_jobs.plan import gather
from emofuse.batch_jobs.run import open_job
from emofuse.errors import DataError


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, without a log."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def shelf(tmp_path, sample: Path) -> Path:
    """What lies in the store: a clip with its words, one that is none, a table of both."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    shutil.copy(sample, folder / "a b.mp4")
    shutil.copy(sample.with_suffix(".srt"), folder / "a b.srt")
    (folder / "broken.mp4").write_bytes(b"these are not moving pictures" * 9)
    rows = ["id,media,transcript,start", "whole,a b.mp4,a b.srt,", "part,a b.mp4,a b.srt,3.9"]
    (folder / "t.csv").write_text("\n".join([*rows, "broken,broken.mp4,,", "gone,gone.mp4,,"]) + "\n")
    return folder


@pytest.fixture
def web(shelf):
    """The address of a web server of the shelf."""
    pytest.importorskip("aiohttp", reason="fsspec reads http with aiohttp")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(shelf)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def s3(shelf, monkeypatch):
    """The address of the shelf in a local S3 server: `uv run --with s3fs --with 'moto[server]' pytest …`."""
    pytest.importorskip("s3fs", reason="needs s3fs and moto[server]")
    server = pytest.importorskip("moto.server", reason="needs s3fs and moto[server]").ThreadedMotoServer(port=0)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    for name, value in (("ENDPOINT_URL", address), ("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b")):
        monkeypatch.setenv(f"AWS_{name}", value)
    import fsspec

    store = fsspec.filesystem("s3", skip_instance_cache=True)
    store.mkdir("calls")
    store.put(str(shelf) + "/", "calls/shelf/", recursive=True)
    yield "s3://calls/shelf"
    server.stop()


def run(job, rows_of) -> dict[str, dict]:
    """The rows of clips of a job that is done, by id."""
    engine = Engine(job, readers=2)
    assert all(engine.run(shard, lambda *_: None) for shard in job.shards)
    assert not list(job.work.glob("*/*")), "a copy was left"
    return {row["id"]: row for row in rows_of(job.folder, "clips").to_pylist()}


def check_table(address: str, model_folder, sample, tmp_path, rows_of) -> None:
    """A table in the store, whose paths are taken from where it is, is answered as the files are."""
    options = JobOptions(model=str(model_folder), device="cpu")
    clips = run(open_job(tmp_path / "out", [f"{address}/t.csv"], options), rows_of)
    local = emofuse.load(str(model_folder), device="cpu")
    for name, start in (("whole", None), ("part", 3.9)):
        found = local(sample, transcript=sample.with_suffix(".srt"), start=start)
        assert clips[name]["media"] == f"{address}/a b.mp4" and clips[name]["error"] is None
        assert clips[name]["emotions.joy"] == pytest.approx(found.overall.emotions["joy"], abs=1e-4)
        assert clips[name]["text"] == " ".join(word.text for word in found.transcript)
    assert f"cannot read {address}/broken.mp4: it is not media" in clips["broken"]["error"]
    assert f"cannot read {address}/gone.mp4: FileNotFoundError" in clips["gone"]["error"]
    failed = [json.loads(line) for line in (tmp_path / "out" / "failed.jsonl").read_text().splitlines()]
    assert [row["media"] for row in failed] == [f"{address}/broken.mp4", f"{address}/gone.mp4"]


def test_a_web_server(web, model_folder, sample, tmp_path, rows_of):
    check_table(web, model_folder, sample, tmp_path, rows_of)
    (item,) = gather([f"{web}/a%20b.mp4?x=1"])
    assert item.id == item.media == f"{web}/a%20b.mp4?x=1"


def test_a_server_that_is_not_there_costs_its_clip_and_no_other(model_folder, tmp_path, rows_of):
    pytest.importorskip("aiohttp", reason="fsspec reads http with aiohttp")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    table = tmp_path / "t.csv"
    table.write_text(f"id,media,text\na,{nobody}/a.wav,\nb,,so sad\n")
    clips = run(open_job(tmp_path / "out", [str(table)], JobOptions(str(model_folder), "cpu")), rows_of)
    assert f"cannot read {nobody}/a.wav:" in clips["a"]["error"] and clips["b"]["error"] is None
    with pytest.raises(DataError, match=f"cannot open {nobody}/t.csv"):
        gather([f"{nobody}/t.csv"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the packages of the store
def test_an_s3_store(s3, model_folder, sample, tmp_path, rows_of):
    check_table(s3, model_folder, sample, tmp_path, rows_of)
    clips = gather([s3])
    assert [item.id for item in clips] == [f"{s3}/a b.mp4", f"{s3}/broken.mp4"]
    assert clips[0].transcript == f"{s3}/a b.srt" and clips[0].sidecar
    assert [item.id for item in gather([f"{s3}/*.mp4"])] == [item.id for item in clips]
