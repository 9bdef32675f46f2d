"""`emofuse mcp`: the model as a tool of language-model agents, over the Model Context Protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli import options as opt
from emofuse.cli.outputs import put
from emofuse.errors import MediaError, require_package


def mcp(
    files: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Let agents name files of this folder; default: none.")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the tool's JSON schema and exit.")] = False,
    acts: opt.Acts = None,
    rules: opt.RulesOption = None,
    model: opt.ModelOption = opt.DEFAULT_MODEL,
    device: opt.Device = "auto",
    asr: opt.Asr = "auto",
) -> None:
    """Serve the model to a language-model agent on stdin and stdout (extra mcp), or print the tool's schema."""
    if schema:
        from emofuse.agent.tool import schema as described
        from emofuse.pipeline.formats import dump

        put("-", dump(described()))
        return
    if files is not None and not files.is_dir():
        raise MediaError(f"--files {str(files)!r} is no folder; name one whose files agents may have read")
    require_package("mcp", extra="mcp")

    from emofuse.agent.mcp import server
    from emofuse.pipeline.pipeline import load

    server(load(model, device=device, asr=asr, acts=acts or (), rules=rules), files).run()
