"""Uploads that mean harm, made and seeded here: each is refused as refusals are, and leaves nothing behind."""

from __future__ import annotations

import gzip
import io
import json
import random
import socket
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import pytest

PAYLOADS = 300
NAMES = (
    "../../etc/passwd", "..\\..\\windows\\system.ini", "/etc/passwd", "a\0.mp4", "x" * 5000 + ".mp4", "", ".", "..",
    "file:///etc/passwd", "http://127.0.0.1/x.mp4", "a;rm -rf ~.wav", "$(id).wav", "\u202egpj.exe", "concat:a|b", "-i",
    'a"; filename="b', "%s%n.mp4", "a.mp4/", "🙂.mp4", "pipe:0", "a.m3u8", "a.srt", "a.txt", "a.npy", "a.svg",
)  # fmt: skip


def zip_bomb(_: random.Random) -> bytes:
    """Forty megabytes of noughts."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.mp4", b"\0" * 40_000_000)
    return out.getvalue()


def gzip_bomb(_: random.Random) -> bytes:
    """The same, by another name."""
    return gzip.compress(b"\0" * 40_000_000, mtime=0)


def png_bomb(rng: random.Random) -> bytes:
    """A picture whose head announces more pixels than there is memory for."""
    side = rng.choice((30_000, 60_000, 2**31 - 1))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100_000))
        + chunk(b"IEND", b"")
    )


def tar_of_links(_: random.Random) -> bytes:
    """An archive with a link out of its folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        link = tarfile.TarInfo("a.mp4")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    return out.getvalue()


def playlist(rng: random.Random) -> bytes:
    """A text that a media library might follow to another file or host."""
    return rng.choice(
        (
            b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
            b"ffconcat version 1.0\nfile /etc/passwd\n",
            b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/x.ts\n",
            b'<?xml version="1.0"?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>',
            b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
            b"RTSPtext\nrtsp://127.0.0.1/\n",
        )
    )


def wav_of_lies(rng: random.Random) -> bytes:
    """Sound that announces other sizes than it has."""
    fields = [rng.choice((0, 1, 2**16 - 1, 65)), rng.choice((0, 2**32 - 1, 7)), rng.choice((0, 2**16 - 1))]
    head = struct.pack("<HHIIHH", 1, fields[0], fields[1], 2**32 - 1, fields[2], rng.choice((0, 3, 64)))
    return b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<I", 16) + head + b"data\xff\xff\xff\xff" + rng.randbytes(300)


def npy_of_lies(rng: random.Random) -> bytes:
    """An array that announces more than it has, or objects, or code."""
    head = rng.choice(
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }",
            "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
            "__import__('os').system('id')",
            "{'descr': '<f4', 'shape': (" + "1," * 300 + "), 'fortran_order': False}",
            "(" * 900,
        )
    )
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head) + 1) + head.encode() + b"\n" + rng.randbytes(64)


def mp4_of_lies(rng: random.Random) -> bytes:
    """Boxes whose sizes do not fit."""
    boxes = (b"ftyp", b"moov", b"trak", b"mdat", b"stsz", b"cmov")
    body = b"".join(
        struct.pack(">I", rng.choice((0, 1, 8, 2**31))) + rng.choice(boxes) + rng.randbytes(24) for _ in range(12)
    )
    return b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + body


def polyglot(rng: random.Random) -> bytes:
    """One kind's beginning before another's."""
    heads = (
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"PK\x03\x04",
        b"%PDF-1.7\n",
        b"ID3\x03\0\0\0\0\0\0",
        b"OggS\0\2",
        b"RIFF\0\0\0\0WEBP",
    )
    return rng.choice(heads) + rng.choice(KINDS[:-1])(rng)[:5000]


def noise(rng: random.Random) -> bytes:
    """Anything."""
    return rng.randbytes(rng.randrange(0, 3000))


KINDS: tuple[Callable[[random.Random], bytes], ...] = (
    zip_bomb, gzip_bomb, png_bomb, tar_of_links, playlist, wav_of_lies, npy_of_lies, mp4_of_lies, noise, polyglot,
)  # fmt: skip
MADE: dict[str, bytes] = {}


