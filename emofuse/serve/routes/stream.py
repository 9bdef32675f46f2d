"""`WS /v1/stream`: sound in as it is recorded, predictions out as they are made."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import av
import av.error
import numpy as np
from fastapi import APIRouter, WebSocket
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.websockets import WebSocketDisconnect, WebSocketState

from emofuse.errors import EmofuseError, MediaError
from emofuse.pipeline.formats import as_dict
from emofuse.pipeline.live import LiveAnswer, LiveSession
from emofuse.serve.keys import Caller
from emofuse.serve.problems import RefusedError
from emofuse.serve.routes.shared import service_of
from emofuse.serve.service import Service

router = APIRouter(tags=["stream"])
EVERY = 0.25
"""Seconds of new sound from which on another answer is made."""
SILENT = 30.0
"""Seconds without sound after which a stream is closed."""
POLICY, TRY_LATER, RESTARTS, UNREADABLE = 1008, 1013, 1012, 1003
"""Codes that a stream is closed with (RFC 6455)."""


class Opening(BaseModel):
    """The first message of a stream."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["pcm16", "opus"] = Field("pcm16", description="little-endian samples, or opus packets")
    rate: int = Field(16_000, ge=8_000, le=192_000, description="Hz, of pcm16")
    channels: int = Field(1, ge=1, le=8, description="interleaved, of pcm16")
    key: str | None = Field(None, max_length=200, description="for browsers, which send no Authorization header")


@router.websocket("/v1/stream")
async def stream(socket: WebSocket) -> None:
    """First a JSON text (`Opening`), then a binary message for each piece of sound; `{"type": "end"}` ends it.

    Answers are JSON texts: `ready`, then `prediction` with `at`, `latency` and `overall`, as often as the model can;
    `error` before the stream is closed for one.
    """
    service = service_of(socket)
    await socket.accept()
    try:
        opening = await _opening(socket)
        caller = service.caller(socket, opening.key)
        socket.scope["emofuse.caller"] = caller.name
        _check_place(service, caller)
    except RefusedError as error:
        later = error.status in (429, 503)
        await _refuse(socket, error.code, error.message, TRY_LATER if later else POLICY)
        return
    except WebSocketDisconnect:
        return
    service.streams[caller.name] += 1
    try:
        await _Stream(socket, service, caller, opening).run()
    finally:
        service.streams[caller.name] -= 1
        service.streams += Counter()  # drops who has none


