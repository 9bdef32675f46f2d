"""Figure 10: the service, requests batched together against one by one, and at twice what it can do."""

from __future__ import annotations

import asyncio
import io
import statistics
import time
import wave
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from multiprocessing import get_context
from typing import Any

import httpx

from benchmarks.measure import Line, Setting

CLIENTS = 16
SECONDS = 3.0
"""Of a clip."""
MIXED = 0.01
"""Difference of a probability from which an answer is another's."""
FEELINGS = (
    *("I am so sad about it.", "I am so happy!", "I hate you, and I am furious.", "I am terrified."),
    *(
        "That is disgusting.",
        "What a surprise, I cannot believe it!",
        "The train leaves at nine.",
        "I miss her so much.",
    ),
)
TEXT = "I cannot believe it! We made it all the way to space, and I have never been so happy."


def measure(setting: Setting) -> list[Line]:
    """Requests a second of 16 clients, micro-batched over one by one; latencies of those accepted under overload."""
    import emofuse

    pipeline = emofuse.load("emofuse-small")
    clip, turns = _clip(), 2 if setting.smoke else 8
    lines = []
    for what, goal, request in (
        ("3-s clips", 1.5, {"files": {"file": ("a.wav", clip)}}),
        ("texts", 4.0, {"json": {"text": TEXT}}),
    ):
        rates: dict[str, list[float]] = {"batched": [], "one by one": []}
        for _ in range(setting.turns):
            for name, rows in (("batched", 32), ("one by one", 1)):
                rates[name].append(_rate(pipeline, rows, request, turns))
        median = {name: statistics.median(each) for name, each in rates.items()}
        ratio = median["batched"] / median["one by one"]
        details = {f"{name}, requests a second": value for name, value in median.items()}
        text = f"service: {CLIENTS} clients, {what}, micro-batched / one by one"
        lines.append(Line(10, text, ratio, "×", goal, at_most=False, details=details))
    return [*lines, *overload(pipeline, setting.seconds)]


def _difference(one: dict[str, float], other: dict[str, float]) -> float:
    """The largest of any class."""
    return max(abs(one[name] - share) for name, share in other.items())


def _clip() -> bytes:
    """Three seconds of the sample's voice as a wav file."""
    import numpy as np

    from benchmarks.clips import SAMPLE
    from emofuse.media.decode import read_audio

    sound = read_audio(SAMPLE)[: int(16_000 * SECONDS)]
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return out.getvalue()


def _rate(pipeline: Any, rows: int, request: dict[str, Any], turns: int) -> float:
    """Requests a second of clients that ask again as soon as they are answered."""
    from emofuse.serve.app import create_app
    from emofuse.serve.server import serving
    from emofuse.serve.settings import Settings

    with (
        ProcessPoolExecutor(1, get_context("spawn")) as clients,
        serving(create_app(pipeline, Settings(rows=rows, each=10_000))) as url,
    ):
        return clients.submit(_asked, url, request, turns).result()


def _asked(url: str, request: dict[str, Any], turns: int) -> float:
    """Requests a second, from the clients' process: in the service's own they would take its interpreter."""

    async def client(http: httpx.AsyncClient, count: int) -> None:
        for _ in range(count):
            (await http.post("/v1/analyze", **request)).raise_for_status()

    async def clients() -> float:
        limits = httpx.Limits(max_connections=CLIENTS)
        async with httpx.AsyncClient(base_url=url, timeout=300, limits=limits) as http:
            await asyncio.gather(*(client(http, 1) for _ in range(CLIENTS)))
            began = time.perf_counter()
            await asyncio.gather(*(client(http, turns) for _ in range(CLIENTS)))
            return CLIENTS * turns / (time.perf_counter() - began)

    return asyncio.run(clients())


def overload(pipeline: Any, seconds: float) -> list[Line]:
    """Sixteen clients for half as many places, for so many seconds: answers lost or mixed, and the latencies of those
    that were accepted."""
    from emofuse.serve.app import create_app
    from emofuse.serve.server import serving
    from emofuse.serve.settings import Settings

    texts = [f"{sentence} We made it all the way to space." for sentence in FEELINGS]
    expected = {text: pipeline(text=text).overall.emotions for text in texts}
    apart = min(_difference(expected[a], expected[b]) for a, b in combinations(texts, 2))
    assert apart > 2 * MIXED, f"two answers differ by {apart:.3f}: one in the place of the other would not be seen"
    took: list[float] = []
    wrong, refused, failed = 0, 0, 0

    async def client(http: httpx.AsyncClient, number: int, until: float) -> None:
        nonlocal wrong, refused, failed
        while time.perf_counter() < until:
            text = texts[number % len(texts)]
            began = time.perf_counter()
            try:
                reply = await http.post("/v1/analyze", json={"text": text})
            except httpx.HTTPError:
                failed += 1
                continue
            if reply.status_code == 429:
                refused += 1
                await asyncio.sleep(0.05)
            elif reply.status_code == 200:
                took.append(time.perf_counter() - began)
                wrong += _difference(reply.json()["overall"]["emotions"], expected[text]) > MIXED
            else:
                failed += 1

    async def clients(url: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            until = time.perf_counter() + seconds
            await asyncio.gather(*(client(http, number, until) for number in range(CLIENTS)))

    with serving(create_app(pipeline, Settings(working=CLIENTS // 4, waiting=CLIENTS // 4, each=10_000))) as url:
        asyncio.run(clients(url))
    took.sort()
    p50, p99 = took[len(took) // 2], took[min(len(took) - 1, round(0.99 * len(took)))]
    details = {"p50": p50, "p99": p99, "answered": len(took), "refused": refused, "seconds": seconds}
    name = f"service: {CLIENTS} clients for half as many places, "
    return [
        Line(10, name + "answers lost or mixed", float(wrong + failed), "", 0.0, details=details),
        Line(10, name + "99th percentile / median of those accepted", p99 / p50, "×", 3.0, details=details),
    ]
