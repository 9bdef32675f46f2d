"""`emofuse explain`: attributions to words, moments of the voice and regions of the face."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli.options import DEFAULT_MODEL, Channels, Context, Device, ModelOption, Only, Speakers, counted, listed
from emofuse.cli.outputs import put
from emofuse.errors import MediaError
from emofuse.files import check_outputs


def explain(
    clip: Annotated[Path | None, typer.Argument(metavar="CLIP", help="A video, recording or picture.")] = None,
    text: Annotated[str | None, typer.Option(help="A text to explain, alone or as the words of the clip.")] = None,
    transcript: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Transcript of the clip: .srt, .vtt or .txt.")
    ] = None,
    html: Annotated[str | None, typer.Option(metavar="PATH|-", help="Write an HTML page; - is stdout.")] = None,
    json: Annotated[str | None, typer.Option(metavar="PATH|-", help="Write all scores as JSON; - is stdout.")] = None,
    task: Annotated[str, typer.Option(help="emotion, polarity, …")] = "emotion",
    target: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Explain this class instead of the most probable one.")
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Explain at most N segments, from the start.")] = 20,
    channels: Channels = None,
    speakers: Speakers = None,
    only: Only = None,
    context: Context = None,
    model: ModelOption = DEFAULT_MODEL,
    device: Device = "auto",
) -> None:
    """Attribute a prediction to words, moments of the voice and regions of the face.

    A sentence a segment; --html makes a page with the words, the voice and the face marked.
    """
    if clip is None and text is None:
        raise MediaError("nothing to explain: give a clip or --text")
    check_outputs([json, html], [clip, transcript])

    from emofuse.media.clip import TalkInputs
    from emofuse.pipeline.pipeline import load

    talk = TalkInputs(channels=listed(channels), speakers=counted(speakers), only=listed(only), context=context)
    pipeline = load(model, device)
    reasons = pipeline.explain(clip, text=text, transcript=transcript, task=task, target=target, **talk)
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
