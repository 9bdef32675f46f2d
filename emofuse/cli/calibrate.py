"""`emofuse calibrate`: temperatures and prediction sets fitted on data of your choice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli import options as opt


def calibrate(
    model: opt.ModelArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The output folder; may be MODEL itself.")],
    root: opt.Root,
    corpus: Annotated[
        str | None,
        typer.Option(help="Corpus reader: ravdess, …, manifest. Default: the sources of MODEL's own recipe."),
    ] = None,
    option: opt.Options = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use at most N utterances.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "cpu",
) -> None:
    """Fit temperatures, prediction sets and the pooling of modalities on development data.

    For each subset of the modalities that the dev split has at least 50 labelled utterances of; the encoders and heads
    stay as they are. On 50 to 200 clips of your own (--corpus manifest) a fused answer learns how far to trust each
    modality there. Without --corpus, --option changes the recipe: data.sources.0.root=elsewhere.
    """
    from emofuse.errors import require_package
    from emofuse.files import check_output_folder

    require_package("accelerate", extra="train")
    from emofuse.training.outcome.recalibrate import recalibrate, table

    check_output_folder(out)
    options = opt.read_options(option)
    found = recalibrate(model, out, root, corpus=corpus, options=options, limit=limit, device=device)
    for line in table(found):
        typer.echo(line)
    typer.echo(f"saved in {out}")
