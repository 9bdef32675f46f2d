"""Webhook: an alert, posted as JSON to an address that the caller names, again where it is not taken at once."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emofuse.errors import DataError, OutputError
from emofuse.files import well_formed

if TYPE_CHECKING:
    import httpx

TIMEOUT = 10.0
"""Seconds that a receiver has for its answer."""
TRIES = 5
"""Times that an alert is posted before it is given up."""
FIRST_WAIT = 1.0
"""Seconds before the second try; each after waits twice as long …"""
LONGEST_WAIT = 30.0
"""… or as long as the receiver asks for, up to this."""
LATER = (408, 425, 429, 500, 502, 503, 504)
"""Answers that may be others a little later."""
_LOGGERS = ("httpx", "httpcore")


def check_address(url: str) -> str:
    """The address, if something can be posted to it. Raises `DataError`, which does not repeat it: it may hold a
    secret."""
    import httpx

    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        raise DataError("--webhook holds no address; give https://…") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise DataError("--webhook holds no address of the web; give https://…")
    return url


def body(of: str, alert: Mapping[str, Any]) -> dict[str, Any]:
    """What is posted of an alert of `Trend.alerts`: of its rows their names alone, no value and no text."""
    told = {name: alert[name] for name in ("group", "at", "since", "direction", "deviation")}
    return {"of": of} | told | {"items": [item["name"] for item in alert["items"]]}


def post(
    url: str,
    of: str,
    alert: Mapping[str, Any],
    *,
    timeout: float = TIMEOUT,
    wait: Callable[[float], object] = time.sleep,
) -> None:
    """Post one alert, up to TRIES times with growing pauses where no answer, or one of LATER, comes; no redirect is
    followed.

    Raises `DataError` where the receiver does not take it. Neither that nor a log tells more of the address than its
    host.
    """
    pause = FIRST_WAIT
    for left in range(TRIES - 1, -1, -1):
        refused, asked = _try(url, body(of, alert), timeout)
        if refused is None:
            return
        if asked is None or not left:
            raise DataError(refused)
        wait(min(max(pause, asked), LONGEST_WAIT))
        pause *= 2


def keep(path: Path, of: str, alert: Mapping[str, Any], why: str) -> None:
    """Append what was not taken to a file, a line of JSON each. Raises `OutputError`."""
    line = json.dumps(body(of, alert) | {"failed": why}, ensure_ascii=False)
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(well_formed(line) + "\n")
    except OSError as error:
        raise OutputError(f"cannot write {str(path)!r}: {error.strerror or error}; name another file") from error


def _try(url: str, content: Mapping[str, Any], timeout: float) -> tuple[str | None, float | None]:
    """Why the receiver did not take it (None = it did), and after how many seconds it may (None = never)."""
    import httpx

    try:
        with _unlogged():
            reply = httpx.post(url, json=content, timeout=timeout, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        later = None if isinstance(error, httpx.InvalidURL) else 0.0
        return f"the alert could not be posted to {httpx.URL(url).host} ({type(error).__name__})", later
    if reply.is_success:
        return None, None
    told = f"the alert was not taken by {reply.url.host}: it answered {reply.status_code}"
    return told, _asked(reply) if reply.status_code in LATER else None


def _asked(reply: httpx.Response) -> float:
    """The seconds of Retry-After; 0 where it says none, or a date."""
    said = reply.headers.get("retry-after", "").strip()
    return float(said[:9]) if said.isdecimal() else 0.0


@contextmanager
def _unlogged() -> Iterator[None]:
    """A block in which the client's loggers, which write whole addresses, are silent."""
    known = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _LOGGERS]
    loggers = [logger for name in known if not (logger := logging.getLogger(name)).disabled]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger in loggers:
            logger.disabled = False
