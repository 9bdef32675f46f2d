"""The fusion transformer: what it attends to, and how it tells moments apart."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from emofuse.model.config import FusionConfig
from emofuse.model.fusion import Attention, FusionLayer, FusionTransformer, time_encoding
from emofuse.types import Tokens

DIM = 16


@pytest.fixture
def fusion() -> FusionTransformer:
    torch.manual_seed(0)
    built = FusionTransformer(FusionConfig(dim=DIM, layers=2, heads=2), {"text": 8, "face": 6}, ("emotion", "valence"))
    return built.eval()


def tokens(rows: int, length: int, dim: int, seed: int = 0) -> Tokens:
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(rows, length, dim, generator=generator)
    return Tokens(states, torch.ones(rows, length, dtype=torch.bool), torch.arange(length).float().repeat(rows, 1))


def there(*rows: bool) -> Tensor:
    return torch.tensor(rows)


def test_tokens_of_a_modality_that_a_row_lacks_are_not_read(fusion) -> None:
    """Their mask says they are real: what a row does not have is told by presence alone."""
    text, face = tokens(2, 3, 8), tokens(2, 4, 6)
    given = fusion({"text": text, "face": face}, {"text": there(True, True), "face": there(True, False)})
    alone = fusion({"text": text}, {"text": there(True, True), "face": there(False, False)})
    torch.testing.assert_close(given[1], alone[1])
    assert (given[0] - alone[0]).abs().max() > 1e-3
    other = Tokens(face.states.clone(), face.mask, face.times)
    other.states[1] *= -3
    changed = fusion({"text": text, "face": other}, {"text": there(True, True), "face": there(True, False)})
    torch.testing.assert_close(changed, given)


def test_a_modality_that_is_there_hides_what_stands_for_its_absence(fusion) -> None:
    text, present = tokens(1, 3, 8), {"text": there(True), "face": there(False)}
    before = fusion({"text": text}, present)
    with torch.no_grad():
        fusion.absent["text"] += torch.linspace(-5, 5, DIM)
    torch.testing.assert_close(fusion({"text": text}, present), before)
    with torch.no_grad():
        fusion.absent["face"] += torch.linspace(-5, 5, DIM)
    assert (fusion({"text": text}, present) - before).abs().max() > 1e-3


def test_padding_is_not_read_and_each_task_has_a_state_of_its_own(fusion) -> None:
    text, present = tokens(1, 5, 8), {"text": there(True), "face": there(False)}
    short = Tokens(text.states[:, :3], text.mask[:, :3], text.times[:, :3])
    masked = Tokens(text.states, torch.tensor([[True] * 3 + [False] * 2]), text.times)
    states = fusion({"text": masked}, present)
    torch.testing.assert_close(states, fusion({"text": short}, present))
    assert states.shape == (1, 2, DIM)
    assert (states[0, 0] - states[0, 1]).abs().max() > 1e-3


def test_sinusoids_of_seconds_have_periods_from_a_twentieth_of_a_second_to_two_minutes() -> None:
    times = torch.tensor([[0.0, 0.0125, 30.0, 60.0, 120.0]])
    encoded = time_encoding(times, 4)
    assert encoded.shape == (1, 5, 4) and encoded.dtype == torch.float32
    torch.testing.assert_close(encoded[0, 0], torch.tensor([0.0, 0.0, 1.0, 1.0]))
    fast_sine, slow_sine, fast_cosine, slow_cosine = encoded[0].T
    assert fast_sine[1] == pytest.approx(1.0, abs=1e-5) and fast_cosine[1] == pytest.approx(0.0, abs=1e-5)
    assert slow_sine[2] == pytest.approx(1.0, abs=1e-5) and slow_cosine[3] == pytest.approx(-1.0, abs=1e-5)
    assert slow_cosine[4] == pytest.approx(1.0, abs=1e-5)
    middle = time_encoding(torch.tensor([[1.0]]), 6)[0, 0, 1]
    assert middle == pytest.approx(math.sin(2 * math.pi / math.sqrt(0.05 * 120)), abs=1e-5)


def test_attention_is_a_mean_of_values_where_queries_tell_nothing_apart() -> None:
    torch.manual_seed(0)
    attention = Attention(4, 2, 0.0).eval()
    torch.nn.init.zeros_(attention.query.weight)
    torch.nn.init.zeros_(attention.query.bias)
    keys, queries = torch.randn(1, 3, 4), torch.randn(1, 2, 4)
    values = attention.key_value(keys)[..., 4:]
    torch.testing.assert_close(attention(queries, keys)[0, 0], attention.out(values.mean(1))[0])
    kept = attention(queries, keys, torch.tensor([[True, False, True]]))
    torch.testing.assert_close(kept[0, 1], attention.out(values[:, [0, 2]].mean(1))[0])


def test_dropout_is_for_training_alone(fusion) -> None:
    text, present = tokens(1, 3, 8), {"text": there(True), "face": there(False)}
    torch.testing.assert_close(fusion({"text": text}, present), fusion({"text": text}, present), rtol=0, atol=0)
    fusion.train()
    assert (fusion({"text": text}, present) - fusion({"text": text}, present)).abs().max() > 1e-3


def reference(attention: Attention, queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
    """PyTorch's own multi-head attention with the same weights."""
    dim = queries.shape[-1]
    theirs = torch.nn.MultiheadAttention(dim, attention.heads, batch_first=True).eval()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([attention.query.weight, attention.key_value.weight]))
        assert theirs.in_proj_bias is not None
        theirs.in_proj_bias.copy_(torch.cat([attention.query.bias, attention.key_value.bias]))
        theirs.out_proj.load_state_dict(attention.out.state_dict())
    hidden = None if mask is None else ~mask
    return theirs(queries, keys, keys, key_padding_mask=hidden, need_weights=False)[0]


