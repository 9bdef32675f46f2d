"""Asking: the fields and files of a request, checked, as the inputs of a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from emofuse.errors import EmofuseError
from emofuse.media.formats import TEXT_SUFFIXES
from emofuse.media.transcript import read_text
from emofuse.pipeline.conversation.acts import Act, parse_acts
from emofuse.pipeline.prototypes import parse_labels
from emofuse.pipeline.rules import Rules, parse_rules
from emofuse.serve.problems import RefusedError
from emofuse.serve.receive import Part, Received
from emofuse.serve.schemas import Options

ARRAYS = ("int16", "int32", "uint8", "float32", "float64")
"""Types of numbers that an array may have."""
AS_GIVEN = ("speaker", "only", "channels", "channel", "context", "speakers", "start", "end")
"""Fields that are handed on as they are: who speaks, and what of the clip is analysed, as `ClipInputs` has them."""
T = TypeVar("T")
NOTHING = "nothing was sent: send a file, image, audio or text"
LARGEST_HEADER = 1000
"""Characters of the head of an .npy file."""


@dataclass(frozen=True)
class Asked:
    """What to analyse, and how the answer is wanted."""

    inputs: dict[str, Any]
    """Keywords of a pipeline's call."""
    shown: dict[str, str] = field(default_factory=dict)
    """Path → name, as messages and answers call it."""
    name: str | None = None
    """Of the source, in the answer."""
    coverage: float | None = None
    widest: int | None = None
    language: str | None = None
    alone: bool = False
    acts: tuple[Act, ...] | None = None
    """What is applied; None = what the pipeline was loaded with."""
    rules: Rules | None = None
    """What is laid over the answers; None = what the pipeline was loaded with."""
    labels: Mapping[str, Sequence[str]] | None = None
    """What is answered by prototype; None = what the pipeline was loaded with."""
    mask: Sequence[str] | None = None
    """Names that are masked in the words, beside what names a person by itself; None = nothing is masked."""
    render: bool = False
    """Whether the video is written again with its labels …"""
    blur: bool = False
    """… and its faces blurred."""

    @property
    def source(self) -> Path | None:
        """The video, recording, picture or text."""
        return self.inputs.get("source")

    @property
    def only_words(self) -> bool:
        """Whether there is nothing to decode."""
        words = self.source is None or self.source.suffix.lower() in TEXT_SUFFIXES
        return words and not {"image", "audio"} & self.inputs.keys()

    def told(self, message: str) -> str:
        """A message with the names that the caller knows in place of paths."""
        for path, name in self.shown.items():
            message = message.replace(path, name)
        return message


def read_options(fields: dict[str, str]) -> Options:
    """The fields of a request. Raises RefusedError, which does not repeat what was sent."""
    try:
        return Options.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))[:80]
        valid = ", ".join(Options.model_fields)
        hint = f"; valid fields: {valid}" if first["type"] == "extra_forbidden" else ""
        raise RefusedError(422, "invalid", f"field {name!r}: {first['msg']}{hint}") from None


def asked(received: Received, options: Options, fetched: Part | None = None) -> Asked:
    """What to analyse. `fetched`: the file that an address led to. Raises RefusedError."""
    files, inputs = received.files, dict[str, Any]()
    source = fetched or files.get("file")
    if fetched is not None and "file" in files:
        raise RefusedError(422, "invalid", "a file and an address were both sent; a clip is one of them")
    if source is not None:
        inputs["source"] = source.path
    if "image" in files:
        inputs["image"] = _image(files["image"].path)
    if "audio" in files:
        if options.rate is None:
            raise RefusedError(422, "invalid", "the part audio needs the field rate, in Hz")
        inputs["audio"] = (options.rate, _array(files["audio"].path))
    if options.text is not None:
        inputs["text"] = options.text
    if (words := _transcript(files.get("transcript"), options.transcript)) is not None:
        inputs["transcript"] = words
    if not inputs:
        raise RefusedError(422, "invalid", NOTHING)
    if options.render and source is None:
        raise RefusedError(422, "invalid", "render writes a video again, and no file was sent")
    if options.blur and not options.render:
        raise RefusedError(422, "invalid", "blur is of the faces in what render answers; send render too")
    inputs |= {name: value for name in AS_GIVEN if (value := getattr(options, name)) is not None}
    return Asked(
        inputs,
        {str(part.path): part.name for part in (*files.values(), *([fetched] if fetched else []))},
        source.name if source else files["image"].name if isinstance(inputs.get("image"), Path) else None,
        options.coverage,
        options.widest,
        options.language,
        options.alone,
        acts=_acts(files.get("acts"), options.acts),
        rules=_rules(files.get("rules"), options.rules),
        labels=_labels(files.get("labels"), options.labels),
        mask=(options.mask_names or []) if options.mask or options.mask_names is not None else None,
        render=options.render,
        blur=options.blur,
    )


