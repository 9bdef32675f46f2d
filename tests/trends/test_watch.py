"""Watching what grows: each alert once, posted without content; a job's folder as it is committed."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from emofuse.cli.app import run
from emofuse.errors import DataError
from emofuse.trends.series import Columns, Gathered
from emofuse.trends.watch import GrowingStream, following, growing, to_the_end
from emofuse.trends.webhook import TRIES, post

DAY = 86400


def day(number: int, level: float, each: int = 20) -> list[dict]:
    rng = np.random.default_rng(number)
    values = rng.normal(level, 0.05, each).tolist()
    said = {"text": "private words"}
    return [{"when": number * DAY, "name": f"d{number}.{i}", "anger": v} | said for i, v in enumerate(values)]


def append(path: Path, rows: list[dict], end: str = "\n") -> None:
    with path.open("a") as file:
        file.write("\n".join(map(json.dumps, rows)) + end)


def gathered() -> Gathered:
    return Gathered("anger", "day", Columns("when", (), "name"))


class Receiver:
    """A local server that keeps what is posted to it."""

    def __init__(self, *statuses: int, headers: dict[str, str] | None = None) -> None:
        """Answers these in turn, the last ever after."""
        self.bodies: list[dict] = []
        self.paths: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                receiver.paths.append(self.path)
                self.send_response((statuses or (200,))[min(len(receiver.bodies), len(statuses or (200,))) - 1])
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                receiver.bodies.append({"got": self.path})

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/alerts"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


ALERT = {"group": "a", "at": "2026-03-02", "since": "2026-03-01", "direction": "up", "deviation": 0.2}
ALERT |= {"items": [{"name": "d1", "value": 0.9}]}


def test_each_alert_is_told_once_as_lines_come(tmp_path):
    """Two looks of normal days, then days at another level, one a look, until nobody writes any more."""
    path, told = tmp_path / "rows.jsonl", []
    append(path, [row for number in range(16) for row in day(number, 0.3)])
    source, number = growing(path), 16

    def written(_: float) -> None:
        nonlocal number
        source.done = number == 22
        append(path, day(number, 0.3 if number < 18 else 0.6))
        number += 1

    seen = []
    for found, fresh in following(source, gathered(), 12.0, 14, 1.0, written):
        told += fresh
        seen.append(found.found[0][0].bins)
    assert [alert["direction"] for alert in told] == ["up"] and told[0]["at"] == "1970-01-19"
    assert [len(bins) for bins in seen] == list(range(16, 24)) and seen[-1][-1].count == 20


def test_alerts_of_long_ago_are_not_told_again(tmp_path):
    path = tmp_path / "rows.jsonl"
    append(path, [row for number in range(30) for row in day(number, 0.3 if number < 18 else 0.6)])
    source = growing(path)
    source.done = True
    ((found, fresh),) = following(source, gathered(), 12.0, 14, 1.0)
    assert found.alerts() and fresh == []


def test_a_line_counts_once_it_has_its_end_and_a_file_begun_anew_is_read_anew(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2}\n{"a": ')
    source = growing(path)
    assert source.new() == [{"a": 1}, {"a": 2}] and source.new() == []
    append(path, [3], "}\n")
    assert source.new() == [{"a": 3}]
    path.write_text('{"a": 4}\n')
    assert source.new() == [{"a": 4}]
    append(path, [5])
    with pytest.raises(DataError, match=r"line 2: a line holds one object, not int"):
        source.new()
    with pytest.raises(DataError, match=r"cannot be watched; a folder of emofuse batch, a \.jsonl file or - "):
        growing(tmp_path / "rows.csv")


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A batch folder of two parts, of which none is committed yet; `commit` writes one."""
    folder = tmp_path / "out"
    for table in ("segments", "clips"):
        (folder / table).mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps({"shards": 2}))
    return folder


def commit(job: Path, part: int, days: range, level: float) -> None:
    import pyarrow
    from pyarrow import parquet

    said = [row for number in days for row in day(number, level, 6)]
    segments = [{"id": row["name"], "emotions.anger": row["anger"], "text": row["text"]} for row in said]
    clips = [{"id": row["name"], "when": row["when"], "error": None} for row in said]
    for table, rows in (("segments", segments), ("clips", clips)):
        parquet.write_table(pyarrow.Table.from_pylist(rows), job / table / f"part-{part:05d}-0.parquet")


