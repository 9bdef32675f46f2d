"""Errors of the caller's input, and missing extras."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable
from numbers import Integral, Real


class EmofuseError(Exception):
    """Base of every error that the caller can fix: the message says what came, what is valid, how to fix it."""

    id: str | None = None
    """What the caller called the item that the error stands in the place of, among many."""


class MediaError(EmofuseError, ValueError):
    """A file, array or text cannot be read as the media it was given as."""


class OutputError(MediaError):
    """A file or folder cannot be written where it was asked for, or would replace what is being read."""


class DataError(EmofuseError, ValueError):
    """A corpus folder, a manifest row or a label is not what its reader can take."""


class RecipeError(EmofuseError, ValueError):
    """A recipe or an override names something that does not exist or does not fit."""


class CheckpointError(EmofuseError, ValueError):
    """A model folder is missing, damaged, or of a schema this version does not read."""


class MissingExtraError(EmofuseError, ImportError):
    """A feature needs a package that lives in an optional extra."""


def installed(module: str) -> bool:
    """Whether a package is there to be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def require_package(module: str, extra: str) -> None:
    """Raise `MissingExtraError` naming the extra to install when `module` cannot be imported."""
    if not installed(module):
        raise MissingExtraError(
            f"this needs the package {module!r}, which is not installed; "
            f"install it with: pip install 'emofuse[{extra}]'"
        )


def check_coverage(coverage: float, name: str = "coverage") -> None:
    """Raise `MediaError` for a coverage of prediction sets that no set can have, or that every set has."""
    if not isinstance(coverage, Real) or not 0 < coverage < 1:
        raise MediaError(f"{name} {coverage!r} is not between 0 and 1; 0.9 promises nine of ten")


def check_count(number: object, name: str, least: int = 1) -> None:
    """Raise `MediaError` for what is no whole number, or a smaller one."""
    if not isinstance(number, Integral) or isinstance(number, bool) or number < least:  # pyright: ignore[reportOperatorIssue]
        raise MediaError(f"{name} is a whole number from {least} on, not {number!r:.80}")


def first_line(error: BaseException) -> str:
    """What an error of another package says, in one line."""
    return next(iter(str(error).strip().splitlines()), "no reason given")


def nearest(name: object, valid: Iterable[str]) -> str:
    """A clause for error messages: the valid names, the closest one first when there is a close one."""
    names = sorted(valid)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}valid: {', '.join(names)}"
