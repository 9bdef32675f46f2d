"""A clip by its address: from public machines alone, whatever a name resolves to and wherever an address leads."""

from __future__ import annotations

import asyncio
import functools
import http.server
import ipaddress
import threading
from collections.abc import Iterator

import pytest

from emofuse.serve.fetch import fetch, is_public
from emofuse.serve.problems import RefusedError


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
     "::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "::",
     "64:ff9b::10.0.0.1", "255.255.255.255", "fec0::2", "3fff::1"],
)  # fmt: skip
def test_no_address_of_a_private_network_is_public(address):
    assert not is_public(ipaddress.ip_address(address))


def test_others_are():
    assert is_public(ipaddress.ip_address("93.184.215.14")) and is_public(ipaddress.ip_address("2606:4700::1111"))


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/a.wav", "http://localhost/a.wav", "http://[::1]/", "http://2130706433/", "http://0x7f.1/",
     "http://169.254.169.254/latest/meta-data", "ftp://example.com/a", "file:///etc/passwd", "http://user:pw@1.1.1.1/",
     "http://", "gopher://127.0.0.1", "http://127.0.0.1:99999/", "//127.0.0.1/", "http://[::ffff:127.0.0.1]/"],
)  # fmt: skip
def test_addresses_that_lead_inside_are_refused(url, tmp_path, in_loop):
    with pytest.raises(RefusedError) as refused:
        in_loop(fetch(url, tmp_path, 1000, 5))
    assert refused.value.status == 422 and list(tmp_path.iterdir()) == []


class Files(http.server.BaseHTTPRequestHandler):
    """A file, redirects to it, inside and in a circle, and one that does not end."""

    def do_GET(self) -> None:
        host = self.headers["Host"]
        leads = {
            "/to": f"http://{host}/a.txt",
            "/inside": "http://10.0.0.1/",
            "/circle": "/circle",
            "/up": "file:///etc/passwd",
        }
        if self.path in leads:
            self.send_response(302)
            self.send_header("Location", leads[self.path])
            self.end_headers()
            return
        self.send_response(404 if self.path == "/none" else 200)
        if self.path == "/packed":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(b"x" * 100_000 if self.path == "/large" else b"i am so happy!")

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def server() -> Iterator[str]:
    """The address of the files."""
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    made.server_close()


def loopback(address) -> bool:
    """Only for tests: this machine stands for the open internet."""
    return address.is_loopback


def test_a_file_is_fetched_directly_and_by_a_redirect(server, tmp_path, in_loop):
    for number, path in enumerate(("/a.txt", "/to")):
        folder = tmp_path / str(number)
        folder.mkdir()
        part = in_loop(fetch(server + path, folder, 1000, 10, allowed=loopback))
        assert part.path.read_bytes() == b"i am so happy!" and part.name == "a.txt" and part.path.suffix == ".txt"


@pytest.mark.parametrize(
    ("path", "status"),
    [("/inside", 422), ("/circle", 422), ("/up", 422), ("/none", 422), ("/packed", 422), ("/large", 413)],
)
def test_what_leads_inside_in_a_circle_or_to_too_much_is_refused(server, tmp_path, path, status, in_loop):
    with pytest.raises(RefusedError) as refused:
        in_loop(fetch(server + path, tmp_path, 1000, 10, allowed=loopback))
    assert refused.value.status == status


def test_a_name_is_resolved_once_and_that_address_is_asked(server, tmp_path, monkeypatch, in_loop):
    port, asked = int(server.rpartition(":")[2]), []

    async def getaddrinfo(self, host, port, **_):
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", getaddrinfo)
    part = in_loop(fetch(f"http://rebinding.example:{port}/a.txt", tmp_path, 1000, 10, allowed=loopback))
    assert part.path.read_bytes() == b"i am so happy!"
    assert asked.count("rebinding.example") == 1


@pytest.mark.parametrize("name", ["bücher.example", "BÜCHER.example"])
def test_a_name_of_other_letters_is_asked_by_its_ascii_form(server, tmp_path, monkeypatch, in_loop, name):
    port, hosts = int(server.rpartition(":")[2]), []

    async def getaddrinfo(self, host, port, **_):
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(Files, "log_message", lambda self, *_: hosts.append(self.headers["Host"]))
    part = in_loop(fetch(f"http://{name}:{port}/a.txt", tmp_path, 1000, 10, allowed=loopback))
    assert part.path.read_bytes() == b"i am so happy!" and hosts == [f"xn--bcher-kva.example:{port}"]


def test_addresses_are_taken_only_where_the_service_says_so(serve, running, server, monkeypatch):
    refused = running.analyze(url=f"{server}/a.txt")
    assert refused.status_code == 422 and "--urls" in refused.json()["error"]["message"]
    monkeypatch.setattr("emofuse.serve.service.fetch", functools.partial(fetch, allowed=loopback))
    reply = serve(urls=True).analyze(url=f"{server}/to")
    assert reply.status_code == 200 and reply.json()["source"] == "a.txt" and reply.json()["overall"]["emotions"]
