"""docs/adding-a-modality.md: its code makes a fourth modality that everything takes, nothing in the package touched."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emofuse.batch import collate
from emofuse.calibration.evidence import evidence_of
from emofuse.calibration.refit import calibrate
from emofuse.cli.evaluate import read_pairs
from emofuse.data.examples import Example
from emofuse.data.join import join
from emofuse.demo.contributions import contribution
from emofuse.demo.view import shape
from emofuse.encoders import registry
from emofuse.encoders.registry import known_modalities
from emofuse.errors import DataError
from emofuse.evaluation.evaluate import evaluate
from emofuse.evaluation.predict import predict_examples
from emofuse.explain.attribution import integrated_gradients
from emofuse.explain.explanation import explain
from emofuse.explain.shapley import shapley
from emofuse.modalities import MODALITIES, subset_name, subsets_of
from emofuse.model.config import ModelConfig
from emofuse.model.model import EmotionModel
from emofuse.runtime.export.graphs import graphs
from emofuse.training.dataset.augment.segment import augment_segment, streams_of
from emofuse.training.objective.adversarial import Neighbourhood
from emofuse.training.objective.objective import Objective
from emofuse.training.recipe.augmentation import Augment, SpeechAugment, TextAugment
from emofuse.training.recipe.schema import Loss, Optim
from emofuse.training.tuning.optim import build_optimizer
from emofuse.types import Prediction

FOUR = (*MODALITIES, "pose")


def page_code(page: Path) -> dict[str, Any]:
    """The names that a page's Python defines."""
    (code,) = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    names: dict[str, Any] = {"__name__": page.stem}
    exec(compile(code, str(page), "exec", dont_inherit=True), names)
    return names


@pytest.fixture
def pose_model(tiny_config, repository: Path, monkeypatch: pytest.MonkeyPatch) -> EmotionModel:
    """A model of four modalities with random weights."""
    monkeypatch.setattr(registry, "_registered", {})
    page_code(repository / "docs" / "adding-a-modality.md")
    values = tiny_config.model_dump()
    values["encoders"]["pose"] = {"points": 5}
    torch.manual_seed(0)
    model = EmotionModel(ModelConfig.model_validate(values)).eval()
    for head in model.heads.values():
        torch.nn.init.normal_(head.linear.weight, std=0.3)
    return model


@pytest.fixture
def make_posed(make_segment):
    """Builds a segment with all four modalities."""

    def build(seed: int = 0):
        rng = np.random.default_rng(seed)
        points = rng.standard_normal((int(rng.integers(2, 7)), 10)).astype(np.float32)
        return replace(make_segment(seed), extras={"pose": points})

    return build


def examples_of(make_posed) -> list[Example]:
    """24 examples; every third lacks its pose."""
    rng = np.random.default_rng(0)
    nothing = {"polarity": np.full(3, np.nan, np.float32), "intensity": np.full(1, np.nan, np.float32)}
    found = []
    for i in range(24):
        segment = make_posed(i) if i % 3 else make_posed(i).without("pose")
        targets = {"emotion": np.eye(7, dtype=np.float32)[rng.integers(0, 7)], **nothing}
        found.append(Example(str(i), segment, targets, frozenset(FOUR), f"s{i % 4}"))
    return found


def test_a_segment_has_it_and_can_lose_it(make_posed):
    segment = make_posed(0)
    assert segment.present == set(FOUR)
    assert segment.without("pose").present == set(MODALITIES) == segment.without("pose", "none").present
    assert segment.without(*MODALITIES).present == {"pose"}
    assert segment.only("pose").present == {"pose"} and segment.only(*FOUR) is segment
    joined = join({"text": segment, "pose": make_posed(1)})
    assert joined.present == {"text", "pose"}


