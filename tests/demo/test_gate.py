"""Forged requests over a real socket: no path that arrives in one is ever opened, and no visitor is another."""

from __future__ import annotations

import csv
import os
import threading
import time
from pathlib import Path

import httpx
import pytest

from emofuse.demo.feedback import Correction, save
from emofuse.demo.gate import Names
from emofuse.demo.settings import Settings


def file(path) -> dict:
    """A path as Gradio's boxes name a file."""
    return {"path": str(path), "url": f"/gradio_api/file={path}", "meta": {"_type": "gradio.FileData"}}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where the page of this module writes corrections."""
    return tmp_path_factory.mktemp("gate") / "feedback"


@pytest.fixture(scope="module")
def page(start, kept):
    """A page that takes corrections, and has no others' on it."""
    with start(Settings(feedback=kept, minutes=0.5, characters=2000)) as served:
        yield served


@pytest.fixture
def visitor(call, page):
    """Somebody who uses the page."""
    return call(page)


@pytest.fixture
def victim(call, page):
    """Somebody else, whose upload's path and page's name are known to the visitor."""
    return call(page)


@pytest.fixture
def secret(tmp_path, samples):
    """A file of the server that a handler of any kind could read."""
    path = tmp_path / "secret.flac"
    path.write_bytes((samples / "voice.flac").read_bytes())
    return path


def answer(visitor, shown) -> None:
    """Have words predicted, so that there is something to correct."""
    status, *_ = visitor.queue("run_text", "I am so happy")
    assert shown(status)["stage"] == "finished"


def told(answered, shown) -> str:
    """What a correction was answered with."""
    return shown(answered.raise_for_status().json()["data"][0])["stage"]


def test_a_correction_takes_no_file_of_the_server(visitor, shown, kept, secret):
    answer(visitor, shown)
    for forged in (str(secret), "/etc/passwd", str(kept / ".." / "secret.flac"), "x", 7, [str(secret)]):
        assert told(visitor.run("correct_text", "joy", True, -1, forged), shown) == "feedback_no_media"
    assert visitor.run("correct_text", "joy", True, -1, file(secret)).status_code == 403
    assert not kept.exists() and secret.exists()


def test_a_correction_takes_no_upload_of_another_visitor(visitor, victim, shown, kept, secret):
    theirs = victim.give("voice.flac", secret.read_bytes())
    answer(visitor, shown)
    for forged in (theirs["path"], theirs):
        assert told(visitor.run("correct_text", "joy", True, -1, forged), shown) == "feedback_no_media"
    assert not kept.exists() and victim.http.get(theirs["url"]).content == secret.read_bytes()


def test_a_correction_is_of_the_answer_that_was_given_here(visitor, victim, call, page, shown, kept):
    """The answer is remembered on the server: another page has none, and no argument makes one."""
    answer(victim, shown)
    assert told(visitor.run("correct_text", "joy", True, -1, ""), shown) == "feedback_no_answer"
    stolen = call(page, victim.page)
    assert stolen.run("correct_text", "joy", True, -1, "").status_code == 403
    answer(visitor, shown)
    for chosen in (None, True, 0.5, 1, -2, "0", [0]):
        assert told(visitor.run("correct_text", "joy", True, chosen, ""), shown) == "feedback_no_segment"
    for choice in (None, "joyy", 3, ["joy"]):
        assert told(visitor.run("correct_text", choice, True, -1, ""), shown) == "feedback_no_choice"
    for consent in (None, False, "yes", 1):
        assert told(visitor.run("correct_text", "joy", consent, -1, ""), shown) == "feedback_no_consent"
    assert not kept.exists()


def test_a_correction_of_what_was_given_is_kept(visitor, shown, kept, secret):
    answer(visitor, shown)
    mine = visitor.give("voice.flac", secret.read_bytes())
    assert told(visitor.run("correct_text", "anger", True, 0, mine["path"]), shown) == "feedback_saved"
    (row,) = csv.DictReader((kept / "manifest.csv").read_text(encoding="utf-8").splitlines())
    assert (kept / row["media"]).read_bytes() == secret.read_bytes() and row["emotion"] == "anger"
    assert visitor.http.get(mine["url"]).status_code == 403


