"""Spans of requests, exported in memory."""

from __future__ import annotations

import httpx
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from emofuse.serve.app import create_app
from emofuse.serve.server import serving


def test_a_request_is_a_span_of_its_callers_trace_with_its_stages_and_nothing_that_was_sent(pipeline):
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace = "0af7651916cd43dd8448eb211c80319c"
    with serving(create_app(pipeline, tracer_provider=provider)) as url:
        headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        httpx.post(f"{url}/v1/analyze?tulip=1", json={"text": "tulip"}, headers=headers, timeout=60).raise_for_status()
        httpx.post(f"{url}/v1/analyze", json={"txt": "tulip"}, timeout=60)
    answered, refused = exporter.get_finished_spans()
    assert answered.name == refused.name == "POST /v1/analyze" and f"{answered.context.trace_id:032x}" == trace
    assert answered.attributes["http.response.status_code"] == 200 and answered.attributes["emofuse.stage.model"] > 0
    assert refused.attributes["http.response.status_code"] == 422
    assert "tulip" not in answered.to_json() + refused.to_json()
