"""Problems: what a caller is told when there is no answer, always in one shape."""

from __future__ import annotations

import errno
import sqlite3
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from emofuse.errors import EmofuseError
from emofuse.files import well_formed
from emofuse.serve.logs import LOG


class Problem(BaseModel):
    """Why there is no answer."""

    code: str = Field(description="for programs: unauthorized, too_many, too_large, unreadable, …")
    message: str = Field(description="for people: what came, what is valid, how to fix it")


class Refusal(BaseModel):
    """The body of every answer that is an error."""

    error: Problem


class RefusedError(Exception):
    """An answer other than 200. `retry_after`: seconds after which it is worth coming back."""

    def __init__(self, status: int, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.retry_after = status, code, retry_after
        self.message = well_formed(message)  # it may repeat half a character that was sent

    def response(self) -> JSONResponse:
        """As it is sent."""
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, round(self.retry_after)))
        body = {"error": {"code": self.code, "message": self.message}}
        return JSONResponse(body, self.status, headers)


FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_AGAIN = 60.0
"""Seconds after which somebody may have made room."""
CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}

DOCUMENTED: dict[int | str, dict[str, Any]] = {
    401: {"model": Refusal, "description": "no key, or none that is known"},
    404: {"model": Refusal, "description": "there is no such thing"},
    408: {"model": Refusal, "description": "the body took too long to arrive"},
    413: {"model": Refusal, "description": "more bytes, seconds, pixels or characters than are taken"},
    422: {"model": Refusal, "description": "not media, or not what the route takes"},
    429: {"model": Refusal, "description": "too many at once, or the quota is used up; see Retry-After"},
    503: {"model": Refusal, "description": "the service is stopping, or its disk is full; see Retry-After"},
    504: {"model": Refusal, "description": "the answer took too long"},
}
"""What OpenAPI says of refusals."""


async def on_refused(_: Request, error: Exception) -> JSONResponse:
    """The handler of `RefusedError`."""
    assert isinstance(error, RefusedError)
    return error.response()


async def on_unreadable(_: Request, error: Exception) -> JSONResponse:
    """The handler of `EmofuseError`."""
    assert isinstance(error, EmofuseError)
    return RefusedError(422, "unreadable", str(error)).response()


async def on_invalid(_: Request, error: Exception) -> JSONResponse:
    """The handler of FastAPI's own checks; what the caller sent is not repeated."""
    assert isinstance(error, RequestValidationError)
    said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return RefusedError(422, "invalid", said[:1000]).response()


async def on_http(_: Request, error: Exception) -> JSONResponse:
    """The handler of Starlette's own refusals: no such route, no such method."""
    assert isinstance(error, HTTPException)
    return RefusedError(error.status_code, CODES.get(error.status_code, "refused"), str(error.detail)).response()


async def on_no_room(request: Request, error: Exception) -> JSONResponse:
    """The handler of OSError and SQLite's errors: a full disk is no fault of the caller's, and may pass."""
    full = isinstance(error, OSError) and error.errno in FULL
    if not full and not (isinstance(error, sqlite3.Error) and error.sqlite_errorcode == sqlite3.SQLITE_FULL):
        return await on_failure(request, error)
    LOG.error("disk full", exc_info=error)
    return RefusedError(503, "full", "the service's disk is full; come back later", FULL_AGAIN).response()


async def on_failure(_: Request, error: Exception) -> JSONResponse:
    """The handler of everything else: nothing of it is told, and its place in the code goes to the log."""
    LOG.error("failure", exc_info=error)
    return RefusedError(500, "failed", "the service failed at this; its log says why").response()
