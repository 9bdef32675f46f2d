"""Webhook: an alert, posted as JSON to an address that the caller names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emofuse.errors import DataError

TIMEOUT = 10.0
"""Seconds that a receiver has for its answer."""


def check_address(url: str) -> str:
    """The address, if something can be posted to it. Raises `DataError`."""
    import httpx

    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise DataError(f"--webhook {url!r} is no address ({error}); give https://…") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise DataError(f"--webhook {url!r} is no address of the web; give https://…")
    return url


def body(of: str, alert: Mapping[str, Any]) -> dict[str, Any]:
    """What is posted of an alert of `Trend.alerts`: of its rows their names alone, no value and no text."""
    told = {name: alert[name] for name in ("group", "at", "since", "direction", "deviation")}
    return {"of": of} | told | {"items": [item["name"] for item in alert["items"]]}


def post(url: str, of: str, alert: Mapping[str, Any], timeout: float = TIMEOUT) -> None:
    """Post one alert; no redirect is followed. Raises `DataError` where the receiver does not take it in time."""
    import httpx

    try:
        httpx.post(url, json=body(of, alert), timeout=timeout, follow_redirects=False).raise_for_status()
    except httpx.HTTPStatusError as error:
        reply = error.response
        raise DataError(f"the alert was not taken by {reply.url.host}: it answered {reply.status_code}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DataError(f"the alert could not be posted ({type(error).__name__}: {error})") from None
