"""Turns round an utterance of a dialogue: those before it, and, where a protocol reads them, those after."""

from __future__ import annotations

from collections.abc import Sequence

Around = tuple[tuple[str, ...], tuple[str, ...]]
"""Earlier turns, oldest first, and later ones in order."""


def around(said: Sequence[str], place: int, context: int, future: int, own: bool = True) -> Around:
    """At most `context` turns before a place among all that was said, and `future` after it.

    `own` False: the utterance at this place has no words, and what stands there comes after it.
    """
    after = place + own
    return tuple(said[max(0, place - context) : place]), tuple(said[after : after + future])
