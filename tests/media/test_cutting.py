"""What cuts a clip: known spans as they fall due, windows where there are none."""

from __future__ import annotations

from emofuse.media.cutting import Cutter
from emofuse.media.segmentation import SegmentOptions, Span


def test_what_is_spoken_comes_out_in_order_and_is_clamped_to_the_clip() -> None:
    """Of known spans, those that begin within the clip end with it at the latest; later ones are counted."""
    known = [Span(0.5, 2.0, "cue"), Span(2.0, 9.0, "cue"), Span(8.0, 9.5, "cue")]
    cutter = Cutter(SegmentOptions(), known)
    cutter.advance(2.0)
    assert list(cutter.due(1.9)) == []
    assert list(cutter.due(2.0)) == [known[0]]
    assert cutter.since == 2.0
    assert cutter.finish(8.0) == 1
    assert list(cutter.due()) == [Span(2.0, 8.0, "cue")]
    windows = Cutter(SegmentOptions())
    windows.advance(6.0)
    assert list(windows.due()) == [Span(0.0, 4.0, "window")]
    assert windows.finish(7.0) == 0
    assert list(windows.due()) == [Span(4.0, 7.0, "window")]
