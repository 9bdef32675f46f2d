"""The tool: what an agent may ask, as a JSON schema, and the answer in a few fields."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emofuse.errors import DataError, MediaError
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.measures import measures
from emofuse.pipeline.pipeline import Pipeline

NAME = "predict_emotion"
COVERAGE = 0.9
DESCRIPTION = (
    "Predict which emotions are expressed in a message, or in a recording or video, as others would rate them: "
    "not what a person feels. `possible` holds the true emotion with probability 0.9; where it is empty or has "
    "several, say that it is unclear. Do not use it to assess people at work or in education."
)


class Request(BaseModel):
    """The arguments of a call."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = Field(None, max_length=20_000, description="The words, as they were said or written.")
    speaker: str | None = Field(None, max_length=100, description="Who says them.")
    context: list[str] = Field(
        default_factory=list, max_length=50, description="The turns before, oldest first, each 'NAME: words'."
    )
    file: str | None = Field(
        None, max_length=1_000, description="A recording, video or picture, by its path in the folder that is shared."
    )


def schema() -> dict[str, Any]:
    """The tool's description, as agents take it: name, description, and `input_schema` in JSON Schema."""
    return {"name": NAME, "description": DESCRIPTION, "input_schema": Request.model_json_schema()}


def call(pipeline: Pipeline, arguments: Mapping[str, Any], files: Path | None = None) -> dict[str, Any]:
    """The answer to a call. `files` is the folder whose files may be read, None = none may.

    Raises `DataError` for arguments that are not the schema's, `MediaError` for what cannot be read.
    """
    try:
        asked = Request.model_validate(dict(arguments))
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{'.'.join(map(str, first['loc'])) or 'the call'}: {first['msg']}; see the schema") from None
    if asked.text is None and asked.file is None:
        raise DataError("nothing was asked about: give text, file, or both")
    source = None if asked.file is None else _shared(asked.file, files)
    found = pipeline(source, text=asked.text, speaker=asked.speaker, context=asked.context)
    return answer(found.at_coverage(COVERAGE))


def answer(analysis: Analysis) -> dict[str, Any]:
    """An analysis in a few fields; what is not known is left out."""
    overall = analysis.overall
    shape: dict[str, Any] = {"emotion": None, "notes": list(map(str, analysis.notes))}
    if overall is not None and overall.top is not None:
        shape["emotion"], shape["probability"] = overall.top[0], round(overall.top[1], 4)
        shape["measures"] = {name: round(value, 4) for name, value in measures(overall).items()}
    if overall is not None and "emotion" in overall.sets:
        shape["possible"] = list(overall.sets["emotion"])
    if len(analysis.speakers) > 1:
        shape["speakers"] = {name: p.top[0] if p.top else None for name, p in analysis.speakers.items()}
    if analysis.acts is not None:
        shape["acts"] = [firing.to_dict() for firing in analysis.acts]
    return shape


def _shared(name: str, files: Path | None) -> Path:
    """The file of that name in the shared folder; nothing outside it, by whatever link."""
    if files is None:
        raise MediaError("no folder of files is shared with this tool; give text, or start it with --files FOLDER")
    root = files.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        raise MediaError(f"there is no file {name!r} in the shared folder; give its path in that folder")
    return path
