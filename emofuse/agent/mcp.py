"""The MCP server: the tool offered to agents that speak the Model Context Protocol; needs the extra `mcp`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from emofuse.agent.tool import DESCRIPTION, NAME, Request, call
from emofuse.errors import EmofuseError, require_package
from emofuse.pipeline.pipeline import Pipeline
from emofuse.version import __version__

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer


def _described(name: str) -> Any:
    """A field of the schema, for the library, which reads annotations."""
    return Field(description=Request.model_fields[name].description)


def server(pipeline: Pipeline, files: Path | None = None) -> MCPServer:
    """A server with the one tool; `run()` serves it on stdin and stdout. `files`: see `call`."""
    require_package("mcp", extra="mcp")
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError

    def predict_emotion(
        text: Annotated[str | None, _described("text")] = None,
        speaker: Annotated[str | None, _described("speaker")] = None,
        context: Annotated[list[str] | None, _described("context")] = None,
        file: Annotated[str | None, _described("file")] = None,
    ) -> dict[str, Any]:
        asked = {"text": text, "speaker": speaker, "context": context or [], "file": file}
        try:
            return call(pipeline, asked, files)
        except EmofuseError as error:
            raise ToolError(str(error)) from None

    made = MCPServer("emofuse", version=__version__, log_level="ERROR")
    made.add_tool(predict_emotion, name=NAME, description=DESCRIPTION)
    return made
