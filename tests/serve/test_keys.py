"""Keys: hashed, compared in constant time, asked for before anything is read."""

from __future__ import annotations

import contextlib
import hmac
import time

import httpx
import pytest

from emofuse.errors import EmofuseError
from emofuse.serve.keys import KeyRing, add_key


def test_a_key_is_kept_as_its_hash_and_known_again(tmp_path):
    path = tmp_path / "keys"
    first, second = add_key(path, "ann", 60), add_key(path, "bob")
    assert first not in path.read_text() and first != second and path.stat().st_mode & 0o077 == 0
    ring = KeyRing.read(path)
    assert ring.caller(first).name == "ann" and ring.caller(first).quota == 60
    assert ring.caller(second).name == "bob" and ring.caller(second).quota is None
    assert ring.caller("") is None and ring.caller(first[:-1]) is None and ring.caller("\ud800") is None


def test_every_hash_is_compared_in_constant_time_whichever_is_right(tmp_path, monkeypatch):
    path = tmp_path / "keys"
    keys = [add_key(path, f"key{i}") for i in range(5)]
    ring, compared = KeyRing.read(path), []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(a) or real(a, b))
    for key in (keys[0], keys[4], "wrong"):
        compared.clear()
        ring.caller(key)
        assert len(compared) == 5


@pytest.mark.parametrize(
    "line", ["ann plain-key", "ann sha256:abc", "sha256:" + "0" * 64, "ann sha256:" + "0" * 64 + " x"]
)
def test_a_file_of_anything_else_is_refused(tmp_path, line):
    path = tmp_path / "keys"
    path.write_text(line + "\n")
    with pytest.raises(EmofuseError, match="line 1 is not a key; valid"):
        KeyRing.read(path)


def test_a_file_without_a_key_is_refused_and_a_name_is_taken_once(tmp_path):
    path = tmp_path / "keys"
    path.write_text("# nobody yet\n")
    with pytest.raises(EmofuseError, match="holds no key"):
        KeyRing.read(path)
    with pytest.raises(EmofuseError, match="cannot read the keys"):
        KeyRing.read(tmp_path / "none")
    add_key(tmp_path / "other", "ann")
    with pytest.raises(EmofuseError, match="already"):
        add_key(tmp_path / "other", "ann")
    with pytest.raises(EmofuseError, match="cannot name a key"):
        add_key(tmp_path / "other", "a b")


@pytest.mark.parametrize("quota", [1e6, 123456.78, 86_400_000.0, 0.5])
def test_a_quota_is_written_as_it_is_read(tmp_path, quota):
    path = tmp_path / "keys"
    path.write_text("# the calls of the support line\n")
    key = add_key(path, "ann", quota)
    assert KeyRing.read(path).caller(key).quota == quota and path.read_text().startswith("# the calls")


def test_what_is_no_quota_or_no_file_of_keys_is_refused(tmp_path):
    for quota in (float("inf"), float("nan"), 0.0, -1.0):
        with pytest.raises(EmofuseError, match="give a number above 0"):
            add_key(tmp_path / "keys", "ann", quota)
    (tmp_path / "latin").write_bytes(b"\xe4nn\n")
    for path in (tmp_path, tmp_path / "latin"):
        with pytest.raises(EmofuseError, match="cannot read the keys"):
            add_key(path, "ann")
    assert not (tmp_path / "keys").exists()


def test_nobody_without_a_key_is_answered_and_their_body_is_not_read(serve, tmp_path):
    path = tmp_path / "keys"
    key = add_key(path, "ann")
    running = serve(keys=path)
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": key}, {"Authorization": f"Basic {key}"}):
        reply = running.client.post("/v1/analyze", json={"text": "hello"}, headers=headers)
        assert reply.status_code == 401 and reply.headers["www-authenticate"] == "Bearer"
        assert running.client.get("/v1/models", headers=headers).status_code == 401
    assert running.client.get("/healthz").status_code == 200
    good = running.client.post("/v1/analyze", json={"text": "hello"}, headers={"Authorization": f"Bearer {key}"})
    assert good.status_code == 200


def test_a_body_that_nobody_reads_is_not_let_in_for_ever(serve, tmp_path):
    add_key(tmp_path / "keys", "ann")
    running = serve(keys=tmp_path / "keys")
    began = time.monotonic()
    never_ending = (b"x" * 10_000 for _ in iter(int, 1))
    with contextlib.suppress(httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError):
        httpx.post(f"{running.url}/v1/analyze", content=never_ending, timeout=30)
    assert time.monotonic() - began < 15