def test_a_job_is_followed_until_its_last_part(job, tmp_path):
    commit(job, 0, range(20), 0.3)
    source, told = growing(job), []
    for _, fresh in following(source, gathered(), 12.0, 14, 1.0, lambda _: commit(job, 1, range(20, 24), 0.7)):
        told += fresh
    assert source.done and [alert["direction"] for alert in told] == ["up"]


def test_the_command_reads_a_jobs_folder_with_the_times_of_its_clips(job, tmp_path, receiver, capsys):
    commit(job, 0, range(20), 0.3)
    commit(job, 1, range(20, 21), 0.8)
    out, page = tmp_path / "trend.json", tmp_path / "trend.html"
    options = ["--time", "when", "--of", "anger", "--json", str(out), "--html", str(page)]
    assert run(["trend", str(job), *options, "--webhook", receiver.url]) == 4
    found = json.loads(out.read_text())
    assert len(found["periods"]) == 21 and found["alerts"][0]["items"][0]["name"].startswith("d20")
    (body,) = receiver.bodies
    assert body["at"] == "1970-01-21" and body["of"] == "anger" and set(body["items"]) <= {f"d20.{i}" for i in range(6)}
    assert "private" not in json.dumps(body) and "value" not in json.dumps(body)
    html = page.read_text()
    assert "d20.0" in html and 'src="data:image/png' in html and "http" not in html.split("</style>")[1]
    options[-3:] = ["--watch", "0.01"]
    assert run(["trend", str(job), *options[:4], "--watch", "0.01", "--webhook", receiver.url]) == 0
    assert len(receiver.bodies) == 2 and "up by" in capsys.readouterr().out


def test_what_is_posted_has_the_names_of_rows_and_no_value(receiver):
    post(receiver.url, "anger", ALERT)
    assert receiver.bodies == [{"of": "anger"} | ALERT | {"items": ["d1"]}]


@pytest.mark.parametrize("status", [302, 500])
def test_a_receiver_that_refuses_or_sends_elsewhere_is_an_error(status):
    made, waited = Receiver(status), []
    with pytest.raises(DataError, match=f"not taken by 127.0.0.1: it answered {status}"):
        post(made.url, "anger", ALERT, wait=waited.append)
    made.close()
    tries = 1 if status == 302 else TRIES
    assert len(made.bodies) == tries, "no redirect is followed; what may pass is tried again"
    assert waited == [1.0, 2.0, 4.0, 8.0][: tries - 1]
    waited.clear()
    with pytest.raises(DataError, match=r"could not be posted to 127\.0\.0\.1 \(ConnectError\)"):
        post(made.url, "anger", ALERT, wait=waited.append)
    assert len(waited) == TRIES - 1


def test_a_receiver_that_fails_first_gets_it_in_the_end_and_is_given_the_time_it_asks_for():
    made, waited = Receiver(503, 429, 200, headers={"Retry-After": "7"}), []
    post(made.url, "anger", ALERT, wait=waited.append)
    made.close()
    assert made.bodies == 3 * [{"of": "anger"} | ALERT | {"items": ["d1"]}] and waited == [7.0, 7.0]
    made, waited = Receiver(503, 200, headers={"Retry-After": "86400"}), []
    post(made.url, "anger", ALERT, wait=waited.append)
    made.close()
    assert waited == [30.0], "not for ever"


def test_no_secret_of_an_address_is_in_a_log_an_error_or_a_file(job, tmp_path, caplog, capfd, monkeypatch):
    monkeypatch.setattr("emofuse.trends.webhook.FIRST_WAIT", 0.001)
    commit(job, 0, range(20), 0.3)
    commit(job, 1, range(20, 21), 0.8)
    made, kept = Receiver(500), tmp_path / "kept.jsonl"
    secret = made.url.replace("//", "//user:hunter2@") + "/T0/hunter2?key=hunter2"
    options = ["--time", "when", "--of", "anger", "--undelivered", str(kept), "--webhook"]
    with caplog.at_level("DEBUG"):
        assert run(["trend", str(job), *options, secret]) == 4
        made.close()
        assert run(["trend", str(job), *options, secret]) == 4, "nobody answers"
        for wrong in ("hunter2://x", "http://x:hunter2"):
            assert run(["trend", str(job), *options, wrong]) == 2
    assert made.paths == TRIES * ["/alerts/T0/hunter2?key=hunter2"]
    said = capfd.readouterr()
    assert "it answered 500; it is kept in" in said.err and "could not be posted to 127.0.0.1" in said.err
    assert "hunter2" not in caplog.text + said.err + said.out + kept.read_text()
    assert [json.loads(line)["at"] for line in kept.read_text().splitlines()] == 2 * ["1970-01-21"]
    assert "private" not in kept.read_text() and not logging.getLogger("httpx").disabled


