"""`emofuse demo`: the web demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli import options as opt
from emofuse.errors import require_package
from emofuse.files import check_output_folder


def demo(
    model: opt.ModelOption = opt.DEFAULT_MODEL,
    host: opt.Host = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: the first free port from 7860.")] = None,
    share: Annotated[bool, typer.Option("--share", help="Request a public address from Gradio's relay.")] = False,
    feedback: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Collect corrections from consenting visitors in this folder.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="Longest accepted clip, in minutes.")] = 10.0,
    megabytes: Annotated[int, typer.Option(min=1, help="Largest accepted file, in megabytes.")] = 200,
    waiting: Annotated[int, typer.Option(min=0, help="Capacity of the waiting queue.")] = 8,
    name: opt.HostNames = None,
    device: opt.Device = "auto",
    asr: opt.Asr = "auto",
    language: opt.Language = None,
) -> None:
    """Serve the web demo: upload a clip, record speech or type a text.

    On this machine alone; uploads are deleted once they are answered.
    """
    require_package("gradio", extra="demo")
    from emofuse.demo.server import serve
    from emofuse.demo.settings import Settings
    from emofuse.pipeline.pipeline import load

    if feedback is not None:
        check_output_folder(feedback)
    settings = Settings(minutes=minutes, megabytes=megabytes, queue=waiting, feedback=feedback, hosts=tuple(name or ()))
    pipeline = load(model, device, asr=asr, language=language)
    served = serve(pipeline, host=host, port=port, share=share, settings=settings)
    served.wait(lambda: typer.echo(served.shared or served.url))
