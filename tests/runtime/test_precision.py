"""Fewer bits: chosen where they pay, answers nearly the same, gradients untouched."""

from __future__ import annotations

import pytest
import torch

import emofuse
from emofuse.batch import collate
from emofuse.errors import EmofuseError
from emofuse.model.model import EmotionModel
from emofuse.runtime import int8, precision
from emofuse.runtime.bfloat16 import BFloat16Linear, halve
from emofuse.runtime.int8 import Int8Linear
from emofuse.runtime.swap import LEAST_WEIGHTS, full_precision, restore


@pytest.fixture
def wide(tiny_config):
    """A model whose layers are large enough to be swapped, with decided answers."""
    values = tiny_config.model_dump()
    size = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4}
    for modality in ("text", "speech"):
        values["encoders"][modality]["architecture"] |= size
    values["encoders"]["face"]["architecture"] |= {"embed_dim": 256, "num_heads": 4}
    torch.manual_seed(0)
    model = EmotionModel(type(tiny_config).model_validate(values)).eval()
    for each in model.modality_heads.values():
        for head in each.tasks.values():
            torch.nn.init.normal_(head.linear.weight, std=head.linear.in_features**-0.5)
    return model


def change(model, other, segments):
    batch = collate([model.prepare(s) for s in segments])
    return precision.change(model.predict(batch), other.predict(batch))


@pytest.mark.parametrize("chosen", ["int8", "bfloat16"])
def test_probabilities_change_little(wide, make_segment, tmp_path, chosen):
    other = EmotionModel.from_pretrained(wide.save_pretrained(tmp_path / "wide"), lean=True)
    precision.apply(other, chosen)
    changes = [change(wide, other, [make_segment(s) for s in range(a, a + 12)]) for a in range(0, 100, 20)]
    assert 0 < sorted(changes)[2] <= precision.CHANGE and max(changes) <= 1.5 * precision.CHANGE, "of random weights"
    assert (chosen == "int8") == any(isinstance(m, Int8Linear) for m in other.modules())
    saved = EmotionModel.from_pretrained(other.save_pretrained(tmp_path / "again")).state_dict()
    assert all(torch.equal(saved[name], tensor) for name, tensor in wide.state_dict().items())


@pytest.mark.checkpoint
def test_the_shipped_model_changes_little_in_eight_bits(repository):
    sample = repository / "demo" / "samples" / "sample.mp4"
    whole, eight = (emofuse.load(device="cpu", precision=p) for p in ("float32", "int8"))
    assert any(isinstance(m, Int8Linear) for m in eight.model.modules())
    one, other = (p(sample, transcript=sample.with_suffix(".srt")) for p in (whole, eight))
    for p, q in zip(one.segments, other.segments, strict=True):
        assert max(abs(p.emotions[name] - q.emotions[name]) for name in p.emotions) <= precision.CHANGE


def test_weights_kept_in_sixteen_bits_answer_as_autocast_does_and_can_be_undone():
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256, bias=False))
    given, names = torch.randn(3, 256), list(encoder.state_dict())
    plain = encoder(given)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        cast = encoder(given)
    swaps = halve(encoder, "cpu")
    assert [type(layer) for _, _, layer in swaps] == [torch.nn.Linear] * 2 and isinstance(encoder[0], BFloat16Linear)
    assert list(encoder.state_dict()) == names and encoder[0].weight is swaps[0][2].weight
    assert torch.equal(encoder(given), plain), "a gradient may be asked for"
    with torch.no_grad():
        assert torch.equal(encoder(given), cast) and not torch.equal(cast.float(), plain)
        assert torch.equal(encoder[0](given), swaps[0][2](given)), "without autocast, all the bits"
        del encoder.forward
        restore(swaps)
        assert torch.equal(encoder(given), plain)


def test_gradients_and_full_precision_use_the_whole_weights():
    torch.manual_seed(0)
    layer, given = torch.nn.Linear(256, 256), torch.randn(3, 256)
    eight = Int8Linear(layer)
    assert torch.equal(eight(given), layer(given)), "a gradient may be asked for"
    with torch.no_grad():
        assert not torch.equal(eight(given), layer(given))
        torch.testing.assert_close(eight(given), layer(given), atol=0.05, rtol=0.05)
        model = torch.nn.Sequential(eight, torch.nn.ReLU())
        whole = full_precision(model)
        assert torch.equal(whole(given), layer(given).relu())
        assert whole[0].weight is layer.weight and model[0] is eight and full_precision(whole) is whole