def test_a_stream_is_read_line_by_line_until_it_is_closed():
    out, into = os.pipe()
    source = GrowingStream(out)
    try:
        os.write(into, b'{"a": 1}\n\n{"a": 2}\n{"a"')
        assert next(to_the_end(source)) == {"a": 1}
        assert source.new() == [] and not source.done
        os.write(into, b': 3}\r\n{"a": 4}')
    finally:
        os.close(into)
    assert list(to_the_end(source)) == [{"a": 3}, {"a": 4}] and source.done
    out, into = os.pipe()
    os.write(into, b'{"a": 1}\nnothing\n')
    os.close(into)
    with pytest.raises(DataError, match="stdin, line 2: no JSON"):
        list(to_the_end(GrowingStream(out)))


def test_the_command_follows_what_comes_through_a_pipe(tmp_path):
    """Alerts are told while the other end still writes, and the command ends with the pipe."""
    command = [sys.executable, "-m", "emofuse", "trend", "-", "--time", "when", "--of", "anger", "--id", "name"]
    command += ["--watch", "0.05", "--threshold", "12", "--json", str(tmp_path / "trend.json")]
    lines = ["\n".join(map(json.dumps, day(n, 0.3 if n < 18 else 0.6))) + "\n" for n in range(20)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("".join(lines[:18]))
        process.stdin.flush()
        wait_for(lambda: (tmp_path / "trend.json").exists())
        process.stdin.write("".join(lines[18:]))
        process.stdin.flush()
        assert "anger up by" in process.stdout.readline()
        process.stdin.close()
        assert process.wait(30) == 0
    assert len(json.loads((tmp_path / "trend.json").read_text())["periods"]) == 20


def test_a_watch_goes_on_until_a_series_and_an_index_are_long_enough(tmp_path):
    index = tmp_path / "index.csv"
    days = [day(n, 0.3)[0]["when"] for n in range(60)]
    index.write_text("when,level\n" + "".join(f"{when},{n % 7}\n" for n, when in enumerate(days)))
    command = [sys.executable, "-m", "emofuse", "trend", "-", "--time", "when", "--of", "anger", "--id", "name"]
    command += ["--watch", "0.05", "--against", str(index), "--lags", "2", "--json", str(tmp_path / "trend.json")]
    lines = ["\n".join(map(json.dumps, day(n, 0.3))) + "\n" for n in range(60)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdin is not None
        process.stdin.write("".join(lines[:18]))
        process.stdin.flush()
        wait_for(lambda: (tmp_path / "trend.json").exists() or process.poll() is not None)
        assert process.poll() is None and "against" not in json.loads((tmp_path / "trend.json").read_text())
        process.stdin.write("".join(lines[18:]))
        process.stdin.close()
        assert process.wait(60) == 0
    assert json.loads((tmp_path / "trend.json").read_text())["against"][0]["lags"] == 5


def wait_for(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_an_alert_that_is_not_taken_ends_nothing(job, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("emofuse.trends.webhook.FIRST_WAIT", 0.001)
    monkeypatch.chdir(tmp_path)
    commit(job, 0, range(20), 0.3)
    commit(job, 1, range(20, 21), 0.8)
    made = Receiver(503)
    assert run(["trend", str(job), "--time", "when", "--of", "anger", "--webhook", made.url]) == 4
    made.close()
    assert "it answered 503; it is kept in 'undelivered.jsonl'" in capsys.readouterr().err
    assert json.loads(Path("undelivered.jsonl").read_text())["failed"].endswith("it answered 503")
    assert run(["trend", str(job), "--time", "when", "--webhook", "ftp://x"]) == 2
    assert "no address of the web" in capsys.readouterr().err
