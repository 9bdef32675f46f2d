"""The page: the web demo at the root of the service, by Gradio's own mount."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace

from fastapi import FastAPI
from starlette.middleware import Middleware

from emofuse.demo.settings import Settings as PageSettings
from emofuse.demo.workspace import open_workspace
from emofuse.errors import require_package
from emofuse.serve.service import Service


def mount_page(app: FastAPI, host: str, names: tuple[str, ...] = ()) -> None:
    """Put the demo at `/` of an application: it shares the model, and keeps its own gate, queue, limits and uploads.

    `names`: further names that the page may be asked for by, as a proxy's. The routes of the service come first. Needs
    the extra `demo`.
    """
    require_package("gradio", extra="demo")
    import gradio as gr

    from emofuse.demo.gate import Gate, Names
    from emofuse.demo.handlers import Handlers
    from emofuse.demo.html import head
    from emofuse.demo.page import build
    from emofuse.demo.server import Dress
    from emofuse.demo.theme import theme
    from emofuse.demo.uploads import Uploads
    from emofuse.demo.visitors import Visitors

    service: Service = app.state.service
    settings = replace(
        PageSettings(hosts=names), minutes=service.settings.minutes, megabytes=service.settings.megabytes
    )
    workspace = open_workspace()
    os.environ["GRADIO_TEMP_DIR"] = str(workspace.folder)  # where Gradio puts uploads is told to it only so
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(sys.maxsize)
    uploads, visitors = Uploads(workspace.folder), Visitors()
    handlers = Handlers(service.pipeline, settings, uploads, visitors)
    gate = [Middleware(Gate, Names(host, names), visitors, uploads, settings), Middleware(Dress, head())]

    async def mount() -> None:
        """In a running event loop: outside of one, Gradio makes some of its own and leaves them open."""
        page = build(handlers)
        page.queue(max_size=None, default_concurrency_limit=8)
        gr.mount_gradio_app(
            app, page, "/", server_name=host, footer_links=[], run_history=False, show_error=False, theme=theme(),
            max_file_size=settings.megabytes * 1_000_000, ssr_mode=False, enable_monitoring=False, pwa=False,
            mcp_server=False, app_kwargs={"middleware": gate, "docs_url": None, "redoc_url": None},
        )  # fmt: skip

    with ThreadPoolExecutor(1) as alone:  # whoever calls may be in a loop of their own
        alone.submit(asyncio.run, mount()).result()
    closing, inner = threading.Event(), app.router.lifespan_context

    def tidy() -> None:
        while not closing.wait(min(settings.orphaned, settings.held) / 4):
            handlers.tidy()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[object]:
        threading.Thread(target=tidy, name="emofuse-tidy", daemon=True).start()
        try:
            async with inner(app) as state:
                yield state
        finally:
            closing.set()
            workspace.close()

    app.router.lifespan_context = lifespan
