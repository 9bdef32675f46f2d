"""The client: a pipeline that is elsewhere, behind `emofuse serve`."""

from __future__ import annotations

import io
import json
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any, Unpack

import httpx
import numpy as np

from emofuse.errors import EmofuseError, MediaError, check_count, first_line
from emofuse.files import as_path, check_outputs, home_path, replacing, well_formed
from emofuse.media.clip import ClipInputs, PathOrName, Source, check_inputs
from emofuse.media.formats import TEXT_SUFFIXES, existing_file, reading_sidecar
from emofuse.media.image import read_image
from emofuse.media.memory import as_sound
from emofuse.media.talk import read_names
from emofuse.media.transcript import read_text
from emofuse.model.conformal import ConformalTable, from_plain
from emofuse.notes import Note
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.conversation.acts import VALID, parse_acts
from emofuse.pipeline.many import Item, as_inputs, check_items, with_sidecar
from emofuse.pipeline.prototypes import Given, labels_to_text, read_labels
from emofuse.pipeline.rules import Rules, read_rules
from emofuse.pipeline.wire import from_wire
from emofuse.types import Prediction

PATIENCE = 600.0
"""Seconds for one answer unless told otherwise."""
BACK = 6
"""Times that a request is sent again after 429 or 503."""
_TRIED_AGAIN = (429, 503)


