"""The examples that ship with the page."""

from __future__ import annotations

from emofuse.demo import samples as examples
from emofuse.demo.job import request_for


def test_the_examples_ship():
    there = examples.served()
    assert len(examples.FILES) == 3 and len(examples.TEXTS) == 3
    for kind, file, spoken, image in examples.FILES:
        assert {file, image} <= set(there) and (not spoken or "-->" in there[spoken].read_text(encoding="utf-8"))
        assert there[image].stat().st_size < 40_000 and request_for(there[file], "", False).kind == kind
