"""Options that several commands have, each defined once, and what their values are checked and read by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emofuse.errors import DataError, first_line

if TYPE_CHECKING:
    from emofuse.media.clip import TalkInputs
    from emofuse.types import Split

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
Text = Annotated[str | None, typer.Option(help="A text, alone or as the words of the clip.")]
Transcript = Annotated[Path | None, typer.Option(metavar="FILE", help="Transcript of the clip: .srt, .vtt or .txt.")]
Sidecars = Annotated[
    bool, typer.Option("--sidecars/--no-sidecars", help="Take NAME.srt, .vtt or .txt beside a clip for its transcript.")
]
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
RulesOption = Annotated[
    Path | None,
    typer.Option(
        "--rules", metavar="YAML|CSV", help="Lay rules, or a lexicon, of yours over it: see docs/adapting.md."
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,…|CSV",
        help="Labels the model has not learnt, by likeness to their word or to examples: see docs/labels.md.",
    ),
]
Context = Annotated[
    list[str] | None,
    typer.Option(metavar="TURN", help="What was said before, 'NAME: words' or words; repeatable, oldest first."),
]
Json = Annotated[str | None, typer.Option(metavar="PATH|-", help="Write JSON; - is stdout.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Segments per batch.")]
Prefix = Annotated[str, typer.Option(help="What the names of the columns of predictions begin with.")]
Host = Annotated[str, typer.Option(help="Address to bind; 0.0.0.0 accepts other machines.")]
HostNames = Annotated[
    list[str] | None, typer.Option(metavar="HOST", help="A further name of the demo's host, e.g. a proxy's.")
]
_CORPUS = typer.Option(help="Corpus reader: ravdess, meld, …, manifest.")
Corpus = Annotated[str, _CORPUS]
CorpusIfAny = Annotated[str | None, _CORPUS]
_ROOT = typer.Option(help="The corpus folder, or the manifest file.")
Root = Annotated[Path, _ROOT]
RootIfAny = Annotated[Path | None, _ROOT]
SplitName = Annotated[str, typer.Option(help="train, dev or test.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Use at most N utterances, stratified by class.")]
LimitEach = Annotated[int | None, typer.Option(min=1, help="Use at most N utterances per source and split.")]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="KEY=VALUE", help="Option of the corpus reader, e.g. fold=2; repeatable."),
]
OutFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The output folder.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Overrides of the recipe: root=DIR optim.lr=1e-4.")
]


def named(context: typer.Context) -> dict[str, str]:
    """Parameter → its option, of those that stand on the command line."""
    source, params = context.get_parameter_source, context.command.params
    given = {name for name in context.params if source(name).name == "COMMANDLINE"}  # type: ignore[union-attr]
    return {each.name: each.opts[0] for each in params if each.name in given}


def labels_of(given: str | None) -> Path | list[str]:
    """Words of a list with commas, or the path of a table, as `load` takes them."""
    table = given is not None and given.lower().endswith(".csv")
    return Path(given or "") if table else list(listed(given) or ())


def files_read(rules: Path | None = None, acts: Path | None = None, labels: str | None = None) -> list[Path]:
    """The files that these options name, which no output may replace. Raises `DataError` for rules that are none."""
    from emofuse.files import home_path
    from emofuse.pipeline.rules import files_of

    tables = [home_path(given) for given in (acts, labels_of(labels)) if isinstance(given, Path)]
    return tables + (files_of(rules) if rules is not None else [])


def talk_inputs(
    channels: str | None, speakers: str | None, only: str | None, context: Sequence[str] | None = None
) -> TalkInputs:
    """What the options say of who talks, as a pipeline's call takes it."""
    from emofuse.media.clip import TalkInputs

    return TalkInputs(channels=listed(channels), speakers=counted(speakers), only=listed(only), context=context)


def split_named(split: str) -> Split:
    """The split. Raises `DataError` where there is none of this name."""
    from emofuse.types import SPLITS

    for valid in SPLITS:
        if split == valid:
            return valid
    raise DataError(f"no split {split!r}; valid: {', '.join(SPLITS)}")


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
        try:
            options[key] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError) as error:  # a date that is none raises ValueError
            raise DataError(f"--option {text!r}: the value is not YAML ({first_line(error)}); quote it") from None
    return options
