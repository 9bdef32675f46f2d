"""The server of the page: on this machine alone unless asked otherwise, and asking nothing of any other."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emofuse.demo.assets import PLACE, answer, assets
from emofuse.demo.gate import Gate, Names, own_path
from emofuse.demo.handlers import Handlers
from emofuse.demo.html import head
from emofuse.demo.page import build
from emofuse.demo.settings import Settings
from emofuse.demo.theme import theme
from emofuse.demo.uploads import Uploads
from emofuse.demo.visitors import Visitors
from emofuse.demo.workspace import Workspace, open_workspace
from emofuse.errors import EmofuseError
from emofuse.pipeline.pipeline import Pipeline

FIRST_PORT = 7860
"""The first of the ports that are tried."""
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; form-action 'self'; base-uri 'self'; frame-ancestors 'none'"
)
"""What the browser may fetch for the page: nothing from any other server."""


@dataclass(eq=False)
class Served:
    """A page that is being served."""

    page: gr.Blocks
    url: str
    shared: str | None
    workspace: Workspace
    uploads: Uploads
    visitors: Visitors
    closing: threading.Event

    def wait(self, ready: Callable[[], object] | None = None) -> None:
        """Serve until interrupted, or told to end; `ready` is called once either would be heeded."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            if ready is not None:
                ready()
            self.page.block_thread()
        finally:
            self.close()

    def close(self) -> None:
        """Stop serving, and delete what is left of the uploads."""
        self.closing.set()
        self.page.close(verbose=False)
        self.workspace.close()


def serve(
    pipeline: Pipeline,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    share: bool = False,
    settings: Settings | None = None,
) -> Served:
    """Serve the page around a pipeline; returns when it can be opened.

    `port` None takes the first free one from 7860 on. `share` asks Gradio's relay for a public address, and is the
    only thing here that leaves this machine. Uploads lie in a folder of their own, which `close` deletes, or the next
    start does. Raises `EmofuseError` when the port is taken, or Gradio cannot start.
    """
    settings, port = settings or Settings(), free_port(host, port)
    workspace = open_workspace()
    os.environ["GRADIO_TEMP_DIR"] = str(workspace.folder)  # where Gradio puts uploads is told to it only so
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(sys.maxsize)  # else every event is tabulated, with pandas
    uploads, visitors, names = Uploads(workspace.folder), Visitors(), Names(host, settings.hosts)
    handlers = Handlers(pipeline, settings, uploads, visitors)
    page = build(handlers)
    gate = [Middleware(Gate, names, visitors, uploads, settings), Middleware(Dress, head())]
    try:
        local, shared = _launch(page, host, port, share, settings, gate)
    except Exception as error:  # Gradio raises whatever it likes
        workspace.close()
        raise EmofuseError(
            f"cannot serve on {host}, port {port}: {error}; if a proxy is set (http_proxy), let no_proxy name {host}"
        ) from error
    names.add(shared)
    closing = threading.Event()
    every = min(settings.orphaned, settings.held) / 4
    threading.Thread(target=_tidy, args=(handlers, every, closing), name="emofuse-tidy", daemon=True).start()
    return Served(page, local, shared, workspace, uploads, visitors, closing)


def _launch(
    page: gr.Blocks, host: str, port: int, share: bool, settings: Settings, gate: list[Middleware]
) -> tuple[str, str | None]:
    """Start Gradio's server; the page's address here, and the public one.

    `_frontend=False` leaves out a look at the page from here, which fails a busy machine after three seconds.
    """
    page.queue(max_size=None, default_concurrency_limit=8)
    _, local, shared = page.launch(
        server_name=host, server_port=port, share=share, quiet=True, prevent_thread_lock=True, inbrowser=False,
        show_error=False, footer_links=[], max_file_size=settings.megabytes * 1_000_000, theme=theme(), ssr_mode=False,
        max_threads=40 + settings.queue, pwa=False, run_history=False, enable_monitoring=False, mcp_server=False,
        _frontend=False,
        app_kwargs={"middleware": gate, "docs_url": None, "redoc_url": None},
    )  # fmt: skip
    return local, shared or None


def _tidy(handlers: Handlers, every: float, closing: threading.Event) -> None:
    """Delete what was left, over and over, until the page closes."""
    while not closing.wait(every):
        handlers.tidy()


def free_port(host: str, port: int | None) -> int:
    """The port that was asked for, else the first free one of a hundred. Raises `EmofuseError`."""
    problem = "it is not free"
    for candidate in range(FIRST_PORT, FIRST_PORT + 100) if port is None else (port,):
        try:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, candidate))
        except OSError as error:
            problem = str(error.strerror or error)
        else:
            return candidate
    where = f"port {port}" if port is not None else f"ports {FIRST_PORT} to {FIRST_PORT + 99}"
    raise EmofuseError(f"cannot serve on {host}, {where}: {problem}; name a free --port, and a --host of this machine")


class Dress:
    """Puts the style at the head of the page and the script beside it, and says what a browser may fetch for it."""

    def __init__(self, app: ASGIApp, head: str) -> None:
        self.app, self.head, self.assets = app, head.encode(), assets()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = own_path(scope) if scope["type"] == "http" else ""
        if scope.get("method") in ("GET", "HEAD") and path.startswith(PLACE):
            await answer(self.assets, path)(scope, receive, send)
            return
        if scope["type"] != "http" or scope.get("method") != "GET" or path not in ("", "/"):
            await self.app(scope, receive, send)
            return
        started: Message = {}
        body = bytearray()

        async def held(message: Message) -> None:
            """Keep the page back until it is whole."""
            if message["type"] == "http.response.start":
                started.update(message)
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    await self._send(started, bytes(body), send)
            else:
                await send(message)

        await self.app(scope, receive, held)

    async def _send(self, started: Message, body: bytes, send: Send) -> None:
        if b"<head>" in body:
            body = body.replace(b"<head>", b"<head>" + self.head, 1)
        headers = [(name, value) for name, value in started["headers"] if name.lower() != b"content-length"]
        headers += [
            (b"content-length", str(len(body)).encode()),
            (b"content-security-policy", POLICY.encode()),
        ]
        await send({**started, "headers": headers})
        await send({"type": "http.response.body", "body": body})
