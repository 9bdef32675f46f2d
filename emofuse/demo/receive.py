"""The upload route: one file a request, into a folder of its own, bounded in size and in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from gradio.route_utils import GradioMultiPartParser, GradioUploadFile
from gradio.routes import file_upload_statuses
from gradio_client.utils import strip_invalid_filename_characters
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from emofuse.demo.uploads import Uploads

FRAME = 65_536
"""Bytes that a request may have beyond its file: boundaries and headers."""


async def receive_upload(request: Request, browser: str, uploads: Uploads, most: int, seconds: float) -> Response:
    """Take one file of at most `most` bytes within `seconds`; answers as Gradio's route does: a list with its path."""
    place = uploads.place()
    kept = None
    try:
        async with asyncio.timeout(seconds):
            kept = await _parse(request, place, most)
        if kept is None:
            return PlainTextResponse("an upload is one file", 400)
        uploads.add(browser, kept)
        return JSONResponse([str(kept)])
    except TimeoutError:
        return PlainTextResponse(f"the upload took longer than {seconds:g} s", 408)
    except MultiPartException as error:
        return PlainTextResponse(error.message, 413 if "maximum allowed size" in error.message else 400)
    except (ClientDisconnect, KeyError, AttributeError, ValueError):  # cut off, or no form that the parser knows
        return PlainTextResponse("the upload cannot be read", 400)
    finally:
        if kept is None:
            uploads.drop(place)


async def _parse(request: Request, place: Path, most: int) -> Path | None:
    """The file of a form, under the name it came with; None where there is none."""
    progress = request.query_params.get("upload_id")
    parser = GradioMultiPartParser(
        request.headers, _bounded(request, most + FRAME), max_files=1, max_fields=0, upload_dir=place,
        upload_id=progress, upload_progress=file_upload_statuses if progress else None, max_file_size=most,
    )  # fmt: skip
    form = await parser.parse()
    sent = next((value for _, value in form.multi_items() if isinstance(value, GradioUploadFile)), None)
    if sent is None:
        return None
    sent.file.close()
    name = strip_invalid_filename_characters(Path(sent.filename or "").name).strip(".") or "upload"
    return Path(sent.file.name).rename(place / name)


async def _bounded(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    """The request's body. Raises MultiPartException once it is longer than it may be."""
    seen = 0
    async for chunk in request.stream():
        seen += len(chunk)
        if seen > most:
            raise MultiPartException(f"File size exceeded maximum allowed size of {most} bytes.")
        yield chunk
