"""The page itself: what is where, and what happens when it is pressed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from emofuse.demo.handlers import Handlers
from emofuse.demo.html import brand, element
from emofuse.demo.samples import TEXTS
from emofuse.demo.texts import LANGUAGES, Language, say
from emofuse.tasks import EMOTIONS

KINDS = ("clip", "speech", "picture", "text")
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""Events that are answered at once, draw no progress of Gradio's own, and are nobody else's business."""


@dataclass(eq=False)
class Labels:
    """Every component whose words follow the language: (component, property → key of its text, blanks)."""

    items: list[tuple[Any, dict[str, str], dict[str, Any]]] = field(default_factory=list)

    def __call__(self, component: Any, values: dict[str, Any] | None = None, **properties: str) -> Any:
        """Note a component, and give it back."""
        self.items.append((component, properties, values or {}))
        return component

    def updates(self, language: Language) -> list[dict[str, Any]]:
        """What to send to the page, component by component."""
        sent: list[dict[str, Any]] = [
            {n: emotions(language) if n == "choices" else say(language, key, **values) for n, key in properties.items()}
            for _, properties, values in self.items
        ]
        return [gr.update(**properties) for properties in sent]

    @property
    def components(self) -> list[Any]:
        """The components, in the same order."""
        return [component for component, *_ in self.items]


def emotions(language: Language) -> list[tuple[str, str]]:
    """The emotions to choose from: (as they are called, as they are written down)."""
    return [(say(language, f"emotion_{name}"), name) for name in EMOTIONS]


def build(handlers: Handlers) -> gr.Blocks:
    """The whole page around a pipeline."""
    labels = Labels()
    with gr.Blocks(title="emofuse", analytics_enabled=False, fill_width=True) as page:
        language = gr.Textbox("en", visible=False)
        with gr.Row(elem_id="emo-top"):
            top = labels(gr.HTML(brand("en")), value="title")
            switch = labels(_small("language", "emo-language"), value="language")
            theme = _small("theme", "emo-theme", "◐")
        warning = labels(gr.HTML(_paragraph("en"), elem_id="emo-warning"), value="notice_short")
        with labels(gr.Accordion(say("en", "notice_title"), open=False), label="notice_title"):
            kept = {"kept": f"{handlers.settings.held / 60:.0f}"}
            labels(gr.Markdown(say("en", "notice", **kept)), kept, value="notice")
        with gr.Tabs(elem_id="emo-tabs"):
            for kind in KINDS:
                with labels(gr.Tab(say("en", f"tab_{kind}"), elem_id=f"emo-tab-{kind}"), label=f"tab_{kind}"):
                    _tab(kind, handlers, labels)
            with labels(gr.Tab(say("en", "tab_live"), elem_id="emo-tab-live"), label="tab_live"):
                _live(handlers, labels)

        def relabel(wish: str) -> list[Any]:
            """Everything in the language that was wished for."""
            chosen: Language = wish if wish in LANGUAGES else "en"
            updates = labels.updates(chosen)
            for component, value in ((top, brand(chosen)), (warning, _paragraph(chosen))):
                updates[labels.components.index(component)] = gr.update(value=value)
            return updates

        switch.click(relabel, [language], labels.components, js="() => [emofuse.switchLanguage()]", **QUIET)
        theme.click(None, js="() => { emofuse.switchTheme(); return [] }")
        page.load(relabel, [language], labels.components, js="() => [emofuse.language()]", **QUIET)
        page.unload(handlers.gone)
    return page


def _paragraph(language: Language) -> str:
    return f'<p class="emo-warning">{say(language, "notice_short")}</p>'


def _small(key: str, name: str, text: str | None = None) -> gr.Button:
    """A small button beside a heading."""
    return gr.Button(text or say("en", key), size="sm", elem_id=name, elem_classes="emo-small", min_width=0)


