"""The command-line application: its commands, and how their errors are shown."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from emofuse.cli.adapt import adapt, states
from emofuse.cli.batch import batch, with_address
from emofuse.cli.calibrate import calibrate
from emofuse.cli.calls import calls
from emofuse.cli.compare import compare
from emofuse.cli.data import data
from emofuse.cli.demo import demo
from emofuse.cli.drift import drift
from emofuse.cli.evaluate import evaluate
from emofuse.cli.explain import explain
from emofuse.cli.export import export, prune
from emofuse.cli.info import info
from emofuse.cli.keywords import contrast, keywords
from emofuse.cli.mcp import mcp
from emofuse.cli.outputs import complain, lenient_terminal, warnings_in_one_line, written_to_stdout
from emofuse.cli.predict import predict
from emofuse.cli.review import review
from emofuse.cli.serve import serve
from emofuse.cli.similar import similar
from emofuse.cli.train import average, pretrain, train, tune
from emofuse.cli.transfer import transfer
from emofuse.cli.trend import trend
from emofuse.errors import EmofuseError
from emofuse.version import __version__

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: the decorated one takes longer to import than all the rest
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(predict)
app.command()(batch)
app.command()(info)
app.command()(train)
app.command()(pretrain)
app.command()(tune)
app.command()(average)
app.command()(evaluate)
app.command()(compare)
app.command()(transfer)
app.command()(calibrate)
app.command()(adapt)
app.command()(states)
app.command()(explain)
app.command()(export)
app.command()(prune)
app.command()(demo)
app.command()(mcp)
app.command()(trend)
app.command()(calls)
app.command()(keywords)
app.command()(contrast)
app.command()(serve)
app.command()(review)
app.command()(similar)
app.command()(drift)
app.add_typer(data, name="data")

UsageError: type[Exception] = typer.BadParameter.__bases__[0]


@app.callback(invoke_without_command=True)
def common(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the full traceback of an error.")] = False,
) -> None:
    """Predict which emotions are expressed in a clip, when and by whom, from its words, voice and face."""
    if version:
        typer.echo(__version__)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code of a command: errors that the caller can fix become one line on stderr and a 2."""
    lenient_terminal()
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    if debug:
        given = ["--debug", *(word for word in given if word != "--debug")]
    if "batch" in given or "serve" in given:
        given = with_address(given)
    try:
        with warnings_in_one_line():
            code = app(args=given, prog_name="emofuse", standalone_mode=False) or 0
        with written_to_stdout():
            return code
    except UsageError as error:
        return complain(error.format_message())
    except EmofuseError as error:
        if debug:
            raise
        return complain(str(error))
    except PermissionError as error:
        if debug:
            raise
        return complain(f"{error.filename!r}: permission denied; let this user read it and the folders above it")
