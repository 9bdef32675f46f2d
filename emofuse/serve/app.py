"""The application: typed routes around a service."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from emofuse.errors import EmofuseError
from emofuse.pipeline.pipeline import Pipeline
from emofuse.serve import problems
from emofuse.serve.logs import RequestLog
from emofuse.serve.quota import Quotas
from emofuse.serve.receive import HeaderLimit
from emofuse.serve.routes import analyze, health, jobs, metrics, models, stream
from emofuse.serve.service import Service
from emofuse.serve.settings import Settings
from emofuse.serve.tracing import Tracing
from emofuse.version import __version__


def create_app(
    pipeline: Pipeline,
    settings: Settings | None = None,
    *,
    tracer_provider: Any = None,
    quotas: Quotas | None = None,
) -> FastAPI:
    """The service around a pipeline, for any ASGI server; `app.state.service` is what its routes share.

    Its threads and its private folder live until the application's lifespan ends. No other origin may read answers:
    there are no CORS headers. `tracer_provider`: of OpenTelemetry, for a span a request; `quotas`: those that
    several processes have in common. Raises EmofuseError for settings that cannot be met.
    """
    service = Service(pipeline, settings or Settings(), quotas)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            service.close()

    app = FastAPI(
        title="emofuse",
        version=__version__,
        summary="Multimodal emotion recognition: words, voice and face.",
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.add_exception_handler(problems.RefusedError, problems.on_refused)
    app.add_exception_handler(EmofuseError, problems.on_unreadable)
    app.add_exception_handler(RequestValidationError, problems.on_invalid)
    app.add_exception_handler(HTTPException, problems.on_http)
    app.add_exception_handler(OSError, problems.on_no_room)
    app.add_exception_handler(sqlite3.Error, problems.on_no_room)
    app.add_middleware(HeaderLimit)
    app.add_middleware(RequestLog, count=service.monitor.requested, failed=problems.on_failure)
    if tracer_provider is not None:
        app.add_middleware(Tracing, provider=tracer_provider)
    for routes in (analyze, jobs, stream, models, health, metrics):
        app.include_router(routes.router)
    return app