def _tab(kind: str, handlers: Handlers, labels: Labels) -> None:
    """One tab: what goes in on the left, the answer on the right (below, on a phone)."""
    with gr.Row():
        with gr.Column(scale=4, elem_classes="emo-column"):
            source = _source(kind, labels)
            if source is not None:
                lies = f"(file) => emofuse.lies('{kind}', file)"
                source.change(handlers.holder(kind), [source], None, js=lies, preprocess=False, **QUIET)
            words, blur = _options(kind, handlers, labels)
            with gr.Row():
                go = labels(
                    gr.Button(say("en", "analyse"), variant="primary", elem_id=f"emo-go-{kind}"), value="analyse"
                )
                stop = labels(
                    gr.Button(say("en", "cancel"), interactive=False, elem_id=f"emo-stop-{kind}"), value="cancel"
                )
            _limits(kind, handlers, labels)
            _examples(kind, source, words, handlers, labels)
        with gr.Column(scale=6, elem_classes="emo-column"):
            status = gr.HTML("", elem_id=f"emo-status-{kind}")
            answer = gr.HTML(element("emofuse-empty"), elem_id=f"emo-answer-{kind}")
            if handlers.settings.feedback is not None:
                _feedback(kind, handlers, labels, status)
    inputs = [source, words, blur] if source is not None else [words]
    outputs = [status, answer, go, stop, *([source] if source is not None else [])]
    heard = str(kind == "speech").lower()
    take = f"async (file, words, blur) => [await emofuse.take('{kind}', file, {heard}), words, blur]"
    waiting = QUIET | {"queue": True}
    go.click(
        handlers.answers.runner(kind), inputs, outputs, js=take if source is not None else None, preprocess=False,
        concurrency_limit=None, **waiting,
    )  # fmt: skip
    stop.click(handlers.answers.canceller(kind), None, None, **QUIET)


def _source(kind: str, labels: Labels) -> Any:
    """The box for the clip, the recording or the picture; None for words alone."""
    common: dict[str, Any] = {"label": say("en", kind), "elem_id": f"emo-in-{kind}"}
    if kind == "clip":
        box = gr.Video(sources=["upload", "webcam"], include_audio=True, buttons=[], height=300, **common)
    elif kind == "speech":
        box = gr.Audio(sources=["upload", "microphone"], type="filepath", buttons=[], editable=False, **common)
    elif kind == "picture":
        box = gr.Image(
            sources=["upload", "webcam", "clipboard"],
            type="filepath",
            image_mode=None,
            buttons=[],
            height=320,
            **common,
        )
    else:
        return None
    return labels(box, label=kind)


def _options(kind: str, handlers: Handlers, labels: Labels) -> tuple[gr.Textbox, gr.Checkbox | None]:
    """The words, typed or from a file, and whether faces are blurred."""
    key = {"text": "text", "picture": "caption"}.get(kind, "transcript")
    timed = key == "transcript"
    hint = "transcript_placeholder_speech" if kind == "speech" else f"{key}_placeholder"
    words = gr.Textbox(
        label=say("en", key),
        placeholder=say("en", hint),
        info=say("en", "transcript_info") if timed else None,
        lines=6 if kind == "text" else 2,
        max_lines=14,
        elem_id=f"emo-words-{kind}",
        max_length=handlers.settings.characters * 4,
    )
    info = {"info": "transcript_info"} if timed else {}
    labels(words, None, label=key, placeholder=hint, **info)
    if timed:
        file = labels(
            gr.UploadButton(say("en", "transcript_file"), file_types=[".srt", ".vtt", ".txt"], size="sm",
                            elem_id=f"emo-file-{kind}"),
            label="transcript_file",
        )  # fmt: skip
        file.upload(handlers.read_words, [file], [words], preprocess=False, **QUIET)
    if kind == "text":
        return words, None
    seen, told = kind != "speech", "blur_info_picture" if kind == "picture" else "blur_info"
    blur = gr.Checkbox(False, label=say("en", "blur"), info=say("en", told), visible=seen, elem_id=f"emo-blur-{kind}")
    return words, labels(blur, label="blur", info=told)


def _limits(kind: str, handlers: Handlers, labels: Labels) -> None:
    """What is taken."""
    key = {"text": "limits_text", "picture": "limits_size"}.get(kind, "limits")
    settings = handlers.settings
    values = {
        "minutes": f"{settings.minutes:g}",
        "megabytes": settings.megabytes,
        "characters": f"{settings.characters:,}",
    }
    labels(gr.Markdown(say("en", key, **values), elem_classes="emo-limits"), values, value=key)