async def _opening(socket: WebSocket) -> Opening:
    try:
        async with asyncio.timeout(SILENT):
            return Opening.model_validate_json(await socket.receive_text())
    except (ValidationError, KeyError, TimeoutError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        wrong = f"; {first['loc'][0]!s:.80}: {first['msg']}" if first and first["loc"] else ""
        valid = ", ".join(Opening.model_fields)
        raise RefusedError(422, "invalid", f"the first message is a JSON text with any of {valid}{wrong}") from None


def _check_place(service: Service, caller: Caller) -> None:
    """Raise RefusedError where there is no place for one more stream of a caller's."""
    if service.admission.draining:
        raise RefusedError(503, "stopping", "the service is stopping; ask another one")
    if service.streams.total() >= service.settings.streams:
        raise RefusedError(429, "too_many", "too many streams are open; come back later")
    if service.streams[caller.name] >= (each := service.settings.streams_each):
        raise RefusedError(429, "too_many", f"you have {each} streams open, and no more are taken; end one of them")


async def _refuse(socket: WebSocket, code: str, message: str, close: int) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        await socket.send_json({"type": "error", "code": code, "message": message})
        await socket.close(close)


class _Stream:
    """One stream: sound is kept as it comes, whatever the model does, and answers rest on the last of it."""

    def __init__(self, socket: WebSocket, service: Service, caller: Caller, opening: Opening) -> None:
        self.socket, self.service, self.caller, self.opening = socket, service, caller, opening
        self.session: LiveSession = service.live()
        self.decode: Callable[[bytes], tuple[int, np.ndarray]] = (
            _Opus() if opening.format == "opus" else lambda data: _pcm(data, opening)
        )
        self.heard = 0.0
        """Seconds of sound so far."""
        self._new, self._ended = asyncio.Event(), False

    async def run(self) -> None:
        """Until the caller ends it, leaves, is silent for long, or has used what it may."""
        await self.socket.send_json({"type": "ready"})
        receiving, answering = (asyncio.create_task(work) for work in (self._receive(), self._answer()))
        try:
            await asyncio.wait({receiving, answering}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():  # before the sound has ended: by an error
                answering.result()
            await receiving
            self._ended = True
            self._new.set()
            await answering
            if self.socket.client_state is WebSocketState.CONNECTED:
                await self.socket.close()
        except RefusedError as error:
            await _refuse(self.socket, error.code, error.message, RESTARTS if error.status == 503 else POLICY)
        except EmofuseError as error:
            await _refuse(self.socket, "unreadable", str(error), UNREADABLE)
        except WebSocketDisconnect:
            pass
        finally:
            self.socket.scope["emofuse.seconds"] = self.heard
            for work in (receiving, answering):
                work.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await work

    async def _receive(self) -> None:
        """Keep sound until there is no more. Raises RefusedError, MediaError and WebSocketDisconnect.

        Messages without sound neither keep a stream open nor prolong it beyond what it may last by the clock.
        """
        began, heard_at, heard = time.monotonic(), time.monotonic(), self.heard
        while True:
            if self.heard > heard:
                heard_at, heard = time.monotonic(), self.heard
            silent, left = SILENT - (time.monotonic() - heard_at), self._left(began)
            try:
                message = await asyncio.wait_for(self.socket.receive(), max(0.0, min(silent, left)))
            except TimeoutError:
                if left < silent:
                    raise self._too_long() from None
                raise RefusedError(408, "slow", f"no sound came for {SILENT:g} s") from None
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1000))
            if self.service.admission.draining:
                raise RefusedError(503, "stopping", "the service is stopping; ask another one")
            if (data := message.get("bytes")) is not None:
                self._keep(*self.decode(data))
            elif _is_end(message.get("text") or ""):
                return

    def _keep(self, rate: int, samples: np.ndarray) -> None:
        seconds = len(samples) / rate
        self.service.quotas.charge(self.caller, seconds)
        self.heard += seconds
        if self.heard > self.service.settings.stream_minutes * 60:
            raise self._too_long()
        if len(samples):
            self.session.keep_sound(rate, samples)
            self._new.set()

    def _left(self, began: float) -> float:
        """Seconds by the clock for which the stream may still be open."""
        return self.service.settings.stream_minutes * 60 + SILENT - (time.monotonic() - began)

    def _too_long(self) -> RefusedError:
        minutes = self.service.settings.stream_minutes
        return RefusedError(413, "too_large", f"a stream has at most {minutes:g} minutes; open another")

    async def _answer(self) -> None:
        """Answers, one after another, while there is new sound; the last rests on all there was."""
        told = 0.0
        while not (self._ended and told == self.heard):
            await self._new.wait()
            self._new.clear()
            if not self._ended and self.heard - told < EVERY:
                continue
            told = self.heard
            began = time.monotonic()
            answer = await asyncio.to_thread(self.session.answer)
            if answer is not None:
                await self.socket.send_json(_shape(answer, told, time.monotonic() - began))
            if self._ended or self.heard > told:
                self._new.set()


def _shape(answer: LiveAnswer, heard: float, latency: float) -> dict[str, Any]:
    overall = as_dict(answer.overall) if answer.overall else None
    return {"type": "prediction", "at": round(heard, 3), "latency": round(latency, 4), "overall": overall}


def _is_end(text: str) -> bool:
    """Whether a text ends the stream. Raises RefusedError for any other."""
    with suppress(ValueError, RecursionError):
        if json.loads(text) == {"type": "end"}:
            return True
    raise RefusedError(422, "invalid", 'after the first message come binary messages of sound, then {"type": "end"}')


def _pcm(data: bytes, opening: Opening) -> tuple[int, np.ndarray]:
    """Samples of shape (samples,) or (samples, channels)."""
    if len(data) % (2 * opening.channels):
        raise MediaError(f"{len(data)} bytes are no whole number of 16-bit samples of {opening.channels} channel(s)")
    samples = np.frombuffer(data, "<i2").astype(np.int16)
    return opening.rate, samples if opening.channels == 1 else samples.reshape(-1, opening.channels)


class _Opus:
    """Packets of opus, one a message, to samples."""

    RATE = 48_000

    def __init__(self) -> None:
        self._decoder: Any = av.CodecContext.create("opus", "r")
        self._decoder.sample_rate = self.RATE
        self._decoder.layout = "mono"

    def __call__(self, data: bytes) -> tuple[int, np.ndarray]:
        """Float samples. Raises MediaError."""
        try:
            frames = self._decoder.decode(av.Packet(data)) if data else []
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError(f"this is no packet of opus ({type(error).__name__}); send one packet a message") from None
        sound = [np.atleast_2d(frame.to_ndarray()).mean(axis=0) for frame in frames]
        return self.RATE, np.concatenate(sound).astype(np.float32) if sound else np.zeros(0, np.float32)