def test_only_what_was_uploaded_here_is_predicted(visitor, victim, shown, secret):
    theirs = victim.give("voice.flac", secret.read_bytes())
    for forged in (secret, "/etc/passwd", "http://127.0.0.1:9/voice.flac", "../voice.flac"):
        assert visitor.join("run_file", file(forged), "", False).status_code == 403
    status, *_ = visitor.queue("run_file", theirs, "", False)
    assert shown(status)["error"] == "error_gone"
    for forged in (theirs["path"], str(secret), "/etc/passwd", "failed", 7, [theirs], [str(secret)]):
        status, *_ = visitor.queue("run_file", forged, "", False)
        assert shown(status)["error"] == "error_gone"
    for words, blur in (({"a": 1}, False), ("", None), ("", "yes"), (["x"], True)):
        status, *_ = visitor.queue("run_file", None, words, blur)
        assert shown(status)["error"] == "error_request"
    assert victim.http.get(theirs["url"]).content == secret.read_bytes()


def test_only_a_transcript_that_was_uploaded_here_is_read(visitor, victim, tmp_path):
    words = tmp_path / "diary.txt"
    words.write_text("the password is swordfish")
    theirs = victim.give("diary.txt", words.read_bytes())
    assert visitor.run("read_words", file(words)).status_code == 403
    for forged in (theirs, theirs["path"], str(words), 7, [str(words)]):
        assert "swordfish" not in visitor.run("read_words", forged).text
    assert victim.run("read_words", theirs).json()["data"] == ["the password is swordfish"]


def test_live_sound_and_pictures_are_this_visitors(visitor, victim, shown, secret, samples, tmp_path):
    picture = samples / "face.jpg"
    heard, seen = victim.give("voice.flac", secret.read_bytes()), victim.give("face.jpg", picture.read_bytes())
    assert visitor.run("turn", file(secret), "", False).status_code == 403
    assert visitor.run("turn", "", file(picture), False).status_code == 403
    for forged in (heard, heard["path"], seen["path"], str(secret), str(picture), 7, [str(secret)], None):
        for given in ((forged, ""), ("", forged)):
            assert visitor.run("turn", *given, False).raise_for_status().json()["data"] == [None]
    assert visitor.http.post("/gradio_api/stream/x", json=visitor.body("turn", "", "", False)).status_code == 404
    now = victim.run("turn", heard["path"], seen["path"], False).json()["data"][0]
    assert now["present"] == ["speech", "face"] and secret.exists() and picture.exists()
    assert [victim.http.get(given["url"]).status_code for given in (heard, seen)] == [403, 403]


def test_downloads_are_this_visitors(visitor, victim, secret, kept):
    theirs = victim.give("voice.flac", secret.read_bytes())
    for path in (theirs["path"], secret, "/etc/passwd", "http://127.0.0.1:9/x", kept):
        for route in ("/gradio_api/file=", "/gradio_api/file/", "/gradio_api/proxy="):
            assert visitor.http.get(f"{route}{path}").status_code in (403, 404)
    mine = visitor.http.get(visitor.give("a.flac", secret.read_bytes())["url"])
    assert mine.content == secret.read_bytes() and mine.headers["cache-control"] == "no-store"


def test_routes_that_the_page_does_not_use_are_not_there(visitor):
    for path in ("call/run_text", "call/v2/run_text", "api/run_text", "process_recording", "component_server"):
        assert visitor.http.post(f"/gradio_api/{path}", json=visitor.body("run_text", "x")).status_code == 404
    for path in (
        "/emofuse/js/main.py",
        "/emofuse/js/../../demo.css",
        "/emofuse/samples/make_sample.py",
        "/emofuse/x.js",
        "/gradio_api/openapi.json",
        "/monitoring",
        "/gradio_api/deep_link",
        "/docs",
        "/login",
    ):
        assert visitor.http.get(path).status_code == 404
    assert visitor.http.put("/gradio_api/upload").status_code == 404


