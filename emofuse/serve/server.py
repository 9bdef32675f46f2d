"""The server: uvicorn around the application, with a slow start refused and a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from emofuse.errors import EmofuseError
from emofuse.serve.problems import RefusedError
from emofuse.serve.receive import HEADERS, check_head

PORT = 8000
OF_A_STREAM = "the request for a stream cannot be read; it may have 128 headers, of 8,000 bytes each"
KEPT = 20
"""Seconds for which a connection waits for the next request to begin; its headers have as long again as the first's."""
UNREAD = 2.0
"""Seconds for which a body that nobody reads is let in and thrown away, so that its sender can read the answer."""


class Server(uvicorn.Server):
    """Told to stop, it first refuses new requests (503, and `/readyz`), then waits for those under way, then ends."""

    def __init__(self, app: FastAPI, host: str, port: int, linger: float = 0.0) -> None:
        settings = app.state.service.settings
        config = uvicorn.Config(
            app,
            host,
            port,
            http=_bounded_protocol(settings.header_seconds),
            ws="websockets-sansio",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=HEADERS,
            ws_max_size=1_000_000,
            timeout_keep_alive=KEPT,
            timeout_graceful_shutdown=round(settings.drain_seconds),
        )
        super().__init__(config)
        self.app, self.linger = app, linger

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop taking requests; a second signal ends at once."""
        if self.app.state.service.admission.draining:
            self.force_exit = True
        self.stop()

    def stop(self) -> None:
        """Drain; may be called from any thread."""
        self.app.state.service.admission.draining = True
        if self.linger and not self.force_exit:
            timer = threading.Timer(self.linger, self._leave)
            timer.daemon = True
            timer.start()
        else:
            self._leave()

    def _leave(self) -> None:
        self.should_exit = True


def run(app: FastAPI, host: str, port: int, ready: Callable[[str], object] | None = None, linger: float = 0.0) -> None:
    """Serve until told to stop; `ready` is called with the address once requests are taken. Raises EmofuseError.

    `linger`: seconds between `/readyz` saying 503 and the socket closing, for load balancers that ask now and then.
    """
    server, listening = Server(app, host, port, linger), listen(host, port)
    address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"

    async def serve() -> None:
        task = asyncio.create_task(server.serve([listening]))
        while not (server.started or task.done()):
            await asyncio.sleep(0.01)
        if ready is not None and server.started:
            ready(address)
        await task

    asyncio.run(serve())


@contextlib.contextmanager
def serving(app: FastAPI, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve in a thread on a free port until the block ends; its address."""
    server, listening = Server(app, host, 0), listen(host, 0)
    thread = threading.Thread(target=server.run, args=([listening],), name="emofuse-serve", daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        threading.Event().wait(0.01)
    try:
        yield f"http://{host}:{listening.getsockname()[1]}"
    finally:
        server.stop()
        thread.join()


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections. Raises EmofuseError where the address is not free, or not of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise EmofuseError(
            f"cannot serve on {host}, port {port}: {error.strerror or error}; name a free --port, and a --host of this "
            "machine"
        ) from None
    return listening


def _bounded_protocol(seconds: float) -> type[H11Protocol]:
    """HTTP/1.1 that hangs up on a connection which has not sent the headers of a request in time, its first or the
    next after an answer, or goes on sending a body that was answered without being read. A stream that is opened is on
    its own from then on."""

    class Bounded(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._patience = self.loop.call_later(seconds, self._hang_up, None)

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            self._patience.cancel()
            try:
                check_head(event.method.decode(), event.target, event.headers)
                super().handle_websocket_upgrade(event)
                self._check_taken()
            except RefusedError as refused:
                self._refuse(refused)

        def _check_taken(self) -> None:
            """Raise RefusedError for a request that the protocol of streams stopped reading, and never answers."""
            stream: Any = self.transport.get_protocol()
            if not stream.handshake_initiated:
                stream.connections.discard(stream)
                self.transport.set_protocol(self)
                raise RefusedError(431, "too_large", OF_A_STREAM)

        def _refuse(self, refused: RefusedError) -> None:
            response = refused.response()
            headers = [*response.raw_headers, (b"connection", b"close")]
            for part in (
                h11.Response(status_code=refused.status, headers=headers),
                h11.Data(data=bytes(response.body)),
            ):
                self.transport.write(self.conn.send(part))
            self.transport.write(self.conn.send(h11.EndOfMessage()))
            self.transport.close()

        def on_response_complete(self) -> None:
            if self.conn.their_state is h11.SEND_BODY:
                self.loop.call_later(UNREAD, self._hang_up, self.cycle)
            super().on_response_complete()
            self._patience.cancel()
            self._patience = self.loop.call_later(KEPT + seconds, self._leave, self.cycle)

        def _leave(self, cycle: Any) -> None:
            """Close where no request has begun since an answer: what came of the next is not all of its head."""
            if self.cycle is cycle and not self.transport.is_closing():
                self.transport.close()

        def _hang_up(self, cycle: Any) -> None:
            """Close, unless the connection has come further than this request."""
            waits = cycle is None or self.conn.their_state is h11.SEND_BODY
            if self.cycle is cycle and waits and not self.transport.is_closing():
                self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            self._patience.cancel()
            super().connection_lost(exc)

    return Bounded
