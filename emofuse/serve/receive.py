"""Receiving: the body of a request, streamed into a private folder within its limits."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from emofuse.serve.problems import RefusedError

HEADERS = 32_768
"""Bytes of a request's first line and headers, as they are sent."""
PARTS = 16
"""Parts of a form."""
FILES = ("file", "image", "audio", "transcript", "acts", "rules", "labels")
"""Parts that may be files."""
WORDS = ("text", "transcript", "url", "speaker")
"""Fields that JSON has as strings: of a list or a number its notation would be read as what was said."""
TABLES = ("labels",)
"""Keys of a JSON object that may hold an object of their own …"""
INLINE = {"media": "file"} | {name: name for name in FILES if name not in TABLES}
"""… or a file, as {"base64": …, "name": …} → the part that it is."""
INLINE_BYTES = 16_000_000
"""Bytes of a JSON object; as a form, files may be larger."""
SHORT = 16_384
"""Bytes of a JSON object that is read at once, which takes less time than waking a thread for it."""
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")
_WRAPPED = {ord("\r"): None, ord("\n"): None}


@dataclass(frozen=True)
class Part:
    """A file of a form: where it lies, and what its sender calls it."""

    path: Path
    name: str


@dataclass
class Received:
    """The fields and files of a body."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, Part] = field(default_factory=dict)
    size: int = 0


async def receive(request: Request, folder: Path, most: int, characters: int, seconds: float) -> Received:
    """The body of a request, a form or a JSON object; its files come to lie in `folder`, under names made here.

    In JSON, files are in base64.

    Raises RefusedError for a body that is longer than `most` bytes, a field of more than `characters`, a body that
    takes more than `seconds` to arrive, and one that is neither form nor object.
    """
    _check_headers(request, most)
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    try:
        async with asyncio.timeout(seconds):
            if kind == b"application/json":
                body = await _whole(request, min(most, INLINE_BYTES))
                if len(body) <= SHORT:
                    return _object(body, folder, characters)
                return await asyncio.to_thread(_object, body, folder, characters)
            if kind == b"multipart/form-data" and options.get(b"boundary"):
                return await _form(request, options[b"boundary"], folder, most, characters)
    except TimeoutError:
        raise RefusedError(408, "slow", f"the body took longer than {seconds:g} s to arrive; send less") from None
    except FormParserError as error:
        raise RefusedError(422, "invalid", f"the form cannot be read: {error}"[:300]) from None
    except ClientDisconnect:
        raise RefusedError(400, "gone", "the caller left") from None
    raise RefusedError(415, "unsupported", "a body is multipart/form-data (with files) or application/json (a text)")


def check_head(method: str, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise RefusedError for a first line and headers that are longer than any caller's should be."""
    first = len(f"{method}  HTTP/1.1\r\n") + len(target)
    if first + sum(len(name) + len(value) + len(": \r\n") for name, value in headers) + len("\r\n") > HEADERS:
        raise RefusedError(431, "too_large", f"the headers, with the address, have more than {HEADERS:,} bytes")


class HeaderLimit:
    """Refuses requests by `check_head`: a server's own limit lets pass what comes in one piece."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            target = (scope.get("raw_path") or scope["path"].encode()) + b"?" + scope["query_string"]
            try:
                check_head(scope["method"], target, scope["headers"])
            except RefusedError as refused:
                await refused.response()(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _check_headers(request: Request, most: int) -> None:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusedError(415, "unsupported", "a body is sent as it is, without Content-Encoding")
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:20]) > most:
        raise _too_large(most)


def _too_large(most: int) -> RefusedError:
    inline = "; a form (multipart/form-data) may be larger" if most == INLINE_BYTES else ""
    message = f"the body has more than {most:,} bytes, and no more are taken; cut the clip{inline}"
    return RefusedError(413, "too_large", message)


async def _chunks(request: Request, most: int) -> AsyncIterator[bytes]:
    seen = 0
    async for chunk in request.stream():
        seen += len(chunk)
        if seen > most:
            raise _too_large(most)
        yield chunk


async def _whole(request: Request, most: int) -> bytes:
    return b"".join([chunk async for chunk in _chunks(request, most)])


def _object(body: bytes, folder: Path, characters: int) -> Received:
    """The fields of a JSON object, numbers and booleans read as their text, and the files that it holds."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(422, "invalid", f"the body is not JSON ({type(error).__name__})") from None
    if not isinstance(said, dict):
        raise RefusedError(422, "invalid", f"the body is a JSON {type(said).__name__}; it should be an object")
    received = Received(size=len(body))
    for name, value in said.items():
        if isinstance(value, dict) and name not in TABLES:
            _put_inline(received, name, value, folder)
            continue
        if name in WORDS and not isinstance(value, str | None):
            raise RefusedError(422, "invalid", f"{name!r} is a JSON {type(value).__name__}; it should be a string")
        if value is not None:
            received.fields[name] = value if isinstance(value, str) else json.dumps(value)
        _check_length(name, received.fields.get(name, ""), characters)
    return received


