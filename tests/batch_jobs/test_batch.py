"""Jobs in real processes: killed, stopped, shared out, gone on with; each clip once, the same bits by every carrier."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def turns(out: Path) -> dict[int, int]:
    """Processes that are in a shard now → the shard, by the ledgers' last lines."""
    found = {}
    for path in (out / "work").glob("*.jsonl") if (out / "work").is_dir() else ():
        lines = path.read_bytes().splitlines() if path.is_file() else []
        begun = [json.loads(line) for line in lines if line.startswith(b'{"begin"')]
        if begun and not lines[-1].startswith(b'{"end"'):
            found[begun[-1]["begin"]] = int(path.stem)
    return found


def until(condition, seconds=200.0):
    """Wait for something that the disk tells."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if found := condition():
            return found
        time.sleep(0.005)
    raise AssertionError("it did not come")


def kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=500)
    return process.returncode, out, err


def test_every_row_is_there_once_and_failures_are_set_aside(whole, table, rows_of):
    clips, segments = rows_of(whole, "clips"), rows_of(whole, "segments")
    names = clips["id"].to_pylist()
    assert len(names) == len(set(names)) == 302 and names[99:103] == ["t99", "empty", "gone", "t100"]
    errors = {row["id"]: row["error"] for row in clips.to_pylist() if row["error"]}
    assert set(errors) == {"empty", "gone"} and "there is no such file" in errors["gone"]
    assert set(segments["id"].to_pylist()) == set(names) - set(errors)
    assert clips["product"].to_pylist()[:4] == [0, 1, 2, 0] and set(clips["attempts"].to_pylist()) == {1}
    first = segments.to_pylist()[0]
    assert sum(v for k, v in first.items() if k.startswith("emotions.")) == pytest.approx(1, abs=1e-5)
    assert len(first["embedding"]) == 16 and first["present"] == "text" and first["text"] == "I am so happy! 0"
    assert not any(segments["more"].to_pylist()) and not any(clips["more"].to_pylist()), "a field without a column"
    failed = [json.loads(line) for line in (whole / "failed.jsonl").read_text().splitlines()]
    assert [(row["id"], row["attempts"], row["product"]) for row in failed] == [("empty", 1, 9), ("gone", 1, 9)]
    assert failed[1]["media"] == str(table.parent / "nowhere.mp4")
    assert not (whole / "work").exists() and not list(whole.rglob(".emofuse-*"))


def test_failures_run_again_and_every_format_is_written(batch, whole, sample, tmp_path):
    shutil.copy(sample, tmp_path / "a b.mp4")
    shutil.copy(sample.with_suffix(".srt"), tmp_path / "a b.srt")
    formats = [word for name in ("csv", "jsonl", "json", "srt", "vtt") for word in ("--format", name)]
    out = tmp_path / "out"
    code, told, err = batch(whole / "failed.jsonl", tmp_path / "a b.mp4", "--out", out, "--workers", 0, *formats)
    assert code == 3 and "3 of 3 clips done, 2 of them failed" in told, err
    rows = [json.loads(line) for line in (out / "clips.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["empty", "gone", str(tmp_path / "a b.mp4")]
    assert json.loads(rows[2]["note_codes"])[0]["code"] == "sidecar" and rows[2]["present"] == "text+speech+face"
    (srt,) = (out / "srt").iterdir()
    assert srt.name.startswith("a_b.mp4-") and "never been so happy!" in srt.read_text()
    (analysis,) = [json.loads(path.read_text()) for path in (out / "json").iterdir()]
    assert len(analysis["segments"]) == len((out / "segments.csv").read_text().splitlines()) - 1 == 3


def test_two_workers_and_two_shares_give_the_same_bits(batch, whole, table, tmp_path, assert_same):
    code, _, err = batch(table, "--out", tmp_path / "workers", "--workers", 2, "--embeddings", "--json-progress")
    assert code == 3, err
    assert_same(tmp_path / "workers", whole)
    last = [json.loads(line) for line in err.splitlines() if line.startswith("{")][-1]
    assert (last["clips"], last["total"], last["failed"]) == (302, 302, 2)
    for share in ("2/2", "1/2"):
        arguments = (table, "--out", tmp_path / "shares", "--workers", 0, "--embeddings", "--shard", share)
        code, told, err = batch(*arguments)
        assert ("complete" in told) == (share == "1/2"), err
    assert_same(tmp_path / "shares", whole)


def test_a_killed_job_goes_on_and_another_one_is_refused(start, batch, whole, table, tmp_path, assert_same):
    out = tmp_path / "out"
    process = start(table, "--out", out, "--workers", 0, "--embeddings")
    until(lambda: list((out / "clips").glob("part-*")))
    kill(process.pid)
    finish(process)
    code, told, _ = batch("status", out)
    assert code == 0 and "of 302 clips done" in told and "go on: emofuse batch --resume" in told
    code, _, err = batch(table, "--out", out, "--batch-size", 8)
    assert code == 2 and "was begun otherwise: batch size 16, now 8; embeddings True, now False" in err
    code, _, err = batch("--resume", "--out", out, "--workers", 0)
    assert code == 3, err
    assert_same(out, whole)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("part-*")}
    assert batch(table, "--out", out, "--workers", 0, "--embeddings")[0] == 3
    assert {path: path.stat().st_mtime_ns for path in out.rglob("part-*")} == before, "nothing is done twice"


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_job_goes_on_and_no_clip_has_lost_an_attempt(start, batch, whole, table, tmp_path, stop, rows_of):
    out = tmp_path / "out"
    process = start(table, "--out", out, "--workers", 1, "--embeddings")
    until(lambda: turns(out))
    process.send_signal(stop)
    code, _, err = finish(process)
    assert code == 130 and "nothing is lost, and this goes on: emofuse batch --resume" in err
    assert not turns(out)
    assert batch("--resume", "--out", out, "--workers", 0)[0] == 3
    rows = zip(rows_of(out, "clips").to_pylist(), rows_of(whole, "clips").to_pylist(), strict=True)
    assert [(a["id"], name, a[name], b[name]) for a, b in rows for name in b if a[name] != b[name]] == []


def reader_of(out: Path, place: int) -> int | None:
    """The process that has a clip of the only shard open now."""
    path = out / "work" / "00000.jsonl"
    pid, is_open = None, False
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        told = json.loads(line) if line.endswith(b"}") else {}
        if "begin" in told:
            pid, is_open = told["begin"], False
        elif "end" in told or told.get("close") == place or told.get("clear") == place:
            is_open = False
        elif told.get("open") == place:
            is_open = True
    return pid if is_open else None


def test_a_clip_that_kills_its_worker_is_set_aside_after_two_attempts(start, sample, tmp_path, rows_of):
    """Who reads the clip is killed, each time: the others are there, and the job ends."""
    table, out = tmp_path / "t.csv", tmp_path / "out"
    table.write_text(f"id,media,text\na,,so sad\nkiller,{sample},\nb,,so happy\n")
    process = start(table, "--out", out, "--workers", 1)
    killed: set[int] = set()
    while len(killed) < 2:
        pid = until(lambda: p if (p := reader_of(out, 1)) and p not in killed else None)
        killed.add(pid)
        assert kill(pid)
    code, _, err = finish(process)
    assert code == 3, err
    rows = {row["id"]: row for row in rows_of(out, "clips").to_pylist()}
    assert rows["killer"]["attempts"] == 2 and "ended 2 times before it was done with it" in rows["killer"]["error"]
    assert rows["a"]["error"] is None and rows["b"]["error"] is None and rows["b"]["text"] == "so happy"
    (again,) = [json.loads(line) for line in (out / "failed.jsonl").read_text().splitlines()]
    assert (again["id"], again["media"], again["attempts"]) == ("killer", str(sample), 2)


def at_work(out: Path, process: subprocess.Popen[str]) -> list[int] | str:
    """Who is in a shard now, or that the job has ended."""
    return "ended" if process.poll() is not None else list(turns(out))


def kill_at_random(start, table, out, times: int, seed: int) -> int:
    """Kill the job's parent or one of its workers at random moments, going on each time; how many were killed."""
    draw, killed = random.Random(seed), 0
    process = start(table, "--out", out, "--workers", 2, "--embeddings", "--attempts", 50)
    while killed < times and process.poll() is None:
        found = until(partial(at_work, out, process))
        if found == "ended":
            break
        time.sleep(draw.uniform(0, 0.4))
        if draw.random() < 0.4:
            killed += kill(process.pid)
            process.communicate()
            process = start(table, "--out", out, "--workers", 2, "--embeddings", "--attempts", 50)
        else:
            killed += kill(draw.choice(found))
    assert finish(process)[0] in (0, 3)
    return killed


def test_killed_at_random_moments_the_union_of_parts_is_that_of_an_uninterrupted_run(
    start, whole, table, tmp_path, assert_same
):
    assert kill_at_random(start, table, tmp_path / "out", times=3, seed=0) > 0
    assert_same(tmp_path / "out", whole)


@pytest.mark.timeout(3600)
def test_killed_twenty_times(start, batch, tmp_path, assert_same):
    table = tmp_path / "posts.csv"
    rows = [f't{i},"{("I am so happy!", "this is not great", "sad")[i % 3]} {i}"' for i in range(3000)]
    table.write_text("\n".join(["id,text", *rows]), "utf-8")
    assert batch(table, "--out", tmp_path / "whole", "--workers", 0, "--embeddings")[0] == 0
    killed = runs = 0
    while killed < 20:
        out = tmp_path / f"out-{runs}"
        killed += kill_at_random(start, table, out, times=20 - killed, seed=runs)
        assert_same(out, tmp_path / "whole")
        runs += 1
    assert runs <= 20