class ServiceError(EmofuseError):
    """The service did not answer: it is not there, the key is not known, or it is too busy; `status` as HTTP has it."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """A served model with the calls of `Pipeline`: the same inputs, the same `Analysis`, to the bit.

    `url` is the service's address, `key` one of its keys. Where it says to come back later (429, 503), requests are
    sent again after the time it names, `tries` times. `alone` False lets the service batch these requests with others'
    (quicker for many short ones); the last digits of an answer may then differ from a local one's. `acts`, a file, are
    applied to each clip, `rules` laid over its answers and `labels` answered by prototype, as `emofuse.load(acts=…,
    rules=…, labels=…)` has it; with `mask` (or `mask_names`) the words come back as `Analysis.masked` has them. It may
    be used from several threads, and as a context manager. Raises `ServiceError` where there is no answer, and
    `MediaError` for what the model cannot read, as a pipeline does.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = PATIENCE,
        tries: int = BACK,
        alone: bool = True,
        acts: PathOrName | None = None,
        rules: PathOrName | Rules | None = None,
        labels: PathOrName | Given = (),
        mask: bool = False,
        mask_names: Sequence[str] | None = None,
    ) -> None:
        if not isinstance(url, str) or not re.match(r"(?i)https?://[^/]", url):
            raise ServiceError(f"{url!r:.200} is no address of a service; give http://HOST:PORT")
        if not isinstance(key, str | None):
            raise ServiceError(f"key is a string as emofuse serve --new-key prints it, not {type(key).__name__}")
        if not isinstance(timeout, Real | None) or (timeout is not None and timeout <= 0):
            raise ServiceError(f"timeout is a number of seconds above 0, or None, not {timeout!r:.80}")
        check_count(tries, "tries", least=0)
        self.url, self.tries = url.rstrip("/"), tries
        self._always = {"alone": str(alone).lower()} | _how(acts, mask, mask_names)
        self._always |= {"labels": labels_to_text(asked)} if (asked := read_labels(labels)) else {}
        self._always_files = {"rules": ("rules.json", read_rules(rules).to_text().encode())} if rules else {}
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            self._http = httpx.Client(base_url=self.url, headers=headers, timeout=httpx.Timeout(timeout, connect=10.0))
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            raise ServiceError(f"{url!r} is no address ({error}); give http://HOST:PORT") from None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    @cached_property
    def name(self) -> str:
        """Of the model that is served."""
        try:
            return str(self._get("/v1/models")["models"][0]["name"])
        except (LookupError, TypeError) as error:
            raise self._unknown(error) from error

    def __call__(self, source: Source | None = None, **inputs: Unpack[ClipInputs]) -> Analysis:
        """Analyse one clip, see `Pipeline`; moving pictures in memory (`frames`) are not sent."""
        check_inputs(inputs)
        return self._analysed({"source": source, **inputs})

    def stream(self, source: Source | None = None, **inputs: Unpack[ClipInputs]) -> Iterator[Prediction]:
        """The predictions of a clip in order of time, once all are there."""
        yield from self(source, **inputs).segments

    def render(self, source: Source, target: PathOrName, *, blur: bool = False, **inputs: Unpack[ClipInputs]) -> Path:
        """Have a video analysed and written again with its labels, and with its faces blurred where asked for, as mp4.

        See `emofuse.pipeline.render`; the file appears whole. Raises `OutputError` for a target that is sent itself.
        """
        if as_path(target, "out.mp4").suffix.lower() != ".mp4":
            raise MediaError(f"the service renders mp4, and the target is {str(target)!r}; name it .mp4")
        check_inputs(inputs)
        given: dict[str, Any] = {"source": source, **inputs}
        check_outputs([target], [_path_of(value) for value in (source, inputs.get("image"))])
        fields, files = _body({key: value for key, value in given.items() if value is not None})
        asked = fields | self._always | {"render": "true", "blur": str(blur).lower()}
        with replacing(target) as temporary:
            temporary.write_bytes(
                self._sent("POST", "/v1/analyze", data=asked, files=files | self._always_files).content
            )
        return Path(target)

    def predict_iter(
        self, items: Iterable[Item], *, window: int = 16, sidecars: bool = True
    ) -> Iterator[Analysis | EmofuseError]:
        """Analyse items as they are taken from an iterable, `window` at a time; the answers come in the same order.

        Items and errors are as `Pipeline.predict_iter` has them; what the iterable itself raises comes after the
        answers to what it gave before.
        """
        check_items(items)
        check_count(window, "window")
        return self._answers(iter(items), window, sidecars)

    def _answers(self, source: Iterator[Item], window: int, sidecars: bool) -> Iterator[Analysis | EmofuseError]:
        ended, failed = False, None
        waiting = deque[Future[Analysis | EmofuseError]]()
        with ThreadPoolExecutor(window, "emofuse-client") as pool:
            while True:
                try:
                    while not ended and len(waiting) < window:
                        waiting.append(pool.submit(self._item, next(source), sidecars))
                except StopIteration:
                    ended = True
                except Exception as error:  # the iterable's own, raised once its items are answered
                    ended, failed = True, error
                if not waiting:
                    break
                yield waiting.popleft().result()
        if failed is not None:
            raise failed

    def predict_many(self, items: Iterable[Item], *, sidecars: bool = True) -> list[Analysis | EmofuseError]:
        """The answers of `predict_iter` as a list, in the order of the items."""
        return list(self.predict_iter(items, sidecars=sidecars))

    def _item(self, item: Item, sidecars: bool) -> Analysis | EmofuseError:
        name = None
        try:
            name, inputs = as_inputs(item)
            inputs, notes = with_sidecar(inputs) if sidecars else (inputs, ())
            with reading_sidecar(inputs["transcript"] if notes else None):
                return self._analysed(inputs, name, notes)
        except EmofuseError as error:
            error.id = name  # pyright: ignore[reportAttributeAccessIssue]
            return error

    def _analysed(self, inputs: dict[str, Any], name: str | None = None, notes: tuple[Note, ...] = ()) -> Analysis:
        fields, files = _body({key: value for key, value in inputs.items() if value is not None})
        shape = self._post(fields | self._always | {"format": "full"}, files | self._always_files)
        paths = (inputs.get("source"), inputs.get("image"))
        given = next((str(path) for path in paths if isinstance(path, (str, PathLike))), None)
        try:
            found = from_wire(shape | {"source": given, "id": name}, self._conformal)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._unknown(error) from error
        return _noted(found, notes)

    @cached_property
    def _conformal(self) -> ConformalTable:
        """What `Analysis.at_coverage` needs."""
        return from_plain(self._get(f"/v1/models/{self.name}/conformal"))

    def _get(self, path: str) -> Any:
        return self._json(self._sent("GET", path))

    def _post(self, fields: dict[str, str], files: dict[str, tuple[str, bytes]]) -> dict[str, Any]:
        if files:
            return self._json(self._sent("POST", "/v1/analyze", data=fields, files=files))
        return self._json(self._sent("POST", "/v1/analyze", json=fields))

    def _json(self, reply: httpx.Response) -> Any:
        try:
            return reply.json()
        except ValueError as error:
            raise self._unknown(error) from error

    def _unknown(self, error: Exception) -> ServiceError:
        told = f"{type(error).__name__}: {first_line(error)}"
        return ServiceError(
            f"{self.url} answers in a form that this version does not read ({told}); is it emofuse serve?"
        )

    def _sent(self, method: str, path: str, **body: Any) -> httpx.Response:
        """The answer to a request, sent again where the service says to. Raises ServiceError and MediaError."""
        for left in range(self.tries, -1, -1):
            try:
                reply = self._http.request(method, path, **body)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise ServiceError(f"{self.url} does not answer ({type(error).__name__}: {error})") from error
            if reply.status_code not in _TRIED_AGAIN or not left or _code(reply) == "quota":
                break
            time.sleep(_pause(reply.headers.get("retry-after", "")))
        if reply.is_success:
            return reply
        raise _error(reply)