def test_an_encoder_in_sixteen_bits_has_a_twin_that_answers_with_all_of_them():
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256))
    model, given = torch.nn.ModuleDict({"text": encoder}), torch.randn(3, 256)
    plain = encoder(given)
    halve(encoder, "cpu")
    whole = full_precision(model)
    with torch.no_grad():
        assert torch.equal(whole["text"](given), plain) and not torch.equal(model["text"](given).float(), plain)
    assert torch.equal(whole["text"](given), plain), "where a gradient may be asked for too"
    assert full_precision(whole) is whole


@pytest.mark.parametrize("packed", [True, False])
def test_a_row_does_not_depend_on_the_others(monkeypatch, packed):
    if packed and not int8.packs():
        pytest.skip("this processor does not multiply bytes in one step")
    monkeypatch.setattr(int8, "packs", lambda: packed)
    torch.manual_seed(0)
    eight = Int8Linear(torch.nn.Linear(256, 256))
    rows = torch.randn(4, 256) * torch.tensor([[1.0], [100.0], [0.01], [0.0]])
    with torch.no_grad():
        for row, found in zip(rows, eight(rows), strict=True):
            assert torch.equal(eight(row[None])[0], found)


def test_both_products_of_bytes_are_the_exact_one():
    torch.manual_seed(0)
    weight, rows = torch.randint(-127, 128, (48, 512)).to(torch.int8), torch.randint(0, 256, (5, 512)).to(torch.uint8)
    scale = torch.rand(48)
    exact = (rows.double() @ weight.double().t() * scale).float()
    for product in [int8._Plain, int8._Packed] if int8.packs() else [int8._Plain]:
        torch.testing.assert_close(product(weight, scale)(rows), exact, rtol=1e-6, atol=0)


def test_auto_leaves_small_models_alone_and_takes_what_is_quickest_for_large_ones(wide, monkeypatch):
    assert precision.choose(wide, "auto") == "float32"
    monkeypatch.setattr(precision, "LARGE_ENCODER", 1)
    assert precision.choose(wide, "auto") == precision._fastest(eight=False) != "int8"
    monkeypatch.setattr(precision, "LARGE", 1)
    assert precision.choose(wide, "auto") == precision._fastest(eight=True)
    with pytest.raises(EmofuseError, match="no precision 'int4'; valid: auto, float32, bfloat16, int8"):
        precision.choose(wide, "int4")


def test_the_quickest_is_measured(monkeypatch):
    seconds = iter([1.0, 0.5, 0.9])
    monkeypatch.setattr(precision, "_least", lambda work: next(seconds))
    precision._fastest.cache_clear()
    assert precision._fastest(eight=True) == "bfloat16"
    seconds = iter([1.0, 0.9, 0.85])
    precision._fastest.cache_clear()
    assert precision._fastest(eight=True) == "float32", "a gain below WORTH is none"
    precision._fastest.cache_clear()


