"""Ready-made features: read, standardised on training rows alone, trained on, and evaluated from the checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emofuse.corpora.features import FILE, dev_videos, read_features
from emofuse.data.load import features_of
from emofuse.errors import RecipeError
from emofuse.evaluation.evaluate import evaluate_checkpoint
from emofuse.model.model import EmotionModel
from emofuse.training.assemble import assemble
from emofuse.training.dataset.samples import MediaCache, Samples
from emofuse.training.dataset.sources import read_source
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.run import fit
from emofuse.training.tuning.init import build

pytestmark = pytest.mark.slow

WIDTHS = {"text": 6, "speech": 5, "face": 4}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 utterances of 12 videos; each modality tells the sentiment through noise, on a scale of its own."""
    rng = np.random.default_rng(0)
    valence = rng.uniform(-3, 3, 120).astype(np.float32)
    arrays = {
        name: (50.0 * width + 20 * (valence[:, None] + rng.normal(0, 1.5, (120, width)))).astype(np.float32)
        for name, width in zip(("text", "audio", "video"), WIDTHS.values(), strict=True)
    }
    folder = tmp_path_factory.mktemp("features")
    names = np.array([f"v{i // 10}_{i % 10}" for i in range(120)])
    np.savez(folder / FILE, valence=valence, name=names, text_raw=np.full(120, "SAID"), **arrays)
    return folder


@pytest.fixture
def values(corpus: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "name": "features",
        "root": str(corpus),
        "data": {"sources": [{"corpus": "mosi_features"}], "modality_dropout": 0.3},
        "model": {
            "tasks": ["sentiment2", "sentiment"],
            "encoders": {m: {"kind": "features", "width": w, "dim": 16} for m, w in WIDTHS.items()},
            "fusion": {"dim": 16, "layers": 1, "heads": 2},
        },
        "optim": {"lr": 0.01},
        "train": {"epochs": 3, "batch_size": 16, "device": "cpu", "metric": "sentiment2.accuracy"},
        "output": {"folder": str(tmp_path / "run"), "tensorboard": False},
    }


def test_from_features_to_a_checkpoint_that_evaluates_alike(values: dict[str, Any], corpus: Path):
    folder = fit(parse_recipe(values))
    report = json.loads((folder / "report.json").read_text())
    accuracy = report["metrics"]["mosi_features"]["sentiment2"]["accuracy"]
    assert accuracy > 0.75
    model = EmotionModel.from_pretrained(folder)
    found = evaluate_checkpoint(model, "mosi_features", corpus, "dev", resamples=20)
    assert found.tasks["sentiment2"].intervals["accuracy"].estimate == pytest.approx(accuracy)
    features = read_features(corpus / FILE)
    recipe = parse_recipe(values)
    train = {i.utterance.id for i in read_source(recipe, recipe.data.sources[0], model.tasks).train}
    rows = features.arrays["speech"][[n in train for n in features.names]]
    assert len(rows) < len(features.names)
    np.testing.assert_allclose(model.encoders["speech"].mean.numpy(), rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(model.encoders["speech"].deviation.numpy(), rows.std(0), rtol=1e-4)


def test_what_starts_from_no_checkpoint_is_standardised_beside_what_does(values: dict[str, Any], tmp_path: Path):
    """One encoder with a checkpoint left the others as they were, on the scales of their features."""
    words = fit(parse_recipe(values | {"train": values["train"] | {"epochs": 1}}), limit=30)
    values["model"]["init"] = {"text": str(words)}
    recipe = parse_recipe(values)
    model, _ = build(recipe)
    begun = model.encoders["text"].mean.clone()
    data = assemble(recipe, 0, model, None)
    assert torch.equal(model.encoders["text"].mean, begun)
    given = np.stack([features_of(e.utterance)["speech"] for e in data.gathered[0].train])
    np.testing.assert_allclose(model.encoders["speech"].mean.numpy(), given.mean(0), rtol=1e-5)
    np.testing.assert_allclose(model.encoders["speech"].deviation.numpy(), given.std(0), rtol=1e-4)


def test_modalities_of_a_source_are_those_it_gives(values: dict[str, Any]):
    values["data"]["sources"][0]["modalities"] = ["text", "face"]
    recipe = parse_recipe(values)
    model = EmotionModel(_config(recipe))
    examples = read_source(recipe, recipe.data.sources[0], model.tasks).train
    sample = Samples(examples, model, MediaCache(0), seed=0)[0, 0]
    assert sample.inputs["speech"] is None
    assert sample.inputs["text"]["features"].shape == (1, 6)


def test_a_wrong_width_names_both(values: dict[str, Any]):
    values["model"]["encoders"]["face"]["width"] = 9
    with pytest.raises(RecipeError, match=r"face.width is 9, the features have 4"):
        fit(parse_recipe(values))


def test_an_encoder_of_media_cannot_read_features(values: dict[str, Any]):
    values["model"]["encoders"]["text"] = {"source": "bert-base-uncased"}
    recipe = parse_recipe(values)
    with pytest.raises(RecipeError, match="kind: features"):
        read_source(recipe, recipe.data.sources[0], recipe.model.all_tasks())


def _config(recipe):
    from emofuse.training.tuning.init import model_config

    return model_config(recipe)


def test_the_published_vectors_have_seen_their_labels(corpora_root: Path):
    """Ridge regression on the text vectors alone is nearly perfect on held-out videos, which no text model is."""
    path = corpora_root / "mosi" / FILE
    if not path.is_file():
        pytest.skip(f"no features at {path}")
    features = read_features(path)
    held = np.isin(features.videos, sorted(dev_videos(features.videos, 0)))
    assert ridge(features.arrays["text"], features.valence, held) > 0.95
    assert ridge(features.arrays["speech"], features.valence, held) < 0.65


def ridge(x: np.ndarray, y: np.ndarray, held: np.ndarray, strength: float = 1000.0) -> float:
    """Two-class accuracy on the held-out rows of ridge regression on standardised features."""
    x = (x - x[~held].mean(0)) / (x[~held].std(0) + 1e-6)
    mean = y[~held].mean()
    weights = np.linalg.solve(x[~held].T @ x[~held] + strength * np.eye(x.shape[1]), x[~held].T @ (y[~held] - mean))
    return float((((x[held] @ weights + mean) >= 0) == (y[held] >= 0)).mean())
