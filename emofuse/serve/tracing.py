"""Tracing: a span a request for OpenTelemetry, with its stages; the caller's trace goes on in it."""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emofuse.errors import MissingExtraError
from emofuse.version import __version__


def provider() -> Any:
    """A provider that exports as the environment says (OTEL_EXPORTER_OTLP_ENDPOINT and the others of the standard).

    Raises MissingExtraError without the extra `otel`.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingExtraError(
            f"tracing needs the package {error.name!r}, which is not installed; install it with: "
            "pip install 'emofuse[otel]'"
        ) from error
    made = TracerProvider(resource=Resource.create({"service.name": "emofuse", "service.version": __version__}))
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return made


class Tracing:
    """A span a request: route, status, media-seconds and the seconds of each stage; nothing of what was sent."""

    def __init__(self, app: ASGIApp, provider: Any) -> None:
        self.app, self.tracer = app, provider.get_tracer("emofuse.serve", __version__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        method = scope.get("method", "WS")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with self.tracer.start_as_current_span(
            method, extract(headers), SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            try:
                await self.app(scope, receive, told)
            finally:
                route = getattr(scope.get("route"), "path", "none")
                span.update_name(f"{method} {route}")
                span.set_attributes({"http.request.method": method, "http.route": route})
                span.set_attribute("emofuse.media_seconds", float(scope.get("emofuse.seconds", 0.0)))
                for stage, seconds in scope.get("emofuse.stages", {}).items():
                    span.set_attribute(f"emofuse.stage.{stage}", seconds)