def payload(seed: int) -> tuple[str, str, bytes]:
    """(part, name, content) of a seed."""
    rng = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    if kind in (zip_bomb, gzip_bomb):
        content = MADE.setdefault(kind.__name__, kind(rng) if kind.__name__ not in MADE else b"")
    else:
        content = kind(rng)
    part = rng.choice(("file", "file", "image", "transcript", "audio"))
    return part, rng.choice((*NAMES, "a.mp4", "a.wav", "a.png", "a.jpg")), content


def test_three_hundred_payloads_are_refused_or_answered_and_leave_nothing(serve):
    running = serve(megabytes=5, answer_seconds=60)
    private = str(running.service.workspace.folder)
    seen = set()
    for seed in range(PAYLOADS):
        part, name, content = payload(seed)
        body = form(part, name, content)
        reply = running.client.post("/v1/analyze", content=body, headers=FORM)
        seen.add(reply.status_code)
        where = f"seed {seed}: {part} {name[:40]!r}: {reply.status_code} {reply.text[:200]}"
        assert reply.status_code in (200, 413, 422), where
        assert "root:" not in reply.text and private not in reply.text and "Traceback" not in reply.text, where
        if reply.status_code != 200:
            assert reply.json()["error"].keys() == {"code", "message"}, where
    assert 422 in seen and running.left_over == [] and running.service.admission.count == 0
    assert running.analyze(text="sad").status_code == 200


FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def form(part: str, name: str, content: bytes) -> bytes:
    """A form as no library would write it: the name goes in as it is."""
    head = b'--b\r\nContent-Disposition: form-data; name="' + part.encode() + b'"; filename="'
    rate = b'--b\r\nContent-Disposition: form-data; name="rate"\r\n\r\n16000\r\n'
    return rate + head + name.encode() + b'"\r\n\r\n' + content + b"\r\n--b--\r\n"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", FORM),
        (b"--b", FORM),
        (b"--b--\r\n", FORM),
        (b"--c\r\n\r\n--c--", FORM),
        (b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\n\xff\xfe\r\n--b--\r\n', FORM),
        (b"--b\r\n" + b"X: y\r\n" * 5000 + b"\r\n--b--\r\n", FORM),
        (b"--b\r\nX: " + b"y" * 100_000 + b"\r\n\r\n--b--\r\n", FORM),
        (b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\nx\r\n' * 50 + b"--b--\r\n", FORM),
        (b'--b\r\nContent-Disposition: form-data; name="other"; filename="a"\r\n\r\nx\r\n--b--\r\n', FORM),
        (b"x", {"Content-Type": "multipart/form-data"}),
        (b"x", {"Content-Type": "multipart/form-data; boundary=" + "b" * 5000}),
        (b"[" * 200_000, {"Content-Type": "application/json"}),
        (b'{"text": ' + b"9" * 5000 + b"}", {"Content-Type": "application/json"}),
        (b'{"text": {"$ne": 1}}', {"Content-Type": "application/json"}),
        (b'{"text": "\\ud800"}', {"Content-Type": "application/json"}),
        (b"\xff\xfe{", {"Content-Type": "application/json"}),
        (gzip.compress(b"{}", mtime=0), {"Content-Type": "application/json", "Content-Encoding": "gzip"}),
        (b"text=hello", {"Content-Type": "application/x-www-form-urlencoded"}),
        (b"hello", {}),
    ],
)
def test_bodies_that_are_none_are_refused(running, body, headers):
    reply = running.client.post("/v1/analyze", content=body, headers=headers)
    assert reply.status_code in (200, 413, 415, 422) and "Traceback" not in reply.text
    if reply.status_code == 200:
        assert b"ud800" in body or b"999" in body
    assert running.left_over == []


@pytest.mark.parametrize("more", [b"X: " + b"y" * 5000 + b"\r\n", b"X: y\r\n" * 9])
def test_a_part_with_more_headers_than_any_needs_is_refused(running, more):
    head = b'Content-Disposition: form-data; name="text"\r\n'
    for between, status in ((b"", 200), (more, 422)):
        body = b"--b\r\n" + head + between + b"\r\nso sad\r\n--b--\r\n"
        reply = running.client.post("/v1/analyze", content=body, headers=FORM)
        assert reply.status_code == status
    assert "the form cannot be read" in reply.json()["error"]["message"]


def test_headers_that_are_too_large_are_refused(running):
    for headers in ({"X": "y" * 100_000}, {f"X{i}": "y" * 1000 for i in range(100)}):
        reply = running.client.get("/v1/models", headers=headers)
        assert reply.status_code in (400, 431)
    assert running.client.get("/healthz").status_code == 200


UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
UPGRADE += "Sec-WebSocket-Key: YWJjZGVmZ2hpamtsbW5vcA==\r\n"


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/v1/models", "a: b\r\n" * 5400, 200),
        ("/v1/models", "a: b\r\n" * 7500, 431),
        ("/v1/models?" + "x" * 45_000, "", 431),
        ("/v1/stream", UPGRADE + "a: b\r\n" * 7500, 431),
        ("/v1/stream", UPGRADE + "a: b\r\n" * 200, 431),
        ("/v1/stream", UPGRADE + f"a: {'b' * 9000}\r\n", 431),
        ("/v1/stream", UPGRADE + f"a: {'b' * 7900}\r\n" * 4, 101),
    ],
)
def test_a_head_in_one_piece_is_measured_as_it_was_sent(running, target, headers, status):
    """Short headers, the address and what opens a stream; a stream's own reader stopped without an answer."""
    host, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
        reply = connection.recv(4000)
        while status == 431 and not reply.endswith(b"}}") and (more := connection.recv(4000)):
            reply += more
    assert reply.split(b" ")[1] == str(status).encode(), reply[:200]
    assert (b'"code":"too_large"' in reply) == (status == 431)


def test_a_request_that_follows_an_answer_and_never_ends_is_hung_up_on(serve, monkeypatch):
    monkeypatch.setattr("emofuse.serve.server.KEPT", 6)
    running = serve(header_seconds=1.0)
    host, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=40) as connection:
        for _ in range(2):  # what is sent whole is answered, however often
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            reply = b""
            while b'"ok"}' not in reply:
                reply += connection.recv(4000)
            assert reply.startswith(b"HTTP/1.1 200")
        connection.sendall(b"G")
        began = time.monotonic()
        assert connection.recv(4000) == b"" and 3 < time.monotonic() - began < 20


HALF = "\ud800"
"""Half a character, as JSON may hold it."""


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"acts": json.dumps([{"name": HALF, "do": "x"}])}, 422),
        ({"acts": json.dumps([{"name": "😀", "do": "soothe", "when": {"emotion": ["joy"]}}])}, 200),
        ({"labels": json.dumps([HALF, "relieved"])}, 200),
        ({"labels": json.dumps({"relieved": [HALF]})}, 200),
        ({"rules": json.dumps({HALF: 1})}, 422),
        ({"speaker": HALF}, 422),
        ({"context": json.dumps([HALF])}, 422),
        ({HALF: "x"}, 422),
    ],
)
def test_half_a_character_anywhere_is_answered_and_ends_nobodys_jobs(serve, tmp_path, fields, status):
    running = serve(state=tmp_path / "state")
    sent = {"content": json.dumps({"text": "so sad", **fields}), "headers": {"Content-Type": "application/json"}}
    reply = running.client.post("/v1/analyze", **sent)
    assert reply.status_code == status, reply.text
    for _ in range(2):
        reply = running.client.post("/v1/jobs", **sent)
        job = {"state": "failed"} if reply.status_code == 422 else reply.json()
        end = time.monotonic() + 60
        while job["state"] in ("queued", "running"):
            assert time.monotonic() < end
            time.sleep(0.02)
            job = running.client.get(f"/v1/jobs/{job['id']}").json()
        assert job["state"] == ("done" if status == 200 else "failed")


@pytest.mark.parametrize("rate", ["9" * 400, "0", "-1", "7999"])
def test_a_rate_that_no_sound_has_is_refused(running, wav, rate):
    out = io.BytesIO()
    np.save(out, np.zeros(16_000, np.int16))
    reply = running.client.post("/v1/analyze", files={"audio": out.getvalue()}, data={"rate": rate})
    assert reply.status_code == 422 and "'rate'" in reply.json()["error"]["message"]


def test_an_array_of_another_kind_than_it_says_is_refused(running):
    out = io.BytesIO()
    np.save(out, np.array(["a"], dtype=object), allow_pickle=True)
    for content in (out.getvalue(), b"\x93NUMPY", b"\x93NUMPY\x09\x00" + b"x" * 50):
        reply = running.client.post("/v1/analyze", files={"audio": content}, data={"rate": "16000"})
        assert reply.status_code == 422, reply.text