def _pause(told: str) -> float:
    """Seconds to wait, of a Retry-After; where it names a date, as a proxy's may, a second."""
    return min(60.0, float(told)) if told.isdecimal() else 1.0


def _how(acts: PathOrName | None, mask: bool, names: Sequence[str] | None) -> dict[str, str]:
    """Fields that say what is made of every answer. Raises DataError for wrong acts, MediaError for names."""
    fields = {"mask": "true"} if mask else {}
    if names is not None:
        fields["mask_names"] = json.dumps(list(read_names(names, "mask_names") or ()))
    if acts is not None:
        text = read_text(acts, VALID)
        parse_acts(text, str(acts))
        fields["acts"] = text
    return fields


def _body(inputs: dict[str, Any]) -> tuple[dict[str, str], dict[str, tuple[str, bytes]]]:
    """The fields and the files of a request. Raises MediaError for what a pipeline would refuse before reading."""
    if "frames" in inputs:
        raise MediaError("frames= is not sent to a service; write a video and give its path")
    fields, files = dict[str, str](), dict[str, tuple[str, bytes]]()
    for name in ("speaker", "speakers", "channel", "start", "end"):
        fields |= {name: str(inputs[name])} if name in inputs else {}
    for name in ("only", "channels", "context"):
        if name in inputs:
            value = inputs[name]
            fields[name] = json.dumps([value] if isinstance(value, str) else list(value))
    if "text" in inputs:
        fields["text"] = _string(inputs["text"])
    if "transcript" in inputs:
        _put_words(inputs["transcript"], fields, files)
    if "source" in inputs:
        files["file"] = _file(inputs["source"])
    if "image" in inputs:
        image = inputs["image"]
        files["image"] = _file(image) if isinstance(image, (str, PathLike)) else ("image.npy", _npy(read_image(image)))
    if "audio" in inputs:
        rate, samples = as_sound(inputs["audio"])
        fields["rate"], files["audio"] = str(int(rate)), ("audio.npy", _npy(samples))
    return fields, files


def _put_words(transcript: Any, fields: dict[str, str], files: dict[str, tuple[str, bytes]]) -> None:
    """A transcript as a file where `read_transcript` would open one."""
    is_name = isinstance(transcript, str) and "\n" not in transcript.strip()
    if isinstance(transcript, PathLike) or (is_name and transcript.strip().lower().endswith(TEXT_SUFFIXES)):
        files["transcript"] = _file(transcript.strip() if isinstance(transcript, str) else transcript)
    else:
        fields["transcript"] = _string(transcript)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise MediaError(f"words are a string, not {type(value).__name__}")
    return well_formed(value)


def _file(source: Any) -> tuple[str, bytes]:
    """Name and bytes. A file whose bytes are given has no name."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "upload", bytes(source)
    if hasattr(source, "read"):
        return Path(str(getattr(source, "name", "upload"))).name, source.read()
    path = existing_file(source)
    return path.name, path.read_bytes()


def _path_of(source: Any) -> Path | None:
    """Where a file lies that is given by its path or open; None for what is in memory."""
    name = source if isinstance(source, (str, PathLike)) else getattr(source, "name", None)
    return home_path(name) if isinstance(name, (str, PathLike)) else None


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array), allow_pickle=False)
    return file.getvalue()


def _noted(found: Analysis, notes: tuple[Note, ...]) -> Analysis:
    from dataclasses import replace

    return replace(found, notes=(*notes, *found.notes)) if notes else found


def _code(reply: httpx.Response) -> str:
    try:
        return str(reply.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _error(reply: httpx.Response) -> EmofuseError:
    """What a refusal says, as the error that a pipeline would raise, where it is one of the input."""
    try:
        message = str(reply.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = f"it answers {reply.status_code} and does not say why; is it emofuse serve?"
    if reply.status_code in (413, 422):
        return MediaError(message)
    return ServiceError(f"the service refused: {message}", reply.status_code)
