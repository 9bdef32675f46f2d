"""The few pieces of HTML that the server writes itself."""

from __future__ import annotations

import base64
import json
from typing import Any

from emofuse.demo.texts import STATIC, Language, say, texts

_LOGO = (
    '<svg viewBox="0 0 42 42" aria-hidden="true"><rect width="42" height="42" rx="11" fill="#2b4fd0"/>'
    '<path d="M9 14h7c8 0 8 7 17 7" stroke="#ffd166" stroke-width="3.4" fill="none" stroke-linecap="round"/>'
    '<path d="M9 21h24" stroke="#fff" stroke-width="3.4" stroke-linecap="round"/>'
    '<path d="M9 28h7c8 0 8-7 17-7" stroke="#7fe3d0" stroke-width="3.4" fill="none" stroke-linecap="round"/></svg>'
)


def element(tag: str, payload: Any = None, name: str = "", attribute: str = "view") -> str:
    """A custom element with its data in an attribute; in base64, so that nothing in the data is ever markup."""
    if payload is None:
        return f"<{tag}></{tag}>"
    packed = base64.b64encode(json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()).decode()
    return f'<{tag} name="{name}" data-{attribute}="{packed}"></{tag}>'


def brand(language: Language) -> str:
    """The name and what it does."""
    title, tagline = say(language, "title"), say(language, "tagline")
    return f'<div class="emo-brand">{_LOGO}<div><h1>{title}</h1><p>{tagline}</p></div></div>'


def head() -> str:
    """What stands first in the page's head: the words, the script and the style, all inside the page."""
    words = json.dumps({name: texts()[name] for name in ("en", "zh")}, ensure_ascii=False).replace("<", "\\u003c")
    script = (STATIC / "demo.js").read_text(encoding="utf-8")
    style = (STATIC / "demo.css").read_text(encoding="utf-8")
    return f'<style id="emofuse-style">{style}</style>\n<script>window.EMOFUSE_TEXTS = {words};\n{script}</script>'
