"""Methods of fusion beside the transformer: absence, padding, and parity with reference formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from emofuse.batch import collate
from emofuse.model.config import FusionConfig
from emofuse.model.methods.misa import SharedPrivateFusion, cmd, difference, overlap, similarity
from emofuse.model.methods.mult import CrossmodalLayer, last
from emofuse.model.methods.registry import METHODS
from emofuse.model.methods.tfn import TensorFusion, outer
from emofuse.model.model import EmotionModel
from emofuse.types import Tokens

DIMS = {"text": 8, "speech": 6, "face": 10}
OWN = ("mult", "misa", "tfn")


def built(method: str, dims: dict[str, int] = DIMS):
    torch.manual_seed(0)
    config = FusionConfig(dim=16, layers=2, heads=2, method=method)
    return METHODS[method](config, dims, ("emotion", "valence")).eval()


def tokens_of(seed: int, rows: int = 3, dims: dict[str, int] = DIMS) -> dict[str, Tokens]:
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for place, (name, dim) in enumerate(dims.items()):
        time = 3 + place
        mask = torch.arange(time) < torch.tensor([time, time - 1, 2][:rows])[:, None]
        times = torch.arange(time, dtype=torch.float32).expand(rows, -1)
        found[name] = Tokens(torch.randn(rows, time, dim, generator=generator), mask, times)
    return found


def everyone(rows: int = 3) -> dict[str, torch.Tensor]:
    return {m: torch.ones(rows, dtype=torch.bool) for m in DIMS}


@pytest.mark.parametrize("method", OWN)
def test_padding_and_neighbours_change_nothing(method):
    fusion, tokens = built(method), tokens_of(0)
    states = fusion(tokens, everyone())
    assert states.shape == (3, 2, 16)
    for row in range(3):
        cut = {}
        for name, t in tokens.items():
            length = int(t.mask[row].sum())
            one = slice(row, row + 1)
            cut[name] = Tokens(t.states[one, :length], t.mask[one, :length], t.times[one, :length])
        assert torch.allclose(fusion(cut, everyone(1)), states[row : row + 1], atol=1e-5)


@pytest.mark.parametrize("method", OWN)
def test_a_modality_taken_away_is_as_if_it_had_never_been_there(method):
    fusion, tokens = built(method), tokens_of(1)
    present = everyone() | {"face": torch.tensor([True, False, False])}
    states = fusion(tokens, present)
    assert states.isfinite().all()
    without = {m: t for m, t in tokens.items() if m != "face"}
    gone = everyone() | {"face": torch.zeros(3, dtype=torch.bool)}
    assert torch.allclose(fusion(without, gone)[1:], states[1:], atol=1e-5)
    assert not torch.allclose(fusion(without, gone)[0], states[0], atol=1e-3)
    alone = {m: torch.full((3,), m == "speech") for m in DIMS}
    assert fusion({"speech": tokens["speech"]}, alone).isfinite().all()


@pytest.mark.parametrize("method", OWN)
def test_every_weight_learns(method):
    fusion, tokens = built(method).train(), tokens_of(2)
    states, losses = fusion.learn(tokens, everyone())
    (states.square().mean() + sum(losses.values())).backward()
    still = [n for n, p in fusion.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_the_outer_product_is_that_of_the_published_code():
    a, v, t = (torch.randn(4, n) for n in (3, 5, 2))
    product = torch.bmm(a.unsqueeze(2), v.unsqueeze(1)).view(4, -1, 1)
    product = torch.bmm(product, t.unsqueeze(1)).view(4, -1)
    assert torch.allclose(outer([a, v, t]), product)
    with pytest.raises(ValueError, match="too many"):
        TensorFusion(FusionConfig(dim=32, heads=2, method="tfn"), {f"m{i}": 4 for i in range(5)}, ("emotion",))


def test_absent_modalities_leave_the_products_of_the_others():
    fusion = built("tfn")
    seen = []
    fusion.post[1].register_forward_hook(lambda module, given, out: seen.append(given[0]))
    gone = everyone() | {"speech": torch.zeros(3, dtype=torch.bool)}
    fusion(tokens_of(3), gone)
    width = fusion.width + 1
    cube = seen[0].view(3, width, width, width)
    assert not cube[:, :, :-1].any()
    assert cube[:, :, -1].any()


def test_a_crossmodal_layer_is_torchs_attention_between_norms():
    """Equation 4 of Tsai et al. 2019, with torch's own multi-head attention in it."""
    torch.manual_seed(0)
    layer = CrossmodalLayer(8, 2, 0.0).eval()
    target, source = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    reference = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    own = layer.attention
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([own.query.weight, own.key_value.weight]))
        reference.in_proj_bias.copy_(torch.cat([own.query.bias, own.key_value.bias]))
        reference.out_proj.load_state_dict(own.out.state_dict())
        keys = layer.norm(source)
        hat = target + reference(layer.norm(target), keys, keys, key_padding_mask=~mask)[0]
        expected = hat + layer.feedforward(layer.forward_norm(hat))
        assert torch.allclose(layer(target, source, mask), expected, atol=1e-6)
        nothing = layer(target, source, torch.zeros_like(mask))
    assert torch.allclose(nothing, target + layer.feedforward(layer.forward_norm(target)), atol=1e-6)


