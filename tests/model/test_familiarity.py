"""What a model is familiar with: distances, percentiles, and temperatures that grow with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from emofuse.batch import collate
from emofuse.errors import CheckpointError
from emofuse.model.familiarity import FURTHEST, Familiarity, load_familiarity
from emofuse.model.folder import FAMILIARITY as FILE
from emofuse.model.model import EmotionModel


def around_zero(width: int, slope: float = 0.5) -> Familiarity:
    """Training states: standard normal."""
    rng = torch.Generator().manual_seed(0)
    components = min(width, 8)
    reference = torch.randn(300, components, generator=rng)
    known = Familiarity(
        {
            "components": torch.eye(width)[:, :components],
            "offset": torch.zeros(components),
            "reference": reference,
            "quantiles": torch.linspace(0, 1, 101),
            "slope": torch.tensor(slope),
        }
    )
    dev = known(torch.randn(500, width, generator=rng))
    known.quantiles = torch.quantile(dev, torch.linspace(0, 1, 101))
    return known


def test_the_distance_is_that_to_the_five_nearest():
    known = around_zero(12)
    states = torch.randn(20, 12)
    along = states[:, :8].numpy()
    squares = ((along[:, None] - known.reference.numpy()[None]) ** 2).sum(-1)
    expected = np.sqrt(np.sort(squares, 1)[:, :5].mean(1))
    np.testing.assert_allclose(known(states).numpy(), expected, rtol=1e-4)


def test_further_is_hotter_up_to_a_limit_and_never_colder():
    known = around_zero(12)
    distance = known(torch.stack([torch.full((12,), x) for x in (0.0, 2.0, 4.0, 1e4)]))
    heat, share = known.heat(distance), known.percentile(distance)
    assert (heat.diff() >= 0).all()
    assert heat[0] >= 1
    assert heat[-1].item() == pytest.approx(np.exp(0.5 * FURTHEST))
    assert share[-1] == 1
    assert (share.diff() >= 0).all()
    assert known.percentile(known(torch.randn(2000, 12))).mean() == pytest.approx(0.5, abs=0.1)


def test_an_unlike_input_is_answered_less_surely_alone_and_fused(tiny_config, make_segment):
    fusion = tiny_config.fusion.model_copy(update={"pool": "mean", "unimodal": "passthrough"})
    torch.manual_seed(0)
    model = EmotionModel(tiny_config.model_copy(update={"fusion": fusion})).eval()
    batch = collate([model.prepare(make_segment(i)) for i in range(3)])
    before = model.predict(batch)
    assert not before.unfamiliarity
    known = around_zero(model.modality_heads["speech"].pool.dim)
    model.familiarity = nn.ModuleDict({"speech": known})
    known.offset += 100.0
    after = model.predict(batch)
    assert after.unfamiliarity["speech"].tolist() == [1, 1, 1]
    for one, other in ((before, after), (before.by_modality["speech"], after.by_modality["speech"])):
        values = [getattr(x, "tasks", x)["emotion"] for x in (one, other)]
        assert (values[1].max(1) < values[0].max(1)).all()
    np.testing.assert_allclose(before.by_modality["text"]["emotion"], after.by_modality["text"]["emotion"])
    np.testing.assert_allclose(
        before.by_modality["speech"]["intensity"], after.by_modality["speech"]["intensity"], atol=1e-6
    )


def test_it_travels_in_the_checkpoint_and_an_older_one_has_none(tiny_model, make_segment, tmp_path):
    bare = EmotionModel.from_pretrained(tiny_model.save_pretrained(tmp_path / "bare"))
    assert not bare.familiarity
    assert not (tmp_path / "bare" / FILE).exists()
    tiny_model.familiarity = nn.ModuleDict({"text": around_zero(tiny_model.modality_heads["text"].pool.dim)})
    folder = tiny_model.save_pretrained(tmp_path / "m")
    loaded = EmotionModel.from_pretrained(folder)
    batch = collate([loaded.prepare(make_segment(0))])
    one, other = tiny_model.predict(batch), loaded.predict(batch)
    np.testing.assert_allclose(one.tasks["emotion"], other.tasks["emotion"], atol=1e-3)
    np.testing.assert_allclose(one.unfamiliarity["text"], other.unfamiliarity["text"], atol=0.02)
    bare.save_pretrained(folder)
    assert not (folder / FILE).exists()


def test_a_damaged_file_says_so(tmp_path):
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="does not say what is familiar"):
        load_familiarity(tmp_path / FILE)
