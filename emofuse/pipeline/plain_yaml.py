"""Plain YAML: what a caller wrote by hand, as tables and lists, read within bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from emofuse.errors import DataError, nearest
from emofuse.files import well_formed

DEEPEST = 50


def read_plain(text: str, where: str) -> Any:
    """What a YAML (or JSON) text holds, without aliases; `where` is what errors call it. Raises `DataError`."""
    import yaml

    if _depth(text) > DEEPEST:
        raise DataError(f"{where}: brackets lie in one another more than {DEEPEST} deep; this file needs four")
    try:
        aliases = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader))
        content = None if aliases else yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:  # dates that are none: ValueError
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        at = "" if line is None else f", line {line + 1}"
        raise DataError(f"{where}{at}: this is not YAML ({getattr(error, 'problem', error)}); fix it") from None
    if aliases:
        raise DataError(f"{where}: aliases (*name) are not read here; write out what they stand for")
    return _well_formed(content)


def _well_formed(content: Any) -> Any:
    """The same with every text as Unicode: YAML reads the two halves that JSON writes of an emoji as two characters."""
    if isinstance(content, str):
        return well_formed(content)
    if isinstance(content, dict):
        return {_well_formed(key): _well_formed(value) for key, value in content.items()}
    return [_well_formed(value) for value in content] if isinstance(content, list) else content


def table(given: Any, where: str, valid: Sequence[str] | None = None) -> dict[str, Any]:
    """A table of keys, all of them `valid` ones; nothing is an empty one. Raises `DataError`."""
    if not isinstance(given, dict | None):
        raise DataError(f"{where}: {given!r} is not a table of 'key: value'")
    for key in given or {}:
        if valid is not None and key not in valid:
            raise DataError(f"{where}: there is no key {key!r}; {nearest(str(key), valid)}")
    return given or {}


def names(given: Any, where: str) -> tuple[str, ...]:
    """A text, or a list of them, without spaces about them. Raises `DataError`."""
    listed = [given] if isinstance(given, str) else [] if given is None else given
    if not isinstance(listed, list) or not all(isinstance(one, str) and one.strip() for one in listed):
        raise DataError(f"{where}: {given!r} is neither a word nor a list of them; put quotes around what YAML reads")
    return tuple(one.strip() for one in listed)


def check_filled(when: Mapping[str, Any], where: str) -> None:
    """Raise `DataError` where a condition is there and holds nothing: it would always be met."""
    if empty := next((key for key, value in when.items() if value in (None, "", [], {})), None):
        raise DataError(f"{where}: {empty} is empty and would always hold; fill it, or leave it out")


def check_apart(found: Sequence[str], what: str, where: str) -> None:
    """Raise `DataError` where two of what answers are told by have one name."""
    if twice := next((name for name in found if found.count(name) > 1), None):
        raise DataError(f"{where}: two {what} are called {twice!r}; answers name them, so give them two names")


def _depth(text: str) -> int:
    """How many brackets are open at once: a reader of YAML takes time by its square."""
    deepest = depth = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth = depth + 1 if bracket in "[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest
