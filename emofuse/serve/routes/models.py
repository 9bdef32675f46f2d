"""`GET /v1/models`: what is served."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from emofuse.model.conformal import as_plain
from emofuse.serve.problems import DOCUMENTED, RefusedError
from emofuse.serve.routes.shared import TheCaller, TheService
from emofuse.serve.schemas import ModelInfo, Models, TaskInfo
from emofuse.version import __version__

router = APIRouter(tags=["models"], responses={401: DOCUMENTED[401]})


@router.get("/v1/models", summary="Models that are served, and what they answer")
async def list_models(service: TheService, _: TheCaller) -> Models:
    """One a process; several replicas serve the same."""
    model = service.pipeline.model
    text = model.encoder("text").config if "text" in model.modalities else None
    tasks = [TaskInfo(name=task.name, kind=task.kind, classes=list(task.classes)) for task in model.tasks]
    info = ModelInfo(
        name=service.pipeline.name,
        modalities=list(model.modalities),
        tasks=tasks,
        parameters=model.size,
        device=model.runs_on,
        languages=list(getattr(text, "languages", ()) or ()),
        version=__version__,
    )
    return Models(models=[info])


@router.get(
    "/v1/models/{name}/conformal", summary="What prediction sets are made with", responses={404: DOCUMENTED[422]}
)
async def conformal(name: str, service: TheService, _: TheCaller) -> dict[str, Any]:
    """Calibration scores by subset of modalities and task, with which a client makes sets of any coverage."""
    if name != service.pipeline.name:
        raise RefusedError(404, "not_found", f"no model of this name; served: {service.pipeline.name}")
    return as_plain(service.pipeline.model.conformal)
