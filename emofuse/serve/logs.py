"""Logs: a JSON object a line, of what was done and never of what was sent or answered."""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOG = logging.getLogger("emofuse.serve")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class JsonLines(logging.Formatter):
    """Time, level, what happened, and the fields that came with it; of an error its kind and where it was raised."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        said |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0] is not None:
            said |= {"error": record.exc_info[0].__name__, "at": _places(record.exc_info[2])}
        return json.dumps(said, ensure_ascii=True, default=str)


def _places(trace: Any) -> list[str]:
    """File and line of every frame; not the message, which may hold what was sent."""
    found = []
    while trace is not None:
        code = trace.tb_frame.f_code
        found.append(f"{code.co_filename.rpartition('site-packages/')[2]}:{trace.tb_lineno}:{code.co_name}")
        trace = trace.tb_next
    return found


def set_up(level: int = logging.INFO) -> None:
    """Write the service's and uvicorn's lines to stderr, and nobody else's."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("emofuse.serve", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def log(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """One line."""
    LOG.log(level, event, extra={"fields": fields})


Count = Callable[[str, int, float], None]
"""Called with route, status and seconds of a request."""


Failed = Callable[[Request, Exception], Awaitable[Response]]
"""Called with an error that nobody else has answered; its answer is sent."""


class RequestLog:
    """A line a request, and a count: the route as declared, not the path; the caller's name, not the key.

    An error that comes this far is answered here: whoever stands outside would send what is neither marked nor counted.
    """

    def __init__(self, app: ASGIApp, count: Count, failed: Failed) -> None:
        self.app, self.count, self.failed = app, count, failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        began, status, sent = time.monotonic(), 0, 0
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8).encode()

        async def told(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_SAFE, (b"x-request-id", request_id)]
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        try:
            await self.app(scope, receive, told)
        except Exception as error:
            if status:  # whatever is still to be sent of it cannot be
                raise
            if scope["type"] == "http":
                await (await self.failed(Request(scope), error))(scope, receive, told)
            else:
                status = 500
                raise
        finally:
            self._told(scope, request_id, status, sent, time.monotonic() - began)

    def _told(self, scope: Scope, request_id: bytes, status: int, sent: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None)
        self.count(route or "none", status, seconds)
        if route in ("/healthz", "/readyz", "/metrics"):
            return
        log(
            "request",
            logging.WARNING if status >= 500 or not status else logging.INFO,
            id=request_id.decode(),
            method=scope.get("method", "WS"),
            route=route or "none",
            status=status,
            seconds=round(seconds, 4),
            sent=sent,
            caller=scope.get("emofuse.caller"),
            media_seconds=round(scope.get("emofuse.seconds", 0.0), 2),
        )


_SAFE = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
"""What every answer says to whoever keeps or shows it."""
