"""Live answers: what is forgotten meanwhile is not answered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from emofuse.pipeline.live import LiveSession
from emofuse.pipeline.pipeline import Pipeline


def test_a_reset_while_an_answer_is_made_takes_it_back():
    """What the first answer rests on is forgotten, and the seconds of the next are counted anew."""

    def analyse(inputs: dict[str, Any]) -> Any:
        if forgets:
            session.reset()
        heard.append(inputs)
        return SimpleNamespace(overall=None), ()

    heard: list[dict[str, Any]] = []
    session, forgets = LiveSession(cast("Pipeline", None), analyse=analyse), True
    assert session.hear(16_000, np.zeros(1600, np.float32), 10.0) is None and len(heard) == 1
    assert session.answer(10.1) is None and len(heard) == 1, "nothing is kept"
    forgets = False
    first, second = (session.hear(16_000, np.zeros(1600, np.float32), now) for now in (20.0, 21.5))
    assert first is not None and second is not None and (first.at, second.at) == (0.0, 1.5)
