"""`/v1/jobs`: long clips, handed in now and answered later; they survive a restart of the service."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request, Response

from emofuse.pipeline.wire import from_wire
from emofuse.serve.asking import NOTHING, read_options
from emofuse.serve.jobs import Jobs, as_dict
from emofuse.serve.ledger import Row
from emofuse.serve.problems import DOCUMENTED, RefusedError
from emofuse.serve.routes.analyze import rendered
from emofuse.serve.routes.shared import TheCaller, TheService
from emofuse.serve.schemas import Format, Job, request_body
from emofuse.serve.service import Service

router = APIRouter(tags=["jobs"], responses={401: DOCUMENTED[401], 404: DOCUMENTED[404]})


@router.post(
    "/v1/jobs",
    status_code=202,
    response_model=Job,
    responses={code: DOCUMENTED[code] for code in (408, 413, 422, 429, 503)},
    openapi_extra=request_body(),
    summary="Hand in a long clip",
)
async def create(request: Request, response: Response, service: TheService, caller: TheCaller) -> dict[str, Any]:
    """The same body as `/v1/analyze` has. What is sent lies in the folder of jobs until the answer is there."""
    jobs = _jobs(service)
    with service.admission.place(caller.name):
        name, folder = jobs.place()
        try:
            received = await service.received(request, folder)
            options = read_options(received.fields)
            if options.render or options.blur:
                raise RefusedError(422, "invalid", "render and blur are answered at once: POST /v1/analyze")
            fetched = await service.fetched(options, folder)
            if fetched is not None and received.files.setdefault("file", fetched) is not fetched:
                raise RefusedError(422, "invalid", "a file and an address were both sent; a clip is one of them")
            received.fields.pop("url", None)
            if not received.files and not received.fields.keys() & {"text", "transcript"}:
                raise RefusedError(422, "invalid", NOTHING)
            row = jobs.add(name, caller.name, received)
        except BaseException:
            jobs.drop(name)
            raise
    response.headers["Location"] = f"/v1/jobs/{name}"
    return as_dict(row)


@router.get("/v1/jobs/{job}", response_model=Job, summary="How far a job is")
async def state(job: str, service: TheService, caller: TheCaller) -> dict[str, Any]:
    """queued, running, done or failed, with the media-seconds read."""
    return as_dict(_row(service, job, caller.name))


@router.get("/v1/jobs/{job}/answer", summary="The answer of a job that is done", responses={409: DOCUMENTED[404]})
async def answer(job: str, service: TheService, caller: TheCaller, format: Format = "json") -> Response:
    """In any of the forms that `/v1/analyze` has; 409 while it is not done."""
    row = _row(service, job, caller.name)
    if row.answer is None:
        why = f": {row.message}" if row.message else ""
        raise RefusedError(409, "not_done", f"the job is {row.state}{why}", 5 if row.code is None else None)
    return rendered(from_wire(json.loads(row.answer)), format)


@router.delete("/v1/jobs/{job}", status_code=204, summary="Cancel a job, or delete its answer")
async def delete(job: str, service: TheService, caller: TheCaller) -> Response:
    """Nothing of it is left, neither files nor answer."""
    _row(service, job, caller.name)
    _jobs(service).cancel(job)
    return Response(status_code=204)


def _jobs(service: Service) -> Jobs:
    if service.jobs is None:
        raise RefusedError(404, "no_jobs", "this service keeps no jobs; start it with --state FOLDER")
    return service.jobs


def _row(service: Service, job: str, owner: str) -> Row:
    row = _jobs(service).ledger.get(job, owner)
    if row is None:
        raise RefusedError(404, "not_found", "there is no such job of yours")
    return row