def _put_inline(received: Received, name: str, value: dict[str, Any], folder: Path) -> None:
    """Write a file that a JSON object holds in base64. Raises RefusedError for an object that is none."""
    told = f"{name[:80]!r} is an object"
    if name not in INLINE:
        fields = "a field is a string, a number or a list; files are " + ", ".join(INLINE)
        raise RefusedError(422, "invalid", f"{told}; {fields}")
    sent, encoded = value.get("name", "upload"), value.get("base64")
    if not isinstance(encoded, str) or not isinstance(sent, str) or not value.keys() <= {"base64", "name"}:
        raise RefusedError(422, "invalid", f'{told}; a file is {{"base64": "…", "name": "clip.mp4"}}')
    part = INLINE[name]
    if part in received.files:
        raise RefusedError(422, "invalid", f"{name!r} and {part!r} are the same, and both were sent; send one")
    path, received.files[part] = _placed(folder, part, sent)
    try:
        path.write_bytes(base64.b64decode(encoded.translate(_WRAPPED), validate=True))
    except (binascii.Error, ValueError):
        how = "the standard alphabet with padding, without 'data:…,' before it"
        raise RefusedError(422, "invalid", f"{name!r} holds no base64; send {how}") from None


def _placed(folder: Path, part: str, sent: str) -> tuple[Path, Part]:
    """Where a file goes: under a name of our own with the ending of its sender's."""
    suffix = Path(sent.replace("\\", "/").replace("\0", "")).suffix.lower()
    path = folder / f"{part}{suffix if _SUFFIX.fullmatch(suffix) else ''}"
    return path, Part(path, _shown(sent))


def _check_length(name: str, value: str, characters: int) -> None:
    if len(value) > characters:
        message = f"{name[:80]!r} has more than {characters:,} characters, and no more are taken; cut it, or send a job"
        raise RefusedError(413, "too_large", message)


async def _form(request: Request, boundary: bytes, folder: Path, most: int, characters: int) -> Received:
    reader = _FormReader(folder, characters)
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": reader.begin,
            "on_header_field": reader.header_field,
            "on_header_value": reader.header_value,
            "on_header_end": reader.header_end,
            "on_headers_finished": reader.headers_finished,
            "on_part_data": reader.data,
            "on_part_end": reader.end,
            "on_end": reader.finish,
        },
    )
    try:
        async for chunk in _chunks(request, most):
            reader.received.size += len(chunk)
            parser.write(chunk)
        parser.finalize()
    finally:
        reader.close()
    if not reader.finished:
        raise RefusedError(422, "invalid", "the form ends before its last boundary")
    return reader.received


class _FormReader:
    """What a parser of forms calls: fields are kept in memory, files written as they come."""

    def __init__(self, folder: Path, characters: int) -> None:
        self.folder, self.characters = folder, characters
        self.received = Received()
        self.finished = False
        self._count, self._name = 0, ""
        self._headers: dict[bytes, bytes] = {}
        self._header, self._value = b"", b""
        self._text = bytearray()
        self._file: BinaryIO | None = None

    def begin(self) -> None:
        self._count += 1
        if self._count > PARTS:
            raise RefusedError(422, "invalid", f"a form has at most {PARTS} parts")
        self._headers, self._text, self._name = {}, bytearray(), ""

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header, self._value = b"", b""

    def headers_finished(self) -> None:
        """The part's name, and, of a file, a new file under a name of our own with the ending of its sender's."""
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name in self.received.fields or self._name in self.received.files:
            raise RefusedError(422, "invalid", f"the form has two parts {self._name[:80]!r}")
        if b"filename" not in options:
            return
        if self._name not in FILES:
            raise RefusedError(422, "invalid", f"{self._name[:80]!r} is no file; files are {', '.join(FILES)}")
        sent = options[b"filename"].decode("utf-8", "replace")
        path, self.received.files[self._name] = _placed(self.folder, self._name, sent)
        self._file = path.open("xb")

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > 4 * self.characters:
            _check_length(self._name, self._text.decode("utf-8", "replace") + " " * self.characters, self.characters)

    def end(self) -> None:
        if self._file is not None:
            self.close()
            return
        try:
            value = self._text.decode("utf-8")
        except UnicodeDecodeError:
            raise RefusedError(422, "invalid", f"{self._name[:80]!r} is not UTF-8") from None
        _check_length(self._name, value, self.characters)
        self.received.fields[self._name] = value

    def finish(self) -> None:
        self.finished = True

    def close(self) -> None:
        """Close a file that is being written."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _shown(name: str) -> str:
    """A file's name without folders and control characters, as messages may repeat it."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable())[:120] or "upload"
