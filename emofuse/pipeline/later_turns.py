"""Later turns of a dialogue, for models that learnt to read them: each segment waits until those after it have come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from emofuse.media.transcript import as_turn
from emofuse.types import Segment

HELD = 32
"""Segments that wait at most: behind the last words of a clip, faces may go on for hours."""


def with_later_turns(segments: Iterable[Segment], turns: int) -> Iterator[Segment]:
    """The segments in their order; those with words carry what is said in the `turns` segments after them, in order.

    With `turns` 0 they come out as they come in. A segment waits for the words of as many after it, or HELD segments; a
    provisional one, of what is still being said, waits for nothing and is no turn.
    """
    waiting: deque[Segment] = deque()
    for segment in segments:
        if segment.provisional:
            yield segment
            continue
        if segment.words:
            said = as_turn(segment.words, segment.speaker)
            waiting = deque(_followed(one, said, turns) for one in waiting)
        waiting.append(segment)
        while waiting and (not _waits(waiting[0], turns) or len(waiting) > HELD):
            yield waiting.popleft()
    yield from waiting


def _waits(segment: Segment, turns: int) -> bool:
    return bool(segment.words) and len(segment.after) < turns


def _followed(segment: Segment, said: str, turns: int) -> Segment:
    return replace(segment, after=(*segment.after, said)) if _waits(segment, turns) else segment
