"""Cues without times: sentences, laid over what is spoken."""

from __future__ import annotations

import pytest

from emofuse.media.alignment import by_sentence, laid_out
from emofuse.media.transcript import Cue


def test_text_is_laid_over_what_is_spoken() -> None:
    cues = by_sentence([Cue("Aaaa bbbb. Cccc dddd.", speaker="A")])
    assert [c.text for c in cues] == ["Aaaa bbbb.", "Cccc dddd."]
    first, second = laid_out(cues, [(1.0, 2.0), (5.0, 6.0)])
    assert (first.start, first.end, first.speaker) == (1.0, 2.0, "A")
    assert (second.start, second.end) == (5.0, 6.0)
    first, second = laid_out(cues, [(1.0, 2.2), (5.0, 6.0)])
    assert (first.end, second.start) == pytest.approx((2.2, 5.0))
    alone = laid_out(cues)
    assert alone[0].start == 0.0 and alone[1].end == pytest.approx(22 / 15)
    assert laid_out([]) == []
