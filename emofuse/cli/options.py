"""Options that several commands have, and those of corpus readers: `--option KEY=VALUE`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
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
Channel = Annotated[
    str | None,
    typer.Option(metavar="N|NAME", help="Analyse this channel alone, by number from 0, or by name with --channels."),
]
Start = Annotated[
    float | None, typer.Option(metavar="SECOND", help="Analyse the clip from here on; times stay the file's.")
]
End = Annotated[float | None, typer.Option(metavar="SECOND", help="Analyse the clip up to here.")]
Only = Annotated[
    str | None,
    typer.Option(metavar="NAME,…", help="Predict these speakers and nobody else, e.g. customer: see docs/people.md."),
]
Channels = Annotated[
    str | None, typer.Option(metavar="NAME,…", help="Who speaks in each channel of the sound, e.g. agent,customer.")
]
Speakers = Annotated[
    str | None, typer.Option(metavar="N|auto", help="Tell N voices apart, or find how many there are (extra speakers).")
]
Acts = Annotated[
    Path | None, typer.Option(metavar="YAML", help="Apply these acts, turn by turn: see docs/conversations.md.")
]
Context = Annotated[
    list[str] | None,
    typer.Option(metavar="TURN", help="What was said before, 'NAME: words' or words; repeatable, oldest first."),
]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="KEY=VALUE", help="Option of the corpus reader, e.g. fold=2; repeatable."),
]


def counted(speakers: str | None) -> Any:
    """The number, where it is one."""
    return int(speakers) if speakers is not None and speakers.isdecimal() else speakers


def listed(names: str | None) -> tuple[str, ...] | None:
    """The names of a list with commas."""
    return None if names is None else tuple(names.split(","))


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