def test_attention_is_pytorch_s() -> None:
    torch.manual_seed(0)
    attention, queries, keys = Attention(8, 4, 0.3).eval(), torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    mask = torch.tensor([[True, True, False, True, False], [True] * 5])
    torch.testing.assert_close(attention(queries, keys, mask), reference(attention, queries, keys, mask))
    torch.testing.assert_close(attention(queries, keys), reference(attention, queries, keys, None))
    assert (attention.heads, attention.dropout) == (4, 0.3)
    dropped = attention.train()(queries, keys)
    assert not torch.allclose(dropped, reference(attention, queries, keys, None))


def test_a_layer_attends_across_then_among_then_feeds_forward() -> None:
    torch.manual_seed(0)
    layer = FusionLayer(FusionConfig(dim=8, heads=2, feedforward=3, dropout=0.25)).eval()
    queries, keys, mask = torch.randn(2, 3, 8), torch.randn(2, 5, 8), torch.rand(2, 5) > 0.3
    mask[:, 0] = True
    first = queries + reference(layer.cross, layer.cross_norm(queries), keys, mask)
    normed = layer.self_norm(first)
    second = first + reference(layer.among, normed, normed, None)
    up, down = layer.feedforward[0], layer.feedforward[3]
    third = second + down(torch.nn.functional.gelu(up(layer.forward_norm(second))))
    torch.testing.assert_close(layer(queries, keys, mask), third)
    assert (up.out_features, down.in_features) == (24, 24)
    assert [m.p for m in (layer.dropout, layer.feedforward[2])] == [0.25, 0.25]
    assert layer.cross.dropout == layer.among.dropout == 0.25


def test_the_transformer_by_hand(fusion) -> None:
    """Absent slot, kind and seconds of each modality, normed; one query a task through every layer; normed again."""
    text, present = tokens(1, 3, 8), {"text": there(True), "face": there(False)}
    own = fusion.project["text"](text.states) + fusion.kind["text"] + time_encoding(text.times, DIM)
    slots = [fusion.absent[m] + fusion.kind[m] for m in ("text", "face")]
    keys = fusion.token_norm(torch.cat([slots[0][None, None], own, slots[1][None, None]], 1))
    mask = torch.tensor([[False, True, True, True, True]])
    states = fusion.queries[None]
    for layer in fusion.layers:
        states = layer(states, keys, mask)
    torch.testing.assert_close(fusion({"text": text}, present), fusion.norm(states))
    assert len(fusion.layers) == 2 and fusion.tasks == ("emotion", "valence")
    assert fusion.modalities == ("text", "face") and fusion.dim == DIM
    assert [fusion.project[m][1].in_features for m in fusion.modalities] == [8, 6]


def test_what_is_learnt_from_nothing_starts_small() -> None:
    torch.manual_seed(0)
    built = FusionTransformer(FusionConfig(dim=512, layers=1, heads=2), {"text": 8}, ("emotion", "valence"))
    for start in (built.kind["text"], built.absent["text"], built.queries):
        assert start.std().item() == pytest.approx(0.02, rel=0.15)
        assert start.mean().item() == pytest.approx(0.0, abs=0.003)
