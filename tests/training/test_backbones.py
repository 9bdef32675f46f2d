"""Every published family of voice and image encoders through training, saving, loading and prediction."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from emofuse.batch import collate
from emofuse.encoders.processors.speech import SHORTEST
from emofuse.errors import RecipeError
from emofuse.media.reader import MediaOptions
from emofuse.model.config import ModelConfig
from emofuse.model.model import EmotionModel
from emofuse.tasks import TASKS
from emofuse.training.objective.objective import Objective
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.recipe.schema import Loss, Optim, Strategy
from emofuse.training.run import fit
from emofuse.training.tuning.adapters import merge
from emofuse.training.tuning.optim import build_optimizer, parameter_groups
from emofuse.training.tuning.strategies import apply_strategies

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning"),
]
OPTIONS: dict[str, dict[str, Any]] = {
    "speech": {
        "layer_sum": True,
        "pool": "statistics",
        "max_seconds": 1.0,
        "spec_augment": {"time": 0.3, "time_length": 2, "features": 0.2, "features_length": 4},
    },
    "face": {"whose": "all", "crops": 16, "crop_interval": 0.2, "crop_size": 48},
}
STRATEGIES = ({"freeze": "front"}, {"kind": "top", "layers": 1}, {"kind": "lora", "rank": 2})
VOICES = ("wavlm", "wavlm-large", "hubert", "wav2vec2-large-robust", "data2vec", "whisper")
TOWERS = ("clip", "clip-vision", "siglip", "siglip-vision", "vit", "dinov2")
STAGED = ("convnext_atto", "swin_tiny_patch4_window7_224")
TIMM = ("vit_tiny_patch16_224", *STAGED)
FAMILIES = [("speech", name) for name in VOICES] + [("face", name) for name in (*TOWERS, *TIMM)]
families = pytest.mark.parametrize(("modality", "name"), FAMILIES, ids=[name for _, name in FAMILIES])


def built(modality: Any, source: Path) -> EmotionModel:
    torch.manual_seed(0)
    values = {"tasks": ["emotion"], "encoders": {modality: {"source": str(source), **OPTIONS[modality]}}}
    return EmotionModel(ModelConfig.model_validate(values | {"fusion": {"dim": 16, "layers": 1, "heads": 2}}))


def learn(model: EmotionModel, modality: Any, strategy: Strategy, make_segment: Callable[[int], Any]) -> set[str]:
    """Three steps; returns the names of what has changed."""
    frozen = apply_strategies(model, {modality: strategy})
    counts = {"emotion": np.ones(TASKS["emotion"].width)}
    step = build_optimizer(model, Optim(lr=1e-2, encoder_lr={modality: 1e-2}))
    objective = Objective(model, Loss(), counts, frozen).train()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    for number in range(3):
        targets = [{"emotion": np.eye(7, dtype=np.float32)[i + number]} for i in range(3)]
        batch = collate([model.prepare(make_segment(i).only(modality), t) for i, t in enumerate(targets)])
        objective(batch)["loss"].backward()
        step.step()
        step.zero_grad()
    model.eval()
    return {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}


@families
def test_a_family_learns_where_it_should_and_comes_back_as_it_was(modality, name, published, make_segment, tmp_path):
    source = published(name, tmp_path / "source")
    for place, values in enumerate(STRATEGIES):
        model, strategy = built(modality, source), Strategy(**values)
        encoder = model.encoder(modality)
        count, depths = len(encoder.layers), encoder.depths()
        front = {id(p) for part in encoder.front for p in part.parameters()}
        of_front = {f"encoders.{modality}.{n}" for n, p in encoder.named_parameters() if id(p) in front}
        if strategy.freeze and not of_front:
            continue
        if strategy.kind == "lora" and name == "convnext_atto":
            with pytest.raises(RecipeError, match=r"those of ConvNeXt are convolutions; valid here: full, top, frozen"):
                apply_strategies(model, {modality: strategy})
            continue
        changed = learn(model, modality, strategy, make_segment)
        inside = {n.split(".", 2)[2] for n in changed if n.startswith(f"encoders.{modality}.")}
        assert inside
        if strategy.freeze:
            assert not of_front & changed and min(depths[n] for n in inside) <= 1
        elif strategy.kind == "top":
            assert min(depths[n] for n in inside) == count
        else:
            assert all("lora_" in n or n == "layer_weights" for n in inside)
        merge(model)
        samples = [model.prepare(make_segment(i).only(modality)) for i in range(3)]
        answer = model.answer(samples)[0].tasks["emotion"]
        model.save_pretrained(tmp_path / str(place))
        for lean in (False, True):
            loaded = EmotionModel.from_pretrained(tmp_path / str(place), lean=lean)
            configs = [json.loads(m.config.encoders[modality].model_dump_json()) for m in (loaded, model)]
            assert configs[0] == configs[1]
            assert loaded.face_options == model.face_options
            np.testing.assert_allclose(loaded.answer(samples)[0].tasks["emotion"], answer, atol=1e-5)
            alone = [loaded.answer([sample])[0].tasks["emotion"][0] for sample in samples]
            np.testing.assert_allclose(alone, answer, atol=1e-4)


@families
def test_rates_rise_from_the_front_to_the_top(modality, name, published, tmp_path):
    model = built(modality, published(name, tmp_path))
    groups = parameter_groups(model, Optim(lr=1.0, encoder_lr={modality: 0.1}, layer_decay=0.5))
    rates = {n: g["lr"] for g in groups for n in g["names"]}
    encoder, start = model.encoder(modality), f"encoders.{modality}."
    count = len(encoder.layers)
    assert count == (5 if name in STAGED else 2)
    for number, layer in enumerate(encoder.layers):
        own = {id(p) for p in layer.parameters()}
        found = [rates[start + n] for n, p in encoder.named_parameters() if id(p) in own]
        assert found == [pytest.approx(0.1 * 0.5 ** (count - number))] * len(found)
    fronts = {id(p) for part in encoder.front for p in part.parameters()}
    lowest = [rates[start + n] for n, p in encoder.named_parameters() if id(p) in fronts]
    assert lowest == [pytest.approx(0.1 * 0.5 ** (count + 1))] * len(lowest)
    last = {n: r for n, r in rates.items() if n.startswith(start) and r == pytest.approx(0.1)}
    if name in ("wavlm-large", "wav2vec2-large-robust", "whisper", *TOWERS, *TIMM):
        assert any("norm" in n for n in last)
    if modality == "speech":
        assert rates[start + "layer_weights"] == 1.0


@pytest.mark.parametrize("name", ["wavlm", "whisper"])
def test_a_probe_learns_the_weights_of_the_layers_and_nothing_below(name, published, make_segment, tmp_path):
    model = built("speech", published(name, tmp_path))
    changed = learn(model, "speech", Strategy(kind="probe"), make_segment)
    assert {n for n in changed if n.startswith("encoders.")} == {"encoders.speech.layer_weights"}
    assert not model.encoder("speech").train().backbone.training


def test_convolutions_that_do_not_learn_keep_nothing_for_a_backward_pass(published, tmp_path):
    source = published("wavlm", tmp_path)
    kept = {}
    for name, strategy in {"whole": Strategy(), "front": Strategy(freeze="front")}.items():
        model = built("speech", source)
        apply_strategies(model, {"speech": strategy})
        encoder = model.encoder("speech").train()
        sound = torch.zeros(1, 4 * SHORTEST)
        kept[name] = encoder.backbone.feature_extractor(sound).requires_grad
    assert kept == {"whole": True, "front": False}


def test_a_recipe_with_a_published_voice_plans_trains_and_answers(recipe_values, published, tmp_path, capsys):
    import emofuse

    voice = OPTIONS["speech"] | {"source": str(published("hubert", tmp_path / "hubert")), "max_seconds": 0.3}
    recipe_values["model"]["encoders"] = {"speech": voice}
    recipe_values["strategy"] = {"speech": {"freeze": "front"}}
    recipe_values["train"] |= {"epochs": 1}
    fit(parse_recipe(recipe_values), dry_run=True)
    said = capsys.readouterr().out
    assert "full, its front end frozen" in said and "memory: about" in said
    folder = fit(parse_recipe(recipe_values), limit=16)
    kept = EmotionModel.from_pretrained(folder).config.encoders["speech"]
    assert (kept.max_seconds, kept.layer_sum, kept.spec_augment.time) == (0.3, True, 0.3)
    noise = (0.2 * np.random.default_rng(0).standard_normal(16_000)).astype(np.float32)
    options = MediaOptions(voice="always")
    assert any("reads at once" in n for n in emofuse.load(folder, options=options)(audio=(16_000, noise)).notes)


def test_what_does_not_fit_is_refused_by_name(published, tmp_path):
    model = built("speech", published("wavlm", tmp_path))
    model.encoder("speech").layer_weights = None
    with pytest.raises(RecipeError, match=r"probe learns the weights of layer_sum.*layer_sum=true"):
        apply_strategies(model, {"speech": Strategy(kind="probe")})
    with pytest.raises(ValidationError, match="front"):
        Strategy.model_validate({"freeze": "back"})
