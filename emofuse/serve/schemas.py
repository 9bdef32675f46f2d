"""What the routes take and answer, as OpenAPI describes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Json

from emofuse.serve.receive import INLINE, TABLES

Format = Literal["json", "csv", "srt", "vtt", "full"]
MEDIA_TYPES: dict[str, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "full": "application/json",
}

VIDEO = "video/mp4"

Names = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=200)]
Second = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Options(BaseModel):
    """The fields of a request that are no files."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = Field(None, description="The words, alone or of the clip, a turn a line; never a path.")
    transcript: str | None = Field(None, description="The words of the clip as srt, vtt or plain text; or a file part.")
    url: str | None = Field(None, max_length=2000, description="The clip's address, where the service takes addresses.")
    speaker: str | None = Field(None, max_length=200, description="Who says all that nobody else is named for.")
    only: Json[list[str]] | None = Field(None, description="The speakers who are predicted, as a JSON list.")
    channels: Json[list[str]] | None = Field(None, description="Who speaks in each channel, as a JSON list.")
    channel: str | None = Field(
        None, max_length=200, description="The one channel to analyse, by number from 0 or name."
    )
    context: Json[list[str]] | None = Field(None, description="What was said before, oldest first, as a JSON list.")
    speakers: int | Literal["auto"] | None = Field(None, description="How many people to tell apart by their voices.")
    start: Second | None = Field(None, description="Second of the clip at which what is analysed begins.")
    end: Second | None = Field(None, description="Second of the clip at which it ends.")
    rate: int | None = Field(None, ge=8_000, le=192_000, description="Sampling rate in Hz of the part `audio`.")
    format: Format = Field("json", description="`full` is JSON without rounding, with embeddings, for emofuse.Client.")
    coverage: float | None = Field(None, gt=0, lt=1, description="Return sets that hold the true class this often.")
    widest: int | None = Field(None, ge=1, description="A set of more classes is empty: the model abstains.")
    language: str | None = Field(None, pattern=r"^[a-z]{2,3}$", description="Language of the speech, e.g. en.")
    acts: str | None = Field(None, description="An acts file (YAML, or its list as JSON) to apply; or a file part.")
    rules: str | None = Field(
        None, description="Rules of your own (YAML or JSON, a lexicon as rows in it) to lay over it; or a file part."
    )
    labels: str | None = Field(
        None,
        max_length=100_000,
        description="Labels that the model has not learnt, to be answered by likeness: a JSON list, a JSON object of "
        "label: examples, or words with commas; or a file part.",
    )
    mask: bool = Field(False, description="Mask addresses and long numbers in the words of the answer.")
    mask_names: Json[Names] | None = Field(None, description="Mask these names too, as a JSON list.")
    render: bool = Field(False, description="Answer with the video again, labelled, as mp4; `format` then has no say.")
    blur: bool = Field(False, description="Blur the faces in what `render` answers.")
    alone: bool = Field(
        False,
        description="Predict without sharing batches with other requests: the answer then equals a local one to the "
        "bit; shared, the last digits may differ.",
    )


class Files(BaseModel):
    """The parts of a form that are files."""

    file: bytes | None = Field(None, description="A video, a recording, a picture or a text.")
    image: bytes | None = Field(None, description="A picture, or an array of uint8 as .npy.")
    audio: bytes | None = Field(None, description="Sound as an array in .npy, with the field `rate`.")
    transcript: bytes | None = Field(None, description="The words of the clip: .srt, .vtt or .txt.")
    acts: bytes | None = Field(None, description="An acts file: .yaml.")
    rules: bytes | None = Field(None, description="Rules: .yaml, .json, or a lexicon alone: .csv.")
    labels: bytes | None = Field(None, description="Labels to answer by likeness: .json, or .csv of label and text.")


class Inline(BaseModel):
    """A file in a JSON object."""

    model_config = ConfigDict(extra="forbid")

    base64: str = Field(description="its bytes, in the standard alphabet with padding")
    name: str = Field("upload", description="with its ending, as messages and answers call it")


class Prediction(BaseModel):
    """One segment and person; a value that the model was not trained for is null."""

    model_config = ConfigDict(extra="allow")

    start: float = Field(description="seconds")
    end: float = Field(description="seconds")
    person: int | None
    speaker: str | None = Field(None, description="whose the words and the voice are, where that is known")
    present: list[str] = Field(description="modalities that were there")
    emotions: dict[str, float] | None = Field(description="class → calibrated probability")
    polarity: dict[str, float] | None
    intensity: float | None
    valence: float | None
    arousal: float | None
    by_modality: dict[str, dict[str, float]] = Field(description="emotions as each modality alone has them")


class Answer(BaseModel):
    """The analysis of a clip."""

    model_config = ConfigDict(extra="allow")

    source: str | None = Field(description="the file's name as it was sent")
    duration: float | None = Field(description="seconds; null where time has no meaning")
    model: str
    overall: Prediction | None
    speakers: dict[str, Prediction] = Field(default_factory=dict, description="speaker → the mean of what they say")
    persons: dict[str, Prediction] = Field(default_factory=dict, description="person → the mean of their predictions")
    segments: list[Prediction]
    transcript: list[dict[str, Any]]
    notes: list[str] = Field(description="what was left out and why")
    note_codes: list[dict[str, Any]]
    acts: list[dict[str, Any]] | None = Field(None, description="acts that fired; left out where none are applied")
    start: float | None = Field(
        None, description="second at which the stretch begins that was asked for; else left out"
    )


class Job(BaseModel):
    """How a job stands."""

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    created: float = Field(description="seconds since 1970")
    updated: float = Field(description="seconds since 1970")
    attempts: int = Field(description="times that it was begun")
    progress: dict[str, float | None] | None = Field(description="media-seconds read, and in all")
    error: dict[str, str] | None = Field(description="code and message of a job that failed")


class TaskInfo(BaseModel):
    """What a model answers."""

    name: str
    kind: str
    classes: list[str]


class ModelInfo(BaseModel):
    """A model that is served."""

    name: str
    modalities: list[str]
    tasks: list[TaskInfo]
    parameters: int
    device: str
    languages: list[str]
    version: str = Field(description="of emofuse")


class Models(BaseModel):
    """The models that are served."""

    models: list[ModelInfo]


class State(BaseModel):
    """Whether the service is there."""

    status: Literal["ok", "ready", "stopping"]


def request_body() -> dict[str, Any]:
    """The body of a request as OpenAPI has it; it is read as a stream, which FastAPI cannot describe by itself."""
    fields = Options.model_json_schema()
    parts = {
        name: {"type": "string", "format": "binary", "description": field.description}
        for name, field in Files.model_fields.items()
    }
    form = {"type": "object", "properties": fields["properties"] | parts}
    content = {"multipart/form-data": {"schema": form}, "application/json": {"schema": fields | _inline(fields)}}
    return {"requestBody": {"required": True, "content": content}}


def _inline(fields: dict[str, Any]) -> dict[str, Any]:
    """The properties of a JSON object, files included: those that may be words too are either."""
    schema, properties = Inline.model_json_schema(), dict(fields["properties"])
    properties |= {name: {"anyOf": [properties[name], {"type": "array"}, {"type": "object"}]} for name in TABLES}
    for name, part in INLINE.items():
        described = schema | {"description": f"{Files.model_fields[part].description} In base64."}
        properties[name] = {"anyOf": [properties[name], described]} if name in properties else described
    return {"properties": properties}
