"""`emofuse demo`: a page in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emofuse.errors import require_package


def demo(
    model: Annotated[
        str, typer.Option(metavar="NAME", help="A shipped model, a folder, or a hub id.")
    ] = "emofuse-small",
    host: Annotated[str, typer.Option(help="0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="The first free one from 7860 on.")] = None,
    share: Annotated[bool, typer.Option("--share", help="A public address through Gradio's relay.")] = False,
    feedback: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Let visitors correct answers; write them here.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="The longest clip taken.")] = 10.0,
    megabytes: Annotated[int, typer.Option(min=1, help="The largest file taken.")] = 200,
    waiting: Annotated[int, typer.Option(min=0, help="How many may wait for an answer.")] = 8,
    name: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="A further name of this machine, for example a proxy's.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    asr: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Hear the words with this Whisper model, e.g. small.")
    ] = None,
) -> None:
    """Serve a page to upload a clip, speak or write, and see.

    On this machine alone; uploads are deleted once they are answered.
    """
    require_package("gradio", extra="demo")
    from emofuse.demo.server import serve
    from emofuse.demo.settings import Settings
    from emofuse.pipeline.pipeline import load

    settings = Settings(minutes=minutes, megabytes=megabytes, queue=waiting, feedback=feedback, hosts=tuple(name or ()))
    served = serve(load(model, device, asr=asr), host=host, port=port, share=share, settings=settings)
    typer.echo(served.shared or served.url)
    served.wait()
