"""Familiarity fitted: what is unlike training lies beyond development data, and a small description says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from emofuse.calibration.familiarity import GENTLEST, LARGEST, describe, fit_familiarity
from emofuse.calibration.parts import Parts, read_parts
from emofuse.data.examples import Example
from emofuse.model.familiarity import save_familiarity
from emofuse.model.folder import FAMILIARITY as FILE
from emofuse.model.model import EmotionModel


def states(n: int, seed: int, shift: float = 0.0, width: int = 200) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).standard_normal((10, width))
    return (rng.standard_normal((n, 10)) @ mixing + 0.1 * rng.standard_normal((n, width)) + shift).astype(np.float32)


def test_strangers_lie_beyond_development_data():
    known = describe([states(900, 0), states(100, 1)], [states(300, 2)])
    dev, strangers = states(500, 3), 3 * states(500, 4)
    near, far = (known.percentile(known(torch.from_numpy(s))) for s in (dev, strangers))
    assert near.mean() == pytest.approx(0.5, abs=0.07)
    assert far.mean() > 0.9
    assert (known.heat(known(torch.from_numpy(strangers))) > 1).float().mean() > 0.9


def test_a_description_is_small(tmp_path):
    known = describe([states(3000, 0, width=2304)], [states(100, 1, width=2304)])
    save_familiarity(nn.ModuleDict({"speech": known}), tmp_path / FILE)
    assert (tmp_path / FILE).stat().st_size <= LARGEST


def test_a_slope_is_learnt_from_strangers_and_never_below_the_gentlest(tiny_config):
    model = EmotionModel(tiny_config).eval()

    def parts(source: str, n: int, seed: int, scale: float, right: float) -> Parts:
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 7, n)
        said = np.where(rng.random(n) < right, labels, rng.integers(0, 7, n))
        nothing = {t.name: np.full((n, t.width), np.nan) for t in model.tasks}
        logits = {m: nothing | ({"emotion": np.eye(7)[said] * 5} if m == "speech" else {}) for m in model.modalities}
        own = {m: np.full((n, 1), np.nan, np.float32) for m in model.modalities} | {"speech": scale * states(n, seed)}
        return Parts(source, logits, own, nothing | {"emotion": np.eye(7)[labels]}, [""] * n)

    train, dev = [parts("known", 500, 0, 1.0, 0.95)], [parts("known", 300, 1, 1.0, 0.9)]
    assert fit_familiarity(model, train, dev) == {"speech": pytest.approx(GENTLEST, abs=0.1)}
    slopes = fit_familiarity(model, train, [*dev, parts("strangers", 300, 2, 2.0, 0.2)])
    assert slopes["speech"] > GENTLEST + 0.05
    assert set(model.familiarity) == {"speech"}


def test_parts_are_what_the_heads_say_and_heat_is_what_the_model_answers(tiny_model, samples: list[Example]):
    from emofuse.data.batches import batches

    read = read_parts(tiny_model, "mine", samples, size=5)
    order = [i for places, _ in batches(tiny_model, samples, 5) for i in places]
    assert read.clusters == [samples[i].cluster for i in order]
    assert read.rows("emotion", "text").sum() == sum(
        "text" in s.modalities and not np.isnan(s.targets["emotion"]).any() for s in samples
    )
    known = describe([read.states["speech"]], [read.states["speech"]])
    known.offset += 5.0
    tiny_model.familiarity = nn.ModuleDict({"speech": known})
    again = read_parts(tiny_model, "mine", samples, size=5)
    np.testing.assert_array_equal(again.logits["speech"]["emotion"], read.logits["speech"]["emotion"])
    heated = again.heated(tiny_model)
    ((places, batch), *_) = list(batches(tiny_model, samples, 5))
    with torch.no_grad():
        said = tiny_model(batch).by_modality["speech"]["emotion"].numpy()
    np.testing.assert_allclose(heated.logits["speech"]["emotion"][: len(places)], said, atol=1e-4)
    assert np.abs(heated.logits["speech"]["emotion"] - read.logits["speech"]["emotion"]).max() > 1e-3
