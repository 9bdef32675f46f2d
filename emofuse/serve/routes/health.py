"""`GET /healthz` and `/readyz`: whether the process lives, and whether it takes requests."""

from __future__ import annotations

from fastapi import APIRouter, Response

from emofuse.serve.routes.shared import TheService
from emofuse.serve.schemas import State

router = APIRouter(tags=["health"])


@router.get("/healthz", response_model=State, summary="Whether the process lives")
async def healthz() -> State:
    """Answers as long as the event loop turns."""
    return State(status="ok")


@router.get("/readyz", response_model=State, responses={503: {"model": State}}, summary="Whether requests are taken")
async def readyz(service: TheService, response: Response) -> State:
    """503 from the moment on that the service is told to stop."""
    if service.admission.draining or not service.batcher.alive:
        response.status_code = 503
        return State(status="stopping")
    return State(status="ready")
