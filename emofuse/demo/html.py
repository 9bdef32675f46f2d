"""The few pieces of HTML that the server writes itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import gradio as gr

from emofuse.demo.texts import LANGUAGES, STATIC, Language, say, texts

_LOGO = (
    '<svg viewBox="0 0 42 42" aria-hidden="true"><rect width="42" height="42" rx="11" fill="#2b4fd0"/>'
    '<path d="M9 14h7c8 0 8 7 17 7" stroke="#ffd166" stroke-width="3.4" fill="none" stroke-linecap="round"/>'
    '<path d="M9 21h24" stroke="#fff" stroke-width="3.4" stroke-linecap="round"/>'
    '<path d="M9 28h7c8 0 8-7 17-7" stroke="#7fe3d0" stroke-width="3.4" fill="none" stroke-linecap="round"/></svg>'
)


def drawn(
    part: str, *, panel: str | None = None, events: Sequence[str] = (), value: Any = None, **options: Any
) -> gr.HTML:
    """A component that the page's script draws: its value is data and its template an empty element, so that nothing
    of a visitor's is ever markup. `events` are those that the script triggers; Gradio reads their names in the call.
    """
    component = f"{{element, trigger, props, watch, events: {json.dumps(list(events))}}}"
    arguments = component if panel is None else f"{json.dumps(panel)}, {component}"
    return gr.HTML(
        value,
        html_template=options.pop("html_template", '<div class="emo-root"></div>'),
        js_on_load=f"emofuse.mount.{part}({arguments})",
        apply_default_css=False,
        **options,
    )


def brand(language: Language) -> str:
    """The name and what it does."""
    title, tagline = say(language, "title"), say(language, "tagline")
    return f'<div class="emo-brand">{_LOGO}<div><h1>{title}</h1><p>{tagline}</p></div></div>'


def head() -> str:
    """What stands first in the page's head: the words and the style in the page, the script as modules beside it."""
    words = json.dumps({name: texts()[name] for name in LANGUAGES}, ensure_ascii=False).replace("<", "\\u003c")
    style = (STATIC / "demo.css").read_text(encoding="utf-8")
    modules = sorted(path.name for path in (STATIC / "js").glob("*.js"))
    early = "".join(f'<link rel="modulepreload" href="./emofuse/js/{name}">' for name in modules)
    return (
        f'<style>{style}</style>{early}<script type="application/json" id="emofuse-texts">{words}</script>'
        '<script type="module" src="./emofuse/js/main.js"></script>'
    )
