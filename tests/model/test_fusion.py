"""The fusion transformer: what it attends to, and how it tells moments apart."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from emofuse.model.config import FusionConfig
from emofuse.model.fusion import Attention, FusionTransformer, time_encoding
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