def _examples(kind: str, source: Any, words: gr.Textbox, handlers: Handlers, labels: Labels) -> None:
    """Buttons that fill the boxes with what ships with the package."""
    with gr.Row(elem_classes="emo-examples"):
        labels(gr.Markdown(say("en", "example"), elem_classes="emo-say"), value="example")
        if kind == "text":
            for number, text in enumerate(TEXTS, 1):
                key = f"example_text_{number}"
                button = labels(gr.Button(say("en", key), size="sm", elem_id=f"emo-example-text-{number}"), value=key)
                button.click(_constant(text), None, [words], **QUIET)
            return
        button = labels(gr.Button(say("en", f"example_{kind}"), size="sm", elem_id=f"emo-example-{kind}"),
                        value=f"example_{kind}")  # fmt: skip
        button.click(handlers.example(kind), None, [source, words], **QUIET)


def _constant(value: str) -> Callable[[], str]:
    return lambda: value


def _feedback(kind: str, handlers: Handlers, labels: Labels, status: gr.HTML) -> None:
    """The panel for corrections; only where whoever runs the page wants them."""
    with labels(gr.Accordion(say("en", "feedback"), open=False, elem_id=f"emo-feedback-{kind}"), label="feedback"):
        labels(gr.Markdown(say("en", "feedback_info")), value="feedback_info")
        choice = labels(
            gr.Radio(emotions("en"), label=say("en", "feedback_is")), label="feedback_is", choices="feedback_is"
        )
        consent = labels(gr.Checkbox(False, label=say("en", "feedback_consent")), label="feedback_consent")
        chosen = gr.Number(-1, visible=False)
        media = gr.Textbox("", visible=False)
        save = labels(
            gr.Button(say("en", "feedback_save"), size="sm", elem_id=f"emo-save-{kind}"), value="feedback_save"
        )
        save.click(
            handlers.corrector(kind), [choice, consent, chosen, media], [status, consent], preprocess=False,
            js=f"async (choice, consent) => [choice, consent, emofuse.chosen('{kind}'), "
            f"consent && choice ? await emofuse.lend('{kind}') : '']", **QUIET,
        )  # fmt: skip


def _live(handlers: Handlers, labels: Labels) -> None:
    """The microphone and the camera, predicted as they stream."""
    settings = handlers.settings
    with gr.Row():
        with gr.Column(scale=4, elem_classes="emo-column"):
            values = {"seconds": f"{settings.live_window:g}"}
            labels(gr.Markdown(say("en", "live_hint", **values), elem_classes="emo-limits"), values, value="live_hint")
            sound = labels(
                gr.Audio(sources=["microphone"], streaming=True, type="filepath", label=say("en", "live_microphone"),
                         buttons=[], elem_id="emo-live-sound"),
                label="live_microphone",
            )  # fmt: skip
            camera = labels(
                gr.Image(sources=["webcam"], streaming=True, type="filepath", label=say("en", "live_camera"),
                         buttons=[], height=260, elem_id="emo-live-camera"),
                label="live_camera",
            )  # fmt: skip
            blur = labels(gr.Checkbox(False, label=say("en", "blur")), label="blur")
            again = labels(gr.Button(say("en", "live_reset"), size="sm", elem_id="emo-live-reset"), value="live_reset")
        with gr.Column(scale=6, elem_classes="emo-column"):
            shown = gr.HTML(element("emofuse-live"), elem_id="emo-live")
    stream: dict[str, Any] = {
        "time_limit": int(settings.live_limit), "show_progress": "hidden", "concurrency_limit": 4,
        "api_visibility": "private", "preprocess": False,
    }  # fmt: skip
    sound.stream(handlers.hear, [sound], [shown], stream_every=1.0, **stream)
    camera.stream(handlers.see, [camera, blur], [shown], stream_every=0.7, **stream)
    again.click(handlers.forget, None, [shown], **QUIET)