def test_the_last_token_is_the_last_real_one():
    states = torch.arange(6.0).view(2, 3, 1)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    assert last(states, mask).tolist() == [[1.0], [0.0]]


def test_the_moment_discrepancy_is_the_papers_sum():
    """Zellinger et al. 2017, eq. 8, with |b - a| = 1, in NumPy."""
    rng = np.random.default_rng(0)
    x, y = rng.random((6, 4)), rng.random((5, 4))
    expected = np.linalg.norm(x.mean(0) - y.mean(0))
    for k in range(2, 6):
        expected += np.linalg.norm(((x - x.mean(0)) ** k).mean(0) - ((y - y.mean(0)) ** k).mean(0))
    assert float(cmd(torch.from_numpy(x), torch.from_numpy(y))) == pytest.approx(expected, abs=1e-5)
    assert float(cmd(torch.from_numpy(x), torch.from_numpy(x))) == pytest.approx(0, abs=1e-5)
    assert float(cmd(torch.from_numpy(x[:1]), torch.from_numpy(y))) == 0


def test_the_overlap_is_that_of_the_authors_difference_loss():
    rng = np.random.default_rng(1)
    x, y = rng.random((6, 4)), rng.random((6, 4))
    rows = [v - v.mean(0) for v in (x, y)]
    one, two = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rows)
    expected = np.square(one.T @ two).mean()
    assert float(overlap(torch.from_numpy(x), torch.from_numpy(y))) == pytest.approx(expected, rel=1e-4)


def test_misas_losses_read_the_rows_that_have_both():
    torch.manual_seed(0)
    there = {"text": torch.tensor([1, 1, 1, 0]).bool(), "speech": torch.tensor([1, 1, 0, 1]).bool()}
    private, shared = ({m: torch.rand(4, 3) for m in there} for _ in range(2))
    both = slice(0, 2)
    assert float(similarity(shared, there)) == pytest.approx(float(cmd(shared["text"][both], shared["speech"][both])))
    expected = overlap(private["text"][:3], shared["text"][:3])
    expected = expected + overlap(private["speech"][[0, 1, 3]], shared["speech"][[0, 1, 3]])
    expected = expected + overlap(private["text"][both], private["speech"][both])
    assert float(difference(private, shared, there)) == pytest.approx(float(expected))


def test_misas_losses_are_added_in_training_alone():
    fusion, tokens = built("misa"), tokens_of(4)
    states, losses = fusion.learn(tokens, everyone())
    assert set(losses) == {"similarity", "difference", "reconstruction"}
    assert all(float(v.detach()) > 0 for v in losses.values())
    assert torch.equal(states, fusion(tokens, everyone()))
    assert isinstance(fusion, SharedPrivateFusion)


@pytest.mark.parametrize("method", ["late", *OWN])
def test_a_model_of_another_method_saves_loads_and_lacks_modalities(method, tiny_config, make_segment, tmp_path):
    config = tiny_config.model_copy(update={"fusion": FusionConfig(dim=16, heads=2, method=method)})
    torch.manual_seed(1)
    model = EmotionModel(config).eval()
    for heads in model.modality_heads.values():
        for head in heads.tasks.values():
            nn.init.normal_(head.linear.weight, std=0.3)
    batch = collate([model.prepare(make_segment(i)) for i in range(3)]).without(
        "face", rows=torch.tensor([1, 0, 0]).bool()
    )
    found = model.predict(batch)
    again = EmotionModel.from_pretrained(model.save_pretrained(tmp_path / "model")).predict(batch)
    for task, values in found.tasks.items():
        assert np.isfinite(values).all()
        assert np.allclose(values, again.tasks[task], atol=1e-6)


def test_late_fusion_is_the_pool_alone(tiny_config, make_segment):
    config = tiny_config.model_copy(update={"fusion": FusionConfig(dim=16, heads=2, method="late")})
    torch.manual_seed(1)
    model = EmotionModel(config).eval()
    outputs = model(collate([model.prepare(make_segment(i)) for i in (1, 2)]))
    total = sum(out["emotion"] for out in outputs.by_modality.values())
    assert torch.allclose(outputs.logits["emotion"], total, atol=1e-6)
    assert not list(model.fusion.parameters())


def test_a_method_that_answers_for_itself_has_no_pool(tiny_config):
    with pytest.raises(ValueError, match="leave pool and unimodal out"):
        FusionConfig(method="tfn", pool="mean")
    config = tiny_config.model_copy(update={"fusion": FusionConfig(dim=16, heads=2, method="tfn")})
    names = [n for n, _ in EmotionModel(config).named_parameters()]
    assert not any(n.startswith(("pools.", "pool_weights.")) for n in names)
    assert math.prod(EmotionModel(config).fusion.post[1].weight.shape) == 16 * 17**3
