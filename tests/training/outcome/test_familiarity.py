"""What a checkpoint is familiar with holds for a model tuned from it as long as the states it is measured in do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from emofuse.calibration import familiarity as fitting
from emofuse.calibration.familiarity import describe
from emofuse.data.examples import Example
from emofuse.model.familiarity import fingerprint
from emofuse.model.model import EmotionModel
from emofuse.training.outcome import familiarity as outcome
from emofuse.training.outcome.familiarity import Fate, keep, known_from, sentence, settle
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.run import fit


class Source:
    """A source as far as familiarity asks for it."""

    def __init__(self, train: list[Example], dev: list[Example]) -> None:
        self.train, self.dev, self.source = train, dev, self
        self.corpus = "mine"


def strangers(model: EmotionModel) -> nn.ModuleDict:
    """Of each modality of a model, what states from elsewhere are like."""
    rng = np.random.default_rng(0)
    widths = {m: model.modality_heads[m].pool.dim for m in model.modalities}
    states = {m: [rng.standard_normal((60, width)).astype(np.float32)] for m, width in widths.items()}
    return nn.ModuleDict({m: describe(each, each) for m, each in states.items()})


@pytest.fixture
def base(tiny_model: EmotionModel, tmp_path: Path) -> Path:
    """A checkpoint that is familiar with something in each modality."""
    tiny_model.familiarity = strangers(tiny_model)
    return tiny_model.save_pretrained(tmp_path / "base")


@pytest.fixture
def started(base: Path) -> EmotionModel:
    """A model of its weights that knows of no training data yet, as one that is about to be trained."""
    model = EmotionModel.from_pretrained(base)
    model.familiarity = nn.ModuleDict()
    return model


def known(model: EmotionModel, base: Path) -> dict[str, Any]:
    return known_from(model, dict.fromkeys(model.modalities, base))


def test_a_fingerprint_is_of_an_encoder_and_its_pool_in_whatever_precision(tiny_model):
    state = {name: tensor.half().float() for name, tensor in tiny_model.state_dict().items()}
    before = fingerprint(state, "text")
    assert fingerprint({name: tensor.half() for name, tensor in state.items()}, "text") == before
    assert fingerprint(state, "speech") != before
    for name, moves in (
        ("encoders.text.backbone.encoder.layer.0.output.dense.weight", True),
        ("modality_heads.text.pool.norm.bias", True),
        ("modality_heads.text.tasks.emotion.linear.weight", False),
        ("encoders.speech.backbone.feature_projection.projection.weight", False),
    ):
        assert (fingerprint(state | {name: state[name] + 1}, "text") != before) is moves, name


def test_what_is_not_moved_stays_familiar(started, base, make_segment):
    found = known(started, base)
    keep(started, found)
    assert settle(started, found, []) == {m: Fate("kept") for m in ("text", "speech", "face")}
    whole = EmotionModel.from_pretrained(base)
    for modality, own in whole.familiarity.items():
        again = started.familiarity[modality]
        assert all(torch.equal(getattr(again, name), tensor) for name, tensor in own.named_buffers())


def test_what_is_moved_goes_where_there_are_too_few_samples(started, base, samples):
    found = known(started, base)
    with torch.no_grad():
        started.modality_heads["text"].pool.norm.bias.add_(0.1)
        next(started.encoders["speech"].parameters()).mul_(1.01)
    keep(started, found)
    fates = settle(started, found, [Source(samples, samples[:3])])
    said = sum("text" in s.modalities for s in samples), sum("text" in s.modalities for s in samples[:3])
    assert set(started.familiarity) == {"face"} and fates["face"] == Fate("kept")
    assert fates["text"] == Fate("dropped", *said) and fates["speech"].outcome == "dropped"


def test_what_is_moved_is_fitted_anew_where_there_are_enough(started, base, samples, monkeypatch):
    for module in (fitting, outcome):
        monkeypatch.setattr(module, "FEWEST", 3)
    found = known(started, base)
    with torch.no_grad():
        started.modality_heads["text"].pool.norm.bias.add_(0.1)
    keep(started, found)
    own = [s for s in samples if "text" in s.modalities]
    fates = settle(started, found, [Source(own, own), Source([], [])])
    assert fates == {"text": Fate("refitted", len(own), len(own)), "speech": Fate("kept"), "face": Fate("kept")}
    (train,), (dev,) = outcome.sampled_parts(started, [Source(own, own)])
    there = dev.states["text"][~np.isnan(dev.states["text"][:, 0])]
    near = started.familiarity["text"](torch.from_numpy(there))
    far = found["text"].familiarity(torch.from_numpy(there))
    assert float(near.max()) < float(far.min()), "the run's own data are familiar, and were strangers before"
    assert train.source == dev.source == "mine"


def test_input_that_is_read_otherwise_is_familiar_with_nothing(started, base):
    shorter = started.config.encoders["text"].model_copy(update={"max_length": 7})
    encoders = started.config.encoders | {"text": shorter}
    started.config = started.config.model_copy(update={"encoders": encoders})
    assert set(known(started, base)) == {"speech", "face"}


def test_a_checkpoint_without_a_description_and_an_encoder_without_a_checkpoint_know_nothing(started, base, tmp_path):
    bare = started.save_pretrained(tmp_path / "bare")
    assert known_from(started, {"text": bare}) == {}
    assert set(known_from(started, {"speech": base, "text": bare})) == {"speech"}
    assert known_from(started, {}) == {} and settle(started, {}, []) == {}


def test_sources_of_one_corpus_have_names_of_their_own(started, samples):
    sources = [Source(samples[:2], samples[2:4]), Source([], []), Source([], samples[4:6])]
    train, dev = outcome.sampled_parts(started, sources)
    assert [p.source for p in train] == ["mine"] and [p.source for p in dev] == ["mine", "mine#2"]
    assert [len(p) for p in (*train, *dev)] == [2, 2, 2]
    assert outcome.some(samples, 3) == outcome.some(samples, 3) and len(outcome.some(samples, 3)) == 3


def test_sentences_say_what_became_of_it():
    assert sentence("face", Fate("kept")) == (
        "face: as in the checkpoint that the run started from, whose encoder and pool are unchanged"
    )
    assert sentence("text", Fate("refitted", 300, 80)) == (
        "text: fitted anew on 300 training and 80 development samples of this run, since training moved its states"
    )
    assert sentence("text", Fate("dropped", 4, 2)) == (
        "text: gone, since training moved its states and 4 training and 2 development samples are too few to fit it "
        "anew (50 of each are needed): input unlike the training data is answered as surely as any other, and nothing "
        "marks it"
    )


@pytest.mark.parametrize("frozen", [False, True])
def test_a_run_says_in_log_report_and_card_what_became_of_it(tuning_from, base, frozen):
    """Rows of words and voices move those; a face that nobody shows, and what is frozen with its pool, stays."""
    values = tuning_from(base)
    values["output"]["dtype"] = "float16"
    if frozen:
        values["strategy"] = {"text": {"kind": "frozen", "heads": ["emotion", "polarity", "intensity"]}}
    folder = fit(parse_recipe(values))
    tuned, report = EmotionModel.from_pretrained(folder), json.loads((folder / "report.json").read_text("utf-8"))
    stays = {"text", "face"} if frozen else {"face"}
    assert set(tuned.familiarity) == stays
    assert {m for m, fate in report["familiarity"].items() if fate["outcome"] == "kept"} == stays
    assert report["familiarity"]["speech"] == {"outcome": "dropped", "train": 24, "dev": 8}
    log = (Path(values["output"]["folder"]) / "log.txt").read_text("utf-8")
    card = (folder / "README.md").read_text("utf-8")
    for modality, fate in report["familiarity"].items():
        said = sentence(modality, Fate(**fate))
        assert f"familiarity with {said}" in log and f"- {said}" in card


def test_a_run_from_nothing_says_nothing_of_it(recipe_values):
    recipe_values["train"]["epochs"] = 1
    folder = fit(parse_recipe(recipe_values))
    assert json.loads((folder / "report.json").read_text("utf-8"))["familiarity"] == {}
    assert "Familiar input" not in (folder / "README.md").read_text("utf-8")
