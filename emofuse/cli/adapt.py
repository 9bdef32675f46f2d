"""`emofuse adapt` and `emofuse states`: corrections taught to a model behind a gate, and what it must not forget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from emofuse.cli.options import ModelArgument
from emofuse.errors import DataError, nearest

REFUSED = 3
"""Exit code where the gate did not let the model pass, and nothing was written."""


def adapt(
    model: ModelArgument,
    feedback: Annotated[
        Path, typer.Argument(metavar="FEEDBACK", help="A manifest: corrections of the demo, a review.")
    ],
    out: Annotated[Path, typer.Option(metavar="NEW", help="The folder of the new model.")],
    how: Annotated[
        str, typer.Option(help="heads (over frozen encoders, seconds) or lora (adapters in the encoders).")
    ] = "heads",
    replay: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROWS",
            help="What must not be forgotten: CORPUS:FOLDER, a manifest, or a file of states; repeatable.",
        ),
    ] = None,
    most_fall: Annotated[
        float, typer.Option(min=0, help="How far a figure may fall on the replayed development rows.")
    ] = 0.02,
    least_rise: Annotated[float, typer.Option(help="What the figure on the feedback must rise by more than.")] = 0.0,
    limit: Annotated[int, typer.Option(min=20, help="Replay at most N rows of a split.")] = 300,
    report: Annotated[
        Path | None, typer.Option(metavar="JSON", help="Write the figures here, of a refusal too.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "cpu",
) -> None:
    """Teach a model your corrections without forgetting.

    The model as it was is the teacher. The new one is written only if what it knew before falls by --most-fall at most
    on the rows that --replay names, and if it is better on the feedback, each row predicted without having been taught
    it. Else nothing is written and the exit code is 3.
    """
    from emofuse.errors import require_package
    from emofuse.files import check_outputs

    require_package("accelerate", extra="train")
    from emofuse.pipeline.formats import dump
    from emofuse.training.adaptation.gate import table
    from emofuse.training.adaptation.run import HOWS, adapt
    from emofuse.training.outcome.report import finite

    if how not in HOWS:
        raise DataError(f"--how {how!r}; {nearest(how, HOWS)}")
    check_outputs([report], [feedback, *(replay or ())])
    chosen: Any = how
    found = adapt(
        model, feedback, out, how=chosen, replay=replay or (), most_fall=most_fall, least_rise=least_rise, limit=limit,
        device=device, say=typer.echo,
    )  # fmt: skip
    if report is not None:
        from emofuse.files import write_file

        write_file(report, dump(finite(found.to_dict())))
    typer.echo(table(found.checks))
    for note in found.notes:
        typer.echo(f"note: {note}")
    if not found.accepted:
        typer.echo("refused: nothing was written")
        raise typer.Exit(REFUSED)
    typer.echo(f"saved in {out}")


def states(
    model: ModelArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file, .safetensors.")],
    rows: Annotated[list[str], typer.Argument(metavar="ROWS…", help="CORPUS:FOLDER, or a manifest.")],
    limit: Annotated[int, typer.Option(min=20, help="At most N rows of a split of each.")] = 300,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "cpu",
) -> None:
    """Keep what must not be forgotten as states of the encoders, for emofuse adapt --replay.

    A few hundred numbers a row and modality, of which no word, voice or face can be played again: still personal data.
    """
    from emofuse.files import check_outputs

    check_outputs([out])
    from emofuse.model.model import EmotionModel
    from emofuse.training.adaptation.run import read_kept
    from emofuse.training.adaptation.states import ENDING, save_states

    if out.suffix != ENDING:
        raise DataError(f"states are written as {ENDING}, not {out.name!r}")
    if wrong := [spec for spec in rows if Path(spec).suffix == ENDING]:
        raise DataError(f"{wrong[0]} holds states already; give CORPUS:FOLDER, or a manifest")
    loaded = EmotionModel.from_pretrained(model, device=device)
    kept = [each for spec in rows for each in read_kept(loaded, spec, limit)]
    save_states(kept, loaded, out)
    for each in kept:
        typer.echo(f"{each.name}: {len(each.train or ())} rows to replay, {len(each.dev or ())} to measure on")
    typer.echo(f"saved in {out}, {out.stat().st_size / 1e6:.1f} MB")
