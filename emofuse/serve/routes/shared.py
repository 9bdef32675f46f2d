"""What routes are handed: the service, and whoever asks."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from emofuse.serve.keys import Caller
from emofuse.serve.service import Service


def service_of(connection: HTTPConnection) -> Service:
    """The service that an application was made around."""
    return connection.app.state.service


def caller_of(connection: HTTPConnection) -> Caller:
    """Whoever asks. Raises RefusedError for an unknown key, before anything of the body is read."""
    caller = service_of(connection).caller(connection)
    connection.scope["emofuse.caller"] = caller.name
    return caller


TheService = Annotated[Service, Depends(service_of)]
TheCaller = Annotated[Caller, Depends(caller_of)]