def test_it_trains_saves_loads_and_predicts(pose_model, make_posed, tmp_path: Path):
    assert pose_model.modalities == FOUR
    targets = {t.name: np.full(t.width, 1 / t.width, np.float32) for t in pose_model.tasks}
    batch = collate([pose_model.prepare(make_posed(i), targets) for i in range(3)])
    counts = {t.name: np.ones(t.width) for t in pose_model.tasks}
    objective = Objective(pose_model, Loss(), counts).train()
    optimizer = build_optimizer(pose_model, Optim(lr=0.01))
    before = pose_model.encoders["pose"].embed.weight.detach().clone()
    objective(batch)["loss"].backward()
    optimizer.step()
    assert not torch.equal(before, pose_model.encoders["pose"].embed.weight)
    assert set(Neighbourhood(pose_model, 0.1).sites) == set(FOUR)
    pose_model.eval()
    pose_model.heads["emotion"].temperature[0b1001] = 3.0
    loaded = EmotionModel.from_pretrained(pose_model.save_pretrained(tmp_path / "model"))
    assert float(loaded.heads["emotion"].temperature[0b1001]) == 3.0
    for kept in (FOUR, ("text", "pose"), ("pose",)):
        part = collate([loaded.prepare(make_posed(i).without(*set(FOUR).difference(kept))) for i in range(3)])
        expected, found = pose_model.predict(part), loaded.predict(part)
        np.testing.assert_array_equal(expected.tasks["emotion"], found.tasks["emotion"])
        assert np.isfinite(found.by_modality["pose"]["emotion"]).all()


def test_it_is_evaluated_and_calibrated_by_subset(pose_model, make_posed, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("emofuse.calibration.refit.FEWEST", 4)
    examples = examples_of(make_posed)
    found = evaluate(pose_model, examples, resamples=2, batch_size=24)
    assert set(found.tasks["emotion"].subsets) == {subset_name(s) for s in subsets_of(FOUR)}
    assert found.tasks["emotion"].subsets["text+pose"]["n"] == 16
    assert any("pose" in error["present"] for error in found.tasks["emotion"].worst)
    told = calibrate(pose_model, evidence_of("dev", predict_examples(pose_model, examples, batch_size=24)))
    assert {"pose", "speech+face+pose"} <= set(told)
    assert "text+speech+face+pose" in pose_model.conformal


def test_augmentation_leaves_it_as_it_is(make_posed):
    segment, options = make_posed(1), Augment(text=TextAugment(dropout=0.9), speech=SpeechAugment(gain=1.0))
    changed = augment_segment(segment, options, streams_of(np.random.default_rng(0)), lambda rng: None)
    assert changed.extras["pose"] is segment.extras["pose"]
    assert not np.array_equal(changed.waveform, segment.waveform) and len(changed.words) < len(segment.words)


def test_commands_and_the_demo_name_it(pose_model, make_posed):
    assert known_modalities() == FOUR
    assert read_pairs(["pose=dancers:data"]) == {"pose": ("dancers", "data")}
    with pytest.raises(DataError, match="text, speech, face, pose"):
        read_pairs(["smell=roses:data"])
    segment = make_posed(1)
    emotion = pose_model.tasks[0].classes[0]
    assert tuple(contribution(pose_model, segment, emotion)["values"]) == FOUR
    shown = shape(Prediction(0.0, 1.0, None, segment.present, None, by_modality={"pose": {}, "text": {}}))
    assert tuple(shown["present"]) == FOUR and tuple(shown["unimodal"]) == ("text", "pose")


def test_it_is_explained(pose_model, make_posed):
    segment = make_posed(1)
    batch = collate([pose_model.prepare(segment)])
    task = pose_model.tasks[0]
    shares = shapley(pose_model, batch, task)
    assert tuple(shares.values) == FOUR and len(shares.coalitions) == 16
    assert sum(shares.values.values()) == pytest.approx(shares.full - shares.none, abs=1e-9)
    found = integrated_gradients(pose_model, batch, task)
    assert found.scores["pose", "points"].shape == segment.extras["pose"].shape
    assert abs(found.error) < 0.02 * abs(found.answer - found.baseline) + 1e-3
    told = explain(pose_model, segment)
    assert told.moments["pose"][1].sum() == pytest.approx(
        sum(w["score"] for w in told.to_dict()["moments"]["pose"]),
        abs=1e-9,
    )
    assert set(told.to_dict()["modalities"]) == set(FOUR)


def test_it_can_be_exported(pose_model, make_posed):
    batch = collate([pose_model.prepare(make_posed(i)) for i in range(2)])
    graph = next(g for g in graphs(pose_model, batch) if g.name == "pose")
    states, mask, times = graph.module(*graph.example)
    tokens = pose_model.encode(batch)["pose"]
    torch.testing.assert_close((states, mask, times), (tokens.states, tokens.mask, tokens.times))
