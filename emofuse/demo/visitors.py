"""Visitors: a browser by its signed cookie, and each of its pages by the name that Gradio gives it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple

import gradio as gr
from starlette.requests import HTTPConnection

PAGES = 10_000
"""Pages that are remembered; the one not seen for longest is forgotten first."""
NAME = 64
"""Characters that the name of a page may have; Gradio's have eleven."""


class Visit(NamedTuple):
    """One page in one browser: what is kept for it is given to nobody else."""

    browser: str
    page: str


class Visitors:
    """Who a request comes from. The page's name is chosen by its script and may be guessed; the cookie cannot."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self.cookie = f"emofuse_{secrets.token_hex(4)}"
        """Its name: two demos on one machine share their cookies."""
        self._pages: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def issue(self) -> str:
        """The value of a new browser's cookie."""
        browser = secrets.token_urlsafe(18)
        return f"{browser}.{self._sign(browser)}"

    def browser_of(self, request: HTTPConnection) -> str | None:
        """The browser that sends a request; None where it has no cookie of this demo."""
        try:
            sent = SimpleCookie(request.headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return None
        browser, _, signature = (sent.value if sent else "").partition(".")
        return browser if browser and hmac.compare_digest(signature.encode(), self._sign(browser).encode()) else None

    def visit(self, request: gr.Request) -> Visit:
        """The page that a request to a handler comes from."""
        assert request.request is not None
        return Visit(self.browser_of(request.request) or "", request.session_hash or "")

    def admit(self, browser: str, page: object) -> bool:
        """Whether a page is this browser's: it belongs to the first that names it."""
        if not isinstance(page, str) or not 0 < len(page) <= NAME:
            return False
        with self._lock:
            owner = self._pages.setdefault(page, browser)
            self._pages.move_to_end(page)
            if len(self._pages) > PAGES:
                self._pages.popitem(last=False)
        return owner == browser

    def _sign(self, browser: str) -> str:
        return hmac.new(self._key, browser.encode(), hashlib.sha256).hexdigest()
