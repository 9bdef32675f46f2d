"""`emofuse train`, `pretrain` and `tune`: training runs, what comes before them, and hyperparameter search."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli import options as opt
from emofuse.errors import require_package
from emofuse.files import check_output_folder


def train(
    recipe: Annotated[Path, typer.Argument(help="A YAML file, for example recipes/emofuse-small/text.yaml.")],
    overrides: opt.Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the last saved state.")] = False,
    limit: opt.LimitEach = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the recipe and print what a run would do.")] = False,
) -> None:
    """Train a model from a recipe.

    Prints the folder of its checkpoint.
    """
    require_package("accelerate", extra="train")
    from emofuse.training.recipe.read import load_recipe
    from emofuse.training.run import fit

    command = shlex.join(["emofuse", *sys.argv[1:]])
    folder = fit(load_recipe(recipe, overrides or ()), resume=resume, limit=limit, dry_run=dry_run, command=command)
    if not dry_run:
        typer.echo(folder)


def pretrain(
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="Corpus reader: meld, ravdess, …, manifest.")],
    root: opt.Root,
    encoder: Annotated[str, typer.Option(metavar="text|speech|face", help="The encoder that learns.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The output folder, for model.init of a recipe.")],
    start: Annotated[
        str, typer.Option(metavar="MODEL|RECIPE", help="Whose encoder it starts from: a checkpoint, or a recipe's.")
    ] = opt.DEFAULT_MODEL,
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs.")] = 3,
    batch_size: Annotated[int, typer.Option(min=1, help="Utterances per batch.")] = 32,
    lr: Annotated[float, typer.Option(help="Highest learning rate.")] = 5e-5,
    rate: Annotated[
        float | None,
        typer.Option(help="Share that is masked; default: 0.15 of words, 0.5 of a spectrogram, 0.6 of a face."),
    ] = None,
    lexicon_rate: Annotated[float, typer.Option(help="Share of the emotion lexicon's words that is masked.")] = 0.5,
    hold_out: Annotated[float, typer.Option(help="Share of the train split that the loss is measured on.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Of masks, order and new weights.")] = 0,
    limit: Annotated[int | None, typer.Option(min=2, help="Use at most N utterances.")] = None,
    option: opt.Options = None,
    device: opt.Device = "auto",
) -> None:
    """Pretrain an encoder on a corpus without its labels, by masked words, spectrogram patches or face patches.

    Reads the train split alone. Prints the folder, which a recipe takes by model.init={text: FOLDER}.
    """
    require_package("accelerate", extra="train")
    from emofuse.runtime.backend import choose_device
    from emofuse.training.pretraining.run import Pretraining
    from emofuse.training.pretraining.run import pretrain as run

    how = Pretraining(
        epochs=epochs, batch_size=batch_size, lr=lr, rate=rate, lexicon_rate=lexicon_rate, hold_out=hold_out,
        seed=seed, limit=limit, device=str(choose_device(device)), options=opt.read_options(option),
    )  # fmt: skip
    command = shlex.join(["emofuse", *sys.argv[1:]])
    typer.echo(run(corpus, root, encoder, start, out, how, command=command, say=partial(typer.echo, err=True)))


def average(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The output folder.")],
    folders: Annotated[list[Path], typer.Argument(metavar="MODEL…", help="Checkpoints of one initialisation.")],
) -> None:
    """Average the weights of several checkpoints."""
    require_package("accelerate", extra="train")
    from emofuse.training.outcome.ensemble import average_checkpoints

    check_output_folder(out, folders)
    typer.echo(average_checkpoints(folders, out))


def tune(
    recipe: Annotated[Path, typer.Argument(help="A recipe (YAML).")],
    space: Annotated[Path, typer.Option(help="Search space (YAML): optim.lr: {low: 1e-5, high: 1e-3, log: true}.")],
    overrides: opt.Overrides = None,
    trials: Annotated[int, typer.Option(min=1, help="Number of trials.")] = 20,
    prune: Annotated[
        bool, typer.Option("--prune/--no-prune", help="Stop trials that fall behind the median after an epoch.")
    ] = True,
    limit: opt.LimitEach = None,
) -> None:
    """Search hyperparameters of a recipe.

    An interrupted search goes on where it stopped.
    """
    require_package("optuna", extra="tune")
    require_package("accelerate", extra="train")
    from emofuse.training.recipe.read import load_recipe
    from emofuse.training.tune import load_space
    from emofuse.training.tune import tune as search

    command = shlex.join(["emofuse", *sys.argv[1:]])
    found = search(
        load_recipe(recipe, overrides or ()), trials, load_space(space), limit=limit, command=command, prune=prune
    )
    for name, value in found.values.items():
        typer.echo(f"{name}={value}")
    lost = [f"{n} {what}" for n, what in ((found.failed, "could not be run"), (found.pruned, "stopped early")) if n]
    failed = f" ({', '.join(lost)})" if lost else ""
    typer.echo(f"score {found.score:.4f} in {found.trials} trials{failed}; train {found.folder / 'best.yaml'}")
