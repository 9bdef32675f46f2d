"""The page itself: what is where, and what happens when it is pressed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from emofuse.demo import samples
from emofuse.demo.handlers import Handlers
from emofuse.demo.html import brand, drawn
from emofuse.demo.texts import LANGUAGES, Language, say
from emofuse.tasks import EMOTIONS

PANELS = ("file", "text")
"""Where something is handed in and answered: a file of any kind, or words."""
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
        examples: list[tuple[str, gr.HTML]] = []
        with gr.Tabs(elem_id="emo-tabs"):
            for panel in PANELS:
                with labels(gr.Tab(say("en", f"tab_{panel}"), elem_id=f"emo-tab-{panel}"), label=f"tab_{panel}"):
                    examples.append((panel, labels(_panel(panel, handlers, labels), value="example")))
            with labels(gr.Tab(say("en", "tab_live"), elem_id="emo-tab-live"), label="tab_live"):
                _live(handlers, labels)
        with labels(gr.Accordion(say("en", "notice_title"), open=False, elem_id="emo-notice"), label="notice_title"):
            labels(gr.Markdown(say("en", "notice")), value="notice")

        def relabel(wish: str) -> list[Any]:
            """Everything in the language that was wished for."""
            chosen: Language = wish if wish in LANGUAGES else "en"
            updates = labels.updates(chosen)
            values: list[tuple[gr.HTML, Any]] = [(top, brand(chosen)), (warning, _paragraph(chosen))]
            values += [(strip, thumbnails(panel, chosen)) for panel, strip in examples]
            for component, value in values:
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


def _panel(panel: str, handlers: Handlers, labels: Labels) -> gr.HTML:
    """One tab: examples on top, what goes in, one button, the answer (beside it, or on a phone below); its examples."""
    strip = drawn("examples", events=["pick"], elem_id=f"emo-examples-{panel}", html_template=THUMBNAILS,
                  value=thumbnails(panel, "en"))  # fmt: skip
    with gr.Row(elem_classes="emo-io"):
        with gr.Column(scale=4, elem_classes="emo-column"):
            if panel == "file":
                words, blur = _file(handlers, labels)
            else:
                words, blur = _words(panel, "text", handlers), None
                labels(words, label="text", placeholder="text_placeholder")
            go = _button("analyse", f"emo-go-{panel}", labels, variant="primary")
            stop = _button("cancel", f"emo-stop-{panel}", labels, interactive=False)
        with gr.Column(scale=6, elem_classes="emo-column emo-out"):
            status = drawn("statuses", panel=panel, elem_id=f"emo-status-{panel}")
            answer = drawn("answers", panel=panel, elem_id=f"emo-answer-{panel}")
            if handlers.settings.feedback is not None:
                _feedback(panel, handlers, labels, status)
    sent = gr.Textbox("", visible=False)
    inputs = [sent, words, blur] if blur is not None else [words]
    send = f"async (sent, words, blur) => [await emofuse.send('{panel}'), words, blur]" if blur is not None else None
    run: dict[str, Any] = {
        "fn": handlers.answers.runner(panel), "inputs": inputs, "outputs": [status, answer, go, stop], "js": send,
        "preprocess": False, "concurrency_limit": None, **QUIET, "queue": True,
    }  # fmt: skip
    go.click(**run)
    strip.pick(None, None, [words], js="async () => [await emofuse.pick()]").then(**run)
    stop.click(handlers.answers.canceller(panel), None, None, **QUIET)
    return strip


def _button(key: str, name: str, labels: Labels, **options: Any) -> gr.Button:
    return labels(gr.Button(say("en", key), elem_id=name, **options), value=key)


def _words(panel: str, key: str, handlers: Handlers) -> gr.Textbox:
    """The box for words."""
    return gr.Textbox(
        label=say("en", key), placeholder=say("en", f"{key}_placeholder"), lines=6 if panel == "text" else 3,
        max_lines=14, elem_id=f"emo-words-{panel}", max_length=handlers.settings.characters * 4,
    )  # fmt: skip


def _file(handlers: Handlers, labels: Labels) -> tuple[gr.Textbox, gr.Checkbox]:
    """The box for any file; folded under it the words, typed or from a file, and whether faces are blurred."""
    settings = handlers.settings
    limits = {"minutes": f"{settings.minutes:g}", "megabytes": settings.megabytes}
    box = drawn("drop", events=["words"], elem_id="emo-in-file", **limits)
    more = labels(gr.Accordion(say("en", "more"), open=False, elem_id="emo-more-file"), label="more")
    with more:
        words = _words("file", "transcript", handlers)
        labels(words, label="transcript", placeholder="transcript_placeholder")
        blur = labels(
            gr.Checkbox(False, label=say("en", "blur"), info=say("en", "blur_info"), elem_id="emo-blur-file"),
            label="blur", info="blur_info",
        )  # fmt: skip
    path = gr.Textbox("", visible=False)
    box.words(handlers.read_words, [path], [words], js="async () => [await emofuse.sendWords()]", preprocess=False,
              **QUIET).then(_open, None, [more], **QUIET)  # fmt: skip
    return words, blur


def _open() -> Any:
    return gr.update(open=True)


THUMBNAILS = """<p class="emo-hint">{{value.title}}</p><div class="emo-examples">{{#each value.items}}
<button type="button" class="emo-example" data-example="{{file}}" data-words="{{words}}">
{{#if image}}<img src="./emofuse/samples/{{image}}" alt="" width="96" height="72">{{/if}}<span>{{label}}</span></button>
{{/each}}</div>"""
"""The examples as Gradio's template; what is in the braces is escaped."""


def thumbnails(panel: str, language: Language) -> dict[str, Any]:
    """The examples of a panel, for `THUMBNAILS`."""
    return {"title": say(language, "example"), "items": _items(panel, language)}


def _items(panel: str, language: Language) -> list[dict[str, str]]:
    if panel == "text":
        return [
            {"file": "", "words": text, "image": "", "label": say(language, f"example_text_{number}")}
            for number, text in enumerate(samples.TEXTS, 1)
        ]
    there = samples.served()
    return [
        {"file": file, "words": words, "image": image, "label": say(language, f"example_{kind}")}
        for kind, file, words, image in samples.FILES
        if file in there
    ]


def _feedback(panel: str, handlers: Handlers, labels: Labels, status: gr.HTML) -> None:
    """The panel for corrections; only where whoever runs the page wants them."""
    with labels(gr.Accordion(say("en", "feedback"), open=False, elem_id=f"emo-feedback-{panel}"), label="feedback"):
        labels(gr.Markdown(say("en", "feedback_info")), value="feedback_info")
        choice = labels(
            gr.Radio(emotions("en"), label=say("en", "feedback_is")), label="feedback_is", choices="feedback_is"
        )
        consent = labels(gr.Checkbox(False, label=say("en", "feedback_consent")), label="feedback_consent")
        chosen = gr.Number(-1, visible=False)
        media = gr.Textbox("", visible=False)
        save = labels(
            gr.Button(say("en", "feedback_save"), size="sm", elem_id=f"emo-save-{panel}"), value="feedback_save"
        )
        save.click(
            handlers.corrector(panel), [choice, consent, chosen, media], [status, consent], preprocess=False,
            js=f"async (choice, consent) => [choice, consent, emofuse.chosen('{panel}'), "
            f"consent && choice ? await emofuse.lend('{panel}') : '']", **QUIET,
        )  # fmt: skip


def _live(handlers: Handlers, labels: Labels) -> None:
    """The microphone and the camera, predicted as they stream."""
    seconds = f"{handlers.settings.live_window:g}"
    shown = drawn("live", events=["begin", "turn"], elem_id="emo-live", seconds=seconds)
    blur = labels(gr.Checkbox(False, label=say("en", "blur"), elem_id="emo-blur-live"), label="blur")
    sound, picture = gr.Textbox("", visible=False), gr.Textbox("", visible=False)
    shown.begin(handlers.forget, None, [shown], **QUIET)
    shown.turn(
        handlers.turn, [sound, picture, blur], [shown], preprocess=False,
        js="async (sound, picture, blur) => [...await emofuse.sense(), blur]", **QUIET,
    ).then(None, js="() => emofuse.sensed()")  # fmt: skip
