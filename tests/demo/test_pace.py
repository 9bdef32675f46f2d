"""Expected duration of an answer, by kind and size."""

from __future__ import annotations

import pytest

from emofuse.demo.pace import Pace


def test_how_long_an_answer_takes_is_learnt_by_kind_and_size():
    pace = Pace()
    assert pace.expect("clip", 10.0) is None
    pace.note("clip", 10.0, 5.0)
    assert pace.expect("clip", 60.0) == pytest.approx(30.0) and pace.expect("picture", 1.0) is None
    pace.note("clip", 10.0, 15.0)
    assert pace.expect("clip", 10.0) == pytest.approx(8.0)
    pace.note("picture", 0.0, 2.0)
    assert pace.expect("picture", 1.0) == pytest.approx(2.0)
