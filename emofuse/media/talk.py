"""Talk: who speaks and what was said before, as the caller gives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from emofuse.errors import MediaError
from emofuse.files import well_formed

Count = int | Literal["auto"]
"""How many people speak; "auto" = to be found."""
MOST_SPEAKERS = 8
"""Voices that are told apart at most."""
LONGEST_NAME = 100
"""Characters a speaker's name may have."""


def read_context(context: Sequence[str] | None) -> tuple[str, ...]:
    """The turns before a clip, oldest first, each "NAME: words" or words alone. Raises MediaError for anything else."""
    if context is None:
        return ()
    if isinstance(context, (str, bytes)) or not isinstance(context, Sequence):
        raise MediaError(
            f"context is a list of the turns before, oldest first, not {type(context).__name__}: "
            "context=['ANN: How are you?', 'BEN: Fine.']"
        )
    wrong = [turn for turn in context if not isinstance(turn, str)]
    if wrong:
        raise MediaError(f"a turn of context is a string, 'NAME: words' or words alone, not {type(wrong[0]).__name__}")
    turns = (" ".join(well_formed(turn).split()) for turn in context)
    return tuple(turn for turn in turns if turn)


def read_name(name: str | None) -> str | None:
    """The name of the one who says all that nobody else is named for. Raises MediaError."""
    if name is None:
        return None
    if not isinstance(name, str):
        raise MediaError(f"speaker is a name, as in speaker='Ann', not {name!r:.80}")
    return (read_names([name], "speaker") or ("",))[0]


def read_names(names: Sequence[str] | str | None, what: str) -> tuple[str, ...] | None:
    """Names of speakers, each once; a string is one of them. `what` is the input for the error: MediaError."""
    if names is None:
        return None
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, Sequence) or not all(isinstance(name, str) for name in listed):
        raise MediaError(f"{what} is a list of names, as in {what}=['agent', 'customer'], not {names!r}")
    found = [" ".join(well_formed(name).split()) for name in listed]
    folded = [name.casefold() for name in found]
    twice = next((name for name in found if folded.count(name.casefold()) > 1), None)
    if twice is not None:
        raise MediaError(f"{what} names {twice!r} twice; each speaker has a name of their own")
    if not found or not all(found) or max(map(len, found)) > LONGEST_NAME:
        raise MediaError(
            f"{what} holds {listed!r}; give at least one name, each of 1 to {LONGEST_NAME} characters, "
            f"as in {what}=['agent', 'customer']"
        )
    return tuple(found)


def read_channel(channel: object, count: int, names: Sequence[str] = ()) -> int:
    """The number, from 0, of one of `count` channels, by its number or its name. Raises MediaError for no such one."""
    folded = [name.casefold() for name in names]
    if isinstance(channel, str) and " ".join(channel.split()).casefold() in folded:
        return folded.index(" ".join(channel.split()).casefold())
    text = channel.strip() if isinstance(channel, str) else channel
    whole = isinstance(text, (int, np.integer)) and not isinstance(text, bool)
    if whole or (isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 4):
        number = int(text)  # type: ignore[call-overload]
        if 0 <= number < count:
            return number
    named = f", or a name: {', '.join(names)}" if names else ""
    there = f"a number from 0 to {count - 1}{named}" if count else "nothing, as there is no sound with channels"
    raise MediaError(f"channel is {channel!r}; valid: {there}")


def chosen(channels: Sequence[str] | None, channel: object, only: Sequence[str] | str | None) -> tuple[str, ...] | None:
    """The speakers who are predicted: those of `only`, or the one of `channel` where `channels` are named.

    Raises MediaError for both, which could be at odds, and for no such channel.
    """
    names = read_names(channels, "channels")
    if channel is None or names is None:
        return read_names(only, "only")
    if only is not None:
        raise MediaError("only= and channel= both say whose channel is predicted; give one of them")
    return (names[read_channel(channel, len(names), names)],)


def read_count(speakers: object) -> Count | None:
    """How many people speak. Raises MediaError for what is neither "auto" nor a number that can be told apart."""
    if speakers is None or speakers == "auto":
        return speakers  # type: ignore[return-value]
    whole = isinstance(speakers, (int, np.integer)) and not isinstance(speakers, bool)
    if whole and 1 <= int(speakers) <= MOST_SPEAKERS:  # type: ignore[call-overload]
        return int(speakers)  # type: ignore[call-overload]
    raise MediaError(f"speakers is 'auto' or a number from 1 to {MOST_SPEAKERS}, not {speakers!r}")


def among(name: str | None, names: Sequence[str]) -> bool:
    """Whether a speaker is one of these, capitals aside."""
    return name is not None and name.casefold() in {one.casefold() for one in names}