def test_the_probe_measures_on_one_thread_and_gives_the_others_back(monkeypatch):
    seen = []

    def least(work):
        seen.append(torch.get_num_threads())
        if len(seen) == 2:
            raise RuntimeError("no such product here")
        return 1.0

    monkeypatch.setattr(precision, "_least", least)
    precision._fastest.cache_clear()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError, match="no such product"):
            precision._fastest(eight=False)
        assert seen == [1, 1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def in_eight_bits(encoder) -> list[bool]:
    """Of an encoder's large layers in their order: which are swapped."""
    linear = [m for m in encoder.modules() if isinstance(m, torch.nn.Linear)]
    return [isinstance(m, Int8Linear) for m in linear if m.weight.numel() >= LEAST_WEIGHTS]


def test_the_slowest_encoder_comes_first_and_one_that_changes_too_much_keeps_its_early_layers(wide, monkeypatch):
    seconds, changes = iter([1.0, 3.0, 2.0]), iter([0.3, 0.3, 0.3, 0.01, 0.3, 0.01])
    monkeypatch.setattr(precision, "_least", lambda work, rounds: next(seconds))
    monkeypatch.setattr(precision, "change", lambda one, other: next(changes))
    precision.apply_within(wide, "int8")
    third, first, second = (in_eight_bits(encoder) for encoder in wide.encoders.values())
    assert first and not any(first), "too much with all of it, three quarters and a half"
    assert second and all(second)
    kept = round(len(third) / 4)
    assert kept and third == [False] * kept + [True] * (len(third) - kept)
    assert next(changes, None) is None


def test_an_encoder_that_sixteen_bits_change_too_much_keeps_all_its_bits(wide, make_segment, monkeypatch):
    monkeypatch.setattr(precision, "LARGE_ENCODER", 1)
    seconds, changes = iter([1.0, 3.0, 2.0]), iter([0.3, 0.01, 0.01])
    monkeypatch.setattr(precision, "_least", lambda work, rounds: next(seconds))
    monkeypatch.setattr(precision, "change", lambda one, other: next(changes))
    batch = collate([wide.prepare(make_segment(0))])
    with torch.inference_mode():
        exact = [e(batch.inputs[m]).states for m, e in wide.encoders.items()]
        precision.apply_within(wide, "bfloat16")
        found = [e(batch.inputs[m]).states for m, e in wide.encoders.items()]
    assert [torch.equal(a, b) for a, b in zip(exact, found, strict=True)] == [False, True, False]


def test_what_auto_takes_for_a_large_model_is_held_to_the_promise(wide, monkeypatch, tmp_path):
    folder, held = wide.save_pretrained(tmp_path / "wide"), []
    monkeypatch.setattr(precision, "LARGE_ENCODER", 1)
    monkeypatch.setattr(precision, "apply_within", lambda model, chosen: held.append(chosen) or model)
    for quickest in ("float32", "bfloat16", "int8"):
        monkeypatch.setattr(precision, "_fastest", lambda eight, quickest=quickest: quickest)
        precision.loaded(folder, torch.device("cpu"), "auto")
    assert held == ["bfloat16", "int8"]


@pytest.mark.parametrize("chosen", ["int8", "bfloat16"])
def test_the_careful_choice_keeps_its_promise(wide, tmp_path, monkeypatch, chosen):
    monkeypatch.setattr(precision, "LARGE_ENCODER", 1)
    other = precision.apply_within(EmotionModel.from_pretrained(wide.save_pretrained(tmp_path / "wide")), chosen)
    assert change(wide, other, [precision.spoken(1), precision.spoken(2)]) <= precision.CHANGE


def test_sixteen_bits_are_for_large_encoders_alone(wide, monkeypatch):
    largest = max(precision.hold(encoder) for encoder in wide.encoders.values())
    monkeypatch.setattr(precision, "LARGE_ENCODER", largest)
    precision.apply_within(wide, "bfloat16", most=1.0)
    halved = {m: any(isinstance(x, BFloat16Linear) for x in e.modules()) for m, e in wide.encoders.items()}
    assert halved == {m: precision.hold(e) == largest for m, e in wide.encoders.items()}
    assert set(halved.values()) == {True, False}


@pytest.mark.checkpoint
def test_the_words_of_the_shipped_model_multiply_in_sixteen_bits_where_that_is_quicker(monkeypatch):
    monkeypatch.setattr(precision, "_fastest", lambda eight: "int8" if eight else "bfloat16")
    whole, halves = (emofuse.load(device="cpu", precision=p) for p in ("float32", "auto"))
    halved = {m: any(isinstance(x, BFloat16Linear) for x in e.modules()) for m, e in halves.model.encoders.items()}
    assert halved == {"text": True, "speech": False, "face": False}
    for text in ("I hate you, and I am furious.", "The train leaves at nine.", "我真的很难过。", "I am not sad."):
        one, other = (p(text=text).overall.emotions for p in (whole, halves))
        assert max(abs(one[name] - other[name]) for name in one) <= precision.CHANGE / 2
