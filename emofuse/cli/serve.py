"""`emofuse serve`: the HTTP service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli import options as opt
from emofuse.cli.batch import HERE
from emofuse.errors import EmofuseError, require_package


def serve(
    model: opt.ModelOption = opt.DEFAULT_MODEL,
    host: opt.Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 = any free port.")] = 8000,
    keys: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Accept only callers with a key whose hash is in this file.")
    ] = None,
    new_key: Annotated[
        str | None, typer.Option(metavar="NAME", help="Add a key to --keys, print it once, and exit.")
    ] = None,
    quota: Annotated[
        float | None, typer.Option(min=1, help="Media-seconds an hour for each caller (with --new-key: for this one).")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep jobs and quotas here; enables /v1/jobs.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="Longest clip answered at once, in minutes.")] = 10.0,
    megabytes: Annotated[int, typer.Option(min=1, help="Largest accepted body, in megabytes.")] = 200,
    working: Annotated[int, typer.Option(min=1, help="Requests worked on at once.")] = 32,
    waiting: Annotated[int, typer.Option(min=0, help="Requests that may wait; the next is refused with 429.")] = 64,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for one answer.")] = 300.0,
    drain: Annotated[float, typer.Option(min=0, help="Seconds that a stop waits for answers under way.")] = 60.0,
    urls: Annotated[bool, typer.Option("--urls", help="Take clips by their public address, too.")] = False,
    demo: Annotated[
        bool, typer.Option("--demo/--no-demo", help="Serve the web demo at / (extra demo); Ray serves none.")
    ] = True,
    name: opt.HostNames = None,
    otel: Annotated[bool, typer.Option("--otel", help="Export spans by OTLP (extra otel).")] = False,
    linger: Annotated[
        float, typer.Option(min=0, help="Seconds between /readyz saying 503 and the socket closing.")
    ] = 0.0,
    ray: Annotated[
        str | None,
        typer.Option(metavar="[ADDRESS]", help="Let Ray Serve carry the service, here or on a cluster (extra ray)."),
    ] = None,
    replicas: Annotated[
        str,
        typer.Option(metavar="N|A-B", help="With --ray: processes with a model; A-B: as many as there is work for."),
    ] = "1",
    queued: Annotated[
        int, typer.Option(min=1, help="With --ray: requests that wait in a proxy while every replica is full.")
    ] = 64,
    cpus: Annotated[float, typer.Option(min=0.01, help="With --ray: processors of each replica.")] = 1.0,
    gpus: Annotated[float, typer.Option(min=0, help="With --ray: share of a GPU for each replica.")] = 0.0,
    device: opt.Device = "auto",
    asr: opt.Asr = "auto",
    language: opt.Language = None,
    acts: opt.Acts = None,
    rules: opt.RulesOption = None,
    labels: opt.Labels = None,
) -> None:
    """Serve the model over HTTP: POST /v1/analyze and more; requests are batched together.

    What is sent lies in a private folder and is deleted before it is answered. Logs are JSON lines on stderr.
    """
    require_package("prometheus_client", extra="serve")
    from emofuse.serve.keys import add_key
    from emofuse.serve.settings import Settings

    if new_key is not None:
        if keys is None:
            raise EmofuseError("--new-key needs the file that it is added to: --keys FILE")
        typer.echo(add_key(keys, new_key, quota))
        return
    settings = Settings(
        megabytes=megabytes, minutes=minutes, working=working, waiting=waiting, answer_seconds=timeout,
        drain_seconds=drain, quota=quota, keys=keys, state=state, urls=urls,
    )  # fmt: skip
    told = {"model": model, "device": device, "asr": asr, "language": language, "acts": acts or (), "rules": rules}
    told |= {"labels": opt.labels_of(labels)}
    if ray is not None:
        from emofuse.serve.replicas import Scale, read_replicas, wait

        scale = Scale(*read_replicas(replicas), queued, cpus, gpus)
        wait(told, settings, scale, typer.echo, host=host, port=port, address=None if ray == HERE else ray, otel=otel)
        return
    from emofuse.pipeline.pipeline import load
    from emofuse.serve.app import create_app
    from emofuse.serve.logs import set_up
    from emofuse.serve.server import run
    from emofuse.serve.tracing import provider

    if demo:
        require_package("gradio", extra="demo")
    set_up()
    tracer_provider = provider() if otel else None
    app = create_app(load(**told), settings, tracer_provider=tracer_provider)
    if demo:
        from emofuse.serve.page import mount_page

        mount_page(app, host, tuple(name or ()))
    run(app, host, port, typer.echo, linger)
