"""The correction of the pool: it stays where recordings are likelier with it, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from emofuse.calibration.correction import keep_correction
from emofuse.calibration.evidence import Evidence
from emofuse.model.model import EmotionModel


def measured(tiny_config, correction: str = "measured") -> EmotionModel:
    fusion = tiny_config.fusion.model_copy(update={"pool": "mean", "correction": correction})
    return EmotionModel(tiny_config.model_copy(update={"fusion": fusion})).eval()


def test_it_stays_only_where_recordings_are_likelier_with_it(tiny_config):
    model, rng = measured(tiny_config), np.random.default_rng(0)
    labels = rng.integers(0, 7, 300)
    targets, noise = np.eye(7)[labels], rng.standard_normal((300, 7))

    def gather() -> list[Evidence]:
        on = bool(model.pools["emotion"].corrected[3])
        said = {3: 3.0 if on else 1.0, 6: 1.0 if on else 3.0, 5: 3.0 if on else 1.0, 7: 3.0 if on else 1.0}
        found = [Evidence("d", "emotion", m, noise + s * targets, targets, composed=m == 5) for m, s in said.items()]
        return [e if e.subset != 7 else Evidence("d", "emotion", 7, e.logits[:20], e.targets[:20]) for e in found]

    kept = keep_correction(model, gather)
    assert {s: v["emotion"] for s, v in kept.items()} == {
        "text+speech": True, "speech+face": False, "text+face": False, "text+speech+face": False,
    }  # fmt: skip
    assert model.pools["emotion"].corrected[[3, 5, 6, 7]].tolist() == [True, False, False, False]


@pytest.mark.parametrize("correction", ["always", "never"])
def test_where_it_is_not_to_be_measured_nothing_changes(tiny_config, correction):
    model = measured(tiny_config, correction)
    before = model.pools["emotion"].corrected.clone()
    assert keep_correction(model, lambda: pytest.fail("nothing is to be run")) == {}
    assert (model.pools["emotion"].corrected == before).all()
