"""Options that several commands have, and those of corpus readers: `--option KEY=VALUE`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from emofuse.errors import DataError

DEFAULT_MODEL = "emofuse-small"
_MODEL = "A shipped model, a folder, or a hub id."
ModelOption = Annotated[str, typer.Option(metavar="NAME", help=_MODEL)]
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help=_MODEL)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Asr = Annotated[
    str,
    typer.Option(
        metavar="MODEL",
        help="Transcribe speech: auto (Whisper tiny.en, where the extra asr is installed), none, or a "
        "faster-whisper model such as small.",
    ),
]
Language = Annotated[
    str | None, typer.Option(metavar="CODE", help="Language of the speech, e.g. en; default: guessed.")
]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="KEY=VALUE", help="Option of the corpus reader, e.g. fold=2; repeatable."),
]


def read_options(given: Sequence[str] | None) -> dict[str, Any]:
    """Values as YAML has them: 2 is a number, true is yes, [a, b] a list. Raises `DataError`."""
    if not given:
        return {}
    import yaml

    options: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise DataError(f"--option {text!r} is not KEY=VALUE")
        options[key] = yaml.safe_load(value)
    return options