def test_a_page_is_one_browsers_and_needs_its_cookie(visitor, victim, page):
    assert victim.run("forget").status_code == 200
    body = victim.body("cancel_text") | {"event_id": "x"}
    for path in ("run/forget", "queue/join", "cancel"):
        assert visitor.http.post(f"/gradio_api/{path}", json=body).status_code == 403
    for path in (f"heartbeat/{victim.page}", f"queue/data?session_hash={victim.page}"):
        assert visitor.http.get(f"/gradio_api/{path}").status_code == 403
    visitor.http.cookies.clear()
    for sent in ("", "nobody", "nobody.0123", '"'):
        headers = {"cookie": f"{page.visitors.cookie}={sent}"}
        got = visitor.http.post("/gradio_api/run/forget", json=visitor.body("forget"), headers=headers)
        assert got.status_code == 403
    assert visitor.upload("a.txt", b"x").status_code == 403


def test_what_is_no_request_of_the_page_is_refused(visitor):
    send = visitor.http.post
    assert send("/gradio_api/run/predict", content=b"{").status_code == 400
    assert send("/gradio_api/run/predict", content=b"[" * 100_000).status_code == 400
    assert send("/gradio_api/run/predict", content=b"x" * 1_000_001).status_code == 413
    for page in (7, "", "x" * 65, ["a"]):
        body = visitor.body("forget") | {"session_hash": page}
        assert send("/gradio_api/run/predict", json=body).status_code == 403


def test_an_upload_is_one_file_of_a_size_with_a_harmless_name(visitor, page):
    two = [("files", ("a.txt", b"a")), ("files", ("b.txt", b"b"))]
    assert visitor.http.post("/gradio_api/upload", files=two).status_code == 400
    assert visitor.http.post("/gradio_api/upload", data={"files": "/etc/passwd"}).status_code == 400
    assert visitor.http.post("/gradio_api/upload", content=b"x").status_code == 400
    for name in ("../../up.txt", "/etc/passwd", "..", ".bashrc", "a\x00b.txt", "中" * 300 + ".txt"):
        path = visitor.give(name, b"x")["path"]
        assert Path(path).parent.parent == page.uploads.folder
    assert sum(1 for _ in page.uploads.folder.iterdir()) == len(page.uploads._known)


def test_equal_files_of_two_visitors_are_two(visitor, victim):
    mine, theirs = (one.give("same.txt", b"the same") for one in (visitor, victim))
    assert mine["path"] != theirs["path"]
    visitor.run("read_words", mine)
    assert visitor.http.get(mine["url"]).status_code == 403 and victim.http.get(theirs["url"]).status_code == 200


def test_a_pipe_or_a_link_is_refused_and_blocks_nobody(tmp_path, clip):
    pipe, link = tmp_path / "pipe.wav", tmp_path / "link.mp4"
    os.mkfifo(pipe)
    link.symlink_to(clip)
    refused = []

    def forged() -> None:
        for path in (pipe, link, tmp_path):
            try:
                save(tmp_path / "kept", Correction("joy", path, "x", "a"), "I agree")
            except OSError as error:
                refused.append(error)

    one = threading.Thread(target=forged, daemon=True)
    one.start()
    other = threading.Thread(target=save, args=(tmp_path / "kept", Correction("joy", clip, "x", "b"), "I agree"))
    other.daemon = True
    other.start()
    other.join(20)
    one.join(20)
    assert not other.is_alive() and len(refused) == 3
    assert [path.suffix for path in (tmp_path / "kept" / "media").iterdir()] == [".mp4"]


def test_a_name_that_is_not_this_machines_is_refused(visitor, call, page, start):
    port = page.url.rstrip("/").rpartition(":")[2]
    for host in ("rebound.example", f"rebound.example:{port}", "127.0.0.1.example", "", "[::1", "192.0.2.7"):
        for path in ("/", "/config", "/gradio_api/heartbeat/x"):
            assert visitor.http.get(path, headers={"host": host}).status_code in (400, 421)
        body = visitor.body("forget")
        assert visitor.http.post("/gradio_api/run/forget", json=body, headers={"host": host}).status_code in (400, 421)
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", "[::1]:9"):
        assert visitor.http.get("/", headers={"host": host}).status_code == 200


