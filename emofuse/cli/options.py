"""Options of corpus readers on the command line: `--option KEY=VALUE`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from emofuse.errors import DataError

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
