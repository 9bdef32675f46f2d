"""`emofuse explain`: attributions to words, moments of the voice and regions of the face."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emofuse.cli import options as opt
from emofuse.cli.outputs import put
from emofuse.errors import MediaError
from emofuse.files import check_outputs

if TYPE_CHECKING:
    from emofuse.explain.explanation import Explanation


def explain(
    clip: Annotated[Path | None, typer.Argument(metavar="CLIP", help="A video, recording or picture.")] = None,
    text: opt.Text = None,
    transcript: opt.Transcript = None,
    html: Annotated[str | None, typer.Option(metavar="PATH|-", help="Write an HTML page; - is stdout.")] = None,
    json: opt.Json = None,
    task: Annotated[str, typer.Option(help="emotion, polarity, …")] = "emotion",
    target: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Explain this class instead of the most probable one.")
    ] = None,
    causes: Annotated[
        bool, typer.Option("--causes", help="Also what each earlier turn, and its words, did to the answer.")
    ] = False,
    flip: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Also the least that must go for this class to lead.")
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Explain at most N segments, from the start.")] = 20,
    channels: opt.Channels = None,
    speakers: opt.Speakers = None,
    only: opt.Only = None,
    context: opt.Context = None,
    rules: opt.RulesOption = None,
    model: opt.ModelOption = opt.DEFAULT_MODEL,
    device: opt.Device = "auto",
) -> None:
    """Attribute a prediction to words, moments of the voice and regions of the face.

    A sentence a segment; --html makes a page with the words, the voice and the face marked.
    """
    if clip is None and text is None:
        raise MediaError("nothing to explain: give a clip or --text")
    check_outputs([json, html], [clip, transcript, *opt.files_read(rules)])

    from emofuse.pipeline.pipeline import load

    talk = opt.talk_inputs(channels, speakers, only, context)
    pipeline = load(model, device, backend="torch", rules=rules)
    asked: dict[str, Any] = {"task": task, "target": target, "causes": causes, "flip": flip}
    reasons = pipeline.explain(clip, text=text, transcript=transcript, **asked, **talk)
    parts = list(islice(reasons, most))
    if not parts:
        raise MediaError("there is nothing to explain: neither words nor a voice nor a face were found")
    if json is not None:
        from emofuse.pipeline.formats import dump

        shapes = [{"start": s.start, "end": s.end, "person": p} | e.to_dict() for e, s, p in parts]
        put(json, dump({"source": clip and str(clip), "model": pipeline.name, "explanations": shapes}))
    if html is not None:
        from emofuse.explain.html import page_of

        put(html, page_of([(e, s) for e, s, _ in parts], source=clip.name if clip else ""))
    if "-" not in (json, html):
        for explanation, segment, _ in parts:
            typer.echo(f"{segment.start:.1f}–{segment.end:.1f} s: {explanation.sentence()}")
            for line in _further(explanation):
                typer.echo(f"  {line}")


def _further(found: Explanation) -> Iterator[str]:
    """A line an earlier turn, its words, and a kind of change."""
    for cause in found.causes or ():
        words = ", ".join(f"{word.text} {word.effect:+.3f}" for word in cause.words)
        yield f"{cause.turn}: {cause.effect:+.3f} {cause.text}" + (f" ({words})" if words else "")
    yield from (flip.sentence() for flip in found.flips or ())