def _acts(file: Part | None, text: str | None) -> tuple[Act, ...] | None:
    """What is to be applied. Raises RefusedError."""
    return _own("acts", file, text, lambda said, _: parse_acts(_wrapped(said, "acts")))


def _rules(file: Part | None, text: str | None) -> Rules | None:
    """What is to be laid over the answers. Raises RefusedError."""
    return _own("rules", file, text, lambda said, name: parse_rules(_wrapped(said, "rules"), name))


def _labels(file: Part | None, text: str | None) -> dict[str, list[str]] | None:
    """What is to be answered by prototype. Raises RefusedError."""
    return _own("labels", file, text, parse_labels)


def _own(kind: str, file: Part | None, text: str | None, parse: Callable[[str, str], T]) -> T | None:
    """A file of the caller's own, sent as such or as a field, and what it is called. Raises RefusedError."""
    if file is not None and text is not None:
        raise RefusedError(422, "invalid", f"{kind} were sent as a field and as a file; send one of them")
    if file is None and text is None:
        return None
    try:
        return parse(read_text(file.path), file.name) if file is not None else parse(text or "", kind)
    except EmofuseError as error:
        told = str(error) if file is None else str(error).replace(str(file.path), file.name)
        raise RefusedError(422, "invalid", told[:300]) from None


def _wrapped(said: str, kind: str) -> str:
    """A list alone, as JSON has it, as the file that holds it."""
    return f'{{"{kind}": {said}}}' if said.lstrip().startswith("[") else said


def _transcript(file: Part | None, words: str | None) -> str | Path | None:
    """A file of words, or words. A string that looks like the name of a file is neither: it would be opened here."""
    if file is not None and words is not None:
        raise RefusedError(422, "invalid", "transcript was sent as a field and as a file; send one of them")
    if words is not None and words.strip().lower().endswith(TEXT_SUFFIXES) and "\n" not in words.strip():
        raise RefusedError(422, "invalid", "transcript is the words themselves, or a file part; not the name of a file")
    return file.path if file is not None else words


def _image(path: Path) -> Path | np.ndarray:
    with path.open("rb") as file:
        return _array(path) if file.read(6) == b"\x93NUMPY" else path


def _array(path: Path) -> np.ndarray:
    """An array as `numpy.save` writes it; nothing else is unpickled or mapped."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file, max_header_size=LARGEST_HEADER)
            left = path.stat().st_size - file.tell()
        if dtype.name not in ARRAYS or dtype.hasobject or not 1 <= len(shape) <= 3:
            message = f"an array is of {', '.join(ARRAYS)}, with 1 to 3 axes; not {dtype} with {len(shape)}"
            raise RefusedError(422, "invalid", message[:300])
        if min(shape) < 0 or left != dtype.itemsize * _product(shape):
            raise ValueError("its head announces another size than it has")
        return np.load(path, allow_pickle=False)
    except RefusedError:
        raise
    except Exception as error:  # NumPy raises whatever it likes
        raise RefusedError(
            422, "unreadable", f"the array cannot be read: {error}; write it with numpy.save"[:300]
        ) from None


def _product(shape: tuple[int, ...]) -> int:
    """In whole numbers of any size."""
    result = 1
    for side in shape:
        result *= side
    return result
