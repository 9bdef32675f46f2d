"""The gate: what reaches Gradio is what a page of this demo asks for, from this demo's address, for its own files."""

from __future__ import annotations

import ipaddress
import json
import re
import socket
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emofuse.demo.assets import ADDRESS
from emofuse.demo.receive import receive_upload
from emofuse.demo.settings import Settings
from emofuse.demo.uploads import Uploads
from emofuse.demo.visitors import Visitors

READ = re.compile(
    ADDRESS.pattern + r"|/|/config/?|/theme\.css|/favicon\.ico|/manifest\.json|/robots\.txt|/(assets|static|svelte)/.*|"
    r"/gradio_api/("
    r"theme\.css|info/?|startup-events|app_id/?|queue/data|upload_progress|heartbeat/[^/]+|file=.*|custom_component/.*)"
)
"""What may be read."""
WRITE = re.compile(r"/gradio_api/(upload|queue/join|cancel|reset/?|run/[^/]+)")
"""What may be sent to."""
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
}
"""What every answer says, unless it says more."""
LONGEST = 1_000_000
"""Bytes of a request that is no upload."""


class Names:
    """The names under which the page may be asked for.

    A page of a stranger can point its own name at this machine; the browser then sends that name, which is not one of
    these. An address in numbers cannot be pointed anywhere.
    """

    def __init__(self, host: str, others: Sequence[str] = ()) -> None:
        self._names = {host, "localhost", *(name.lower() for name in others)}
        self._open = host not in ("localhost", "127.0.0.1", "::1")
        if self._open:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    def add(self, address: str | None) -> None:
        """Take the host of a public address, too."""
        if address and (host := urlsplit(address).hostname):
            self._names.add(host)

    def has(self, host: str) -> bool:
        """Whether a request's Host may be answered."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            return self._open or ipaddress.ip_address(name).is_loopback if _numeric(name) else False
        except ValueError:
            return False


class Gate:
    """Refuses before Gradio reads a request: other routes, other visitors' pages and files, files by their path."""

    def __init__(self, app: ASGIApp, names: Names, visitors: Visitors, uploads: Uploads, settings: Settings) -> None:
        self.app, self.names, self.visitors, self.uploads, self.settings = app, names, visitors, uploads, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(Request(scope, receive), send)

    async def _http(self, request: Request, send: Send) -> None:
        browser = self.visitors.browser_of(request)
        given = None if browser else self.visitors.issue()
        answer, receive = await self._decide(request, browser)

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._dress(MutableHeaders(scope=message), request, given)
            await send(message)

        await (answer or self.app)(request.scope, receive, dressed)

    async def _decide(self, request: Request, browser: str | None) -> tuple[Response | None, Receive]:
        """(the refusal, or None where Gradio answers; what is read of the request from here on)."""
        if not self.names.has(request.headers.get("host", "")):
            return PlainTextResponse("this page has another name; see --name", 421), request.receive
        if not _same_origin(request):
            return PlainTextResponse("this page is asked only by itself", 403), request.receive
        path, writes = own_path(request.scope), request.method == "POST"
        if request.method not in ("GET", "HEAD", "POST") or not (WRITE if writes else READ).fullmatch(path):
            return PlainTextResponse("there is nothing here", 404), request.receive
        if browser is None:
            private = writes or path.startswith(("/gradio_api/queue", "/gradio_api/file=", "/gradio_api/heartbeat"))
            return (PlainTextResponse("open the page first", 403) if private else None), request.receive
        if not writes:
            return self._read(request, path, browser), request.receive
        if path == "/gradio_api/upload":
            most, seconds = self.settings.megabytes * 1_000_000, self.settings.upload_seconds
            return await receive_upload(request, browser, self.uploads, most, seconds), request.receive
        return await self._write(request, browser)

    def _read(self, request: Request, path: str, browser: str) -> Response | None:
        page = request.query_params.get("session_hash", "") if path.endswith("/queue/data") else None
        if "/heartbeat/" in path:
            page = path.rpartition("/")[2]
        if page is not None and not self.visitors.admit(browser, page):
            return PlainTextResponse("this page is another visitor's", 403)
        file = path.partition("/gradio_api/file=")[2]
        if file and not self.uploads.belongs(browser, file):
            return PlainTextResponse("there is no such file of yours", 403)
        return None

    async def _write(self, request: Request, browser: str) -> tuple[Response | None, Receive]:
        body = bytearray()
        async for chunk in request.stream():
            body.extend(chunk)
            if len(body) > LONGEST:
                return PlainTextResponse("this is too long", 413), request.receive
        return self._refusal(bytes(body), browser), _again(bytes(body), request.receive)

    def _refusal(self, body: bytes, browser: str) -> Response | None:
        try:
            said = json.loads(body) if body else {}
            paths = list(_paths(said))
        except (ValueError, RecursionError):
            return PlainTextResponse("this is not JSON", 400)
        page = said.get("session_hash") if isinstance(said, dict) else None
        if page is not None and not self.visitors.admit(browser, page):
            return PlainTextResponse("this page is another visitor's", 403)
        if not all(isinstance(path, str) and self._within(path) for path in paths):
            return PlainTextResponse("a file is uploaded, not named", 403)
        return None

    def _within(self, path: str) -> bool:
        """Whether a path could be an upload's; whose it is, the handlers ask. No file is looked at."""
        pure = PurePath(path)
        return pure.is_relative_to(self.uploads.folder) and ".." not in pure.parts

    def _dress(self, headers: MutableHeaders, request: Request, given: str | None) -> None:
        """What tells a browser to keep the page to itself; and a cookie, where it has none."""
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if given is not None and own_path(request.scope) in ("", "/"):
            headers.append("set-cookie", f"{self.visitors.cookie}={given}; Path=/; HttpOnly; SameSite=Strict")
        if "/file=" in request.url.path:
            headers["cache-control"] = "no-store"


def own_path(scope: Scope) -> str:
    """The path of a request as the page sees it, wherever the page is mounted."""
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def _same_origin(request: Request) -> bool:
    """Whether a request comes from the page itself, or from a program that says of no page that it came from it."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
    if request.method == "POST" and site not in ("same-origin", "none"):
        return False
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")


def _numeric(name: str) -> bool:
    """Whether a host is an address in numbers."""
    return ":" in name or name.replace(".", "").isdigit()


def _paths(value: Any) -> Any:
    """Every path that stands in what Gradio would take for a file."""
    if isinstance(value, dict):
        if "path" in value:
            yield value["path"]
        for inner in value.values():
            yield from _paths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner)


def _again(body: bytes, rest: Receive) -> Receive:
    """A body that was read already, to be read once more; then what follows it (that the other side left)."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return waiting.pop() if waiting else await rest()

    return receive
