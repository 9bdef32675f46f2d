"""`POST /v1/analyze`: one clip or text, answered at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from emofuse.pipeline import formats
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.wire import to_wire
from emofuse.serve.problems import DOCUMENTED
from emofuse.serve.routes.shared import TheCaller, TheService
from emofuse.serve.schemas import MEDIA_TYPES, VIDEO, Answer, Format, request_body
from emofuse.serve.work import StoppedError

router = APIRouter(tags=["analysis"])
CHUNK = 1 << 16
"""Bytes that are sent at a time."""
GONE = 499
"""What the log says of a request whose caller left; nobody is there to read it."""


@router.post(
    "/v1/analyze",
    response_model=Answer,
    responses={
        **DOCUMENTED,
        200: {
            "content": {kind.partition(";")[0]: {} for kind in (*MEDIA_TYPES.values(), VIDEO)},
            "description": "the analysis; with `render`, the labelled video",
        },
    },
    openapi_extra=request_body(),
    summary="Analyse a clip, a picture, a recording or a text",
)
async def analyze(request: Request, service: TheService, caller: TheCaller) -> Response:
    """Emotions of a clip as a whole and by segment and person. What is sent is deleted before the answer is."""
    try:
        found = await service.analyse(request, caller)
    except StoppedError:
        return PlainTextResponse("", GONE)
    request.scope.update({"emofuse.seconds": found.work.seconds, "emofuse.stages": found.work.stages.took})
    if found.video is not None:
        return _filmed(found.video)
    return rendered(found.analysis, found.options.format)


def _filmed(video: BinaryIO) -> Response:
    """A file's content, which is let go of once it is sent."""

    def chunks() -> Iterator[bytes]:
        with video:
            while chunk := video.read(CHUNK):
                yield chunk

    length = {"Content-Length": str(os.fstat(video.fileno()).st_size)}
    return StreamingResponse(chunks(), media_type=VIDEO, headers=length)


def rendered(analysis: Analysis, form: Format) -> Response:
    """An analysis in the form that was asked for."""
    text = formats.dump(to_wire(analysis)) if form == "full" else analysis.to_text(f".{form}")
    return Response(text, media_type=MEDIA_TYPES[form])