def test_names_are_those_of_the_host_and_those_that_were_given():
    own, everywhere = Names("127.0.0.1", ["Demo.Example"]), Names("0.0.0.0")
    assert [own.has(name) for name in ("demo.example", "demo.example:80", "192.0.2.7", "2130706433")] == [
        True, True, False, False
    ]  # fmt: skip
    assert everywhere.has("192.0.2.7:7860") and everywhere.has("[2001:db8::1]") and not everywhere.has("evil.example")
    own.add("https://abc.share.example/")
    own.add(None)
    assert own.has("abc.share.example") and not own.has("share.example")


def test_another_origin_is_refused_everywhere(visitor, page):
    for origin in ("https://evil.example", "null", "http://localhost:1", f"{page.url.rstrip('/')}.evil.example"):
        headers = {"origin": origin}
        assert visitor.upload("a.txt", b"x", headers=headers).status_code == 403
        assert (
            visitor.http.post("/gradio_api/run/forget", json=visitor.body("forget"), headers=headers).status_code == 403
        )
        assert visitor.http.get("/config", headers=headers).status_code == 403
    for site in ("cross-site", "same-site"):
        assert visitor.upload("a.txt", b"x", headers={"sec-fetch-site": site}).status_code == 403
    own = {"origin": page.url.rstrip("/"), "sec-fetch-site": "same-origin"}
    assert visitor.upload("a.txt", b"x", headers=own).status_code == 200


def test_every_answer_tells_the_browser_to_keep_it_to_itself(visitor):
    mine = visitor.give("a.txt", b"x")
    for path in ("/", "/config", "/theme.css", mine["url"], "/nowhere", "/gradio_api/file=/etc/passwd"):
        headers = visitor.http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
    cookie = httpx.get(visitor.http.base_url, trust_env=False).headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie


def test_an_upload_that_takes_too_long_or_is_cut_off_leaves_nothing(start, call):
    with start(Settings(upload_seconds=1.0, megabytes=1)) as served:
        one = call(served)

        def slowly():
            yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n'
            for _ in range(40):
                time.sleep(0.1)
                yield b"a"

        headers = {"content-type": "multipart/form-data; boundary=x"}
        assert one.http.post("/gradio_api/upload", content=slowly(), headers=headers).status_code == 408
        assert one.upload("a.bin", b"x" * 1_000_001).status_code == 413
        assert list(served.uploads.folder.iterdir()) == []


def test_an_upload_is_kept_for_a_stated_time_even_from_who_never_signs_off(start, call):
    with start(Settings(orphaned=1.0)) as served:
        began = time.monotonic()
        forgotten = call(served).give("a.mp4", b"x")
        while Path(forgotten["path"]).exists():
            assert time.monotonic() - began < 20
            time.sleep(0.1)
        assert time.monotonic() - began > 0.9


def test_a_visitor_has_so_much_work_an_hour_and_is_told(start, call, shown, samples):
    with start(Settings(visit_seconds=0.001)) as served:
        one = call(served)
        assert shown(one.queue("run_text", "I am so happy")[0])["error"] == "error_slow"
        refused = shown(one.queue("run_text", "I am so happy")[0])
        assert refused["error"] == "error_spent" and refused["values"] == {"valid": "0:00"}
        heard = one.give("voice.flac", (samples / "voice.flac").read_bytes())
        assert one.run("turn", heard["path"], "", False).json()["data"][0]["error"] == "error_spent"


def test_a_live_session_ends_after_its_time(start, call):
    with start(Settings(live_limit=0.5)) as served:
        one = call(served)

        def turn():
            return one.run("turn", "", "", False).json()["data"][0]

        assert turn() is None
        time.sleep(0.6)
        assert turn()["ended"] is True
        assert turn() is None
