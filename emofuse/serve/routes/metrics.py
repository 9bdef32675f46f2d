"""`GET /metrics`: what the service counts, for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Response

from emofuse.serve.monitor import CONTENT_TYPE
from emofuse.serve.routes.shared import TheService

router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=Response, summary="Counters, latencies, distributions and drift")
async def metrics(service: TheService) -> Response:
    """Numbers alone: no label says who called or what was sent, and no key is asked for."""
    return Response(service.monitor.text(), media_type=CONTENT_TYPE)
