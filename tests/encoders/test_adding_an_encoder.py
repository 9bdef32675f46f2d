"""docs/adding-an-encoder.md: its code makes an encoder of speech that a model trains, saves and explains."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from emofuse.batch import collate
from emofuse.encoders import registry
from emofuse.encoders.encoder import Encoder
from emofuse.errors import RecipeError
from emofuse.explain.explanation import explain
from emofuse.model.config import ModelConfig
from emofuse.model.model import EmotionModel


@pytest.fixture
def code(repository: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that the page's Python defines."""
    monkeypatch.setattr(registry, "_registered", {})
    page = (repository / "docs" / "adding-an-encoder.md").read_text("utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    names: dict[str, Any] = {"__name__": "adding_an_encoder"}
    exec(compile(block, "adding-an-encoder.md", "exec", dont_inherit=True), names)
    return names


def config_of(tiny_config, **speech: Any) -> ModelConfig:
    values = tiny_config.model_dump()
    return ModelConfig.model_validate(values | {"encoders": values["encoders"] | {"speech": speech}})


def test_the_encoder_of_the_page_reads_speech(code, tiny_config, make_segment, tmp_path: Path):
    torch.manual_seed(0)
    model = EmotionModel(config_of(tiny_config, kind="mel", dim=8)).eval()
    batch = collate([model.prepare(make_segment(i)) for i in range(3)])
    loaded = EmotionModel.from_pretrained(model.save_pretrained(tmp_path / "model"))
    np.testing.assert_array_equal(model.predict(batch).embedding, loaded.predict(batch).embedding)
    assert loaded.config.encoders["speech"] == code["MelConfig"](dim=8)
    told = explain(model, make_segment(0))
    assert told.complete and told.speech_scores.size


def test_a_kind_is_declared_once_and_fits_its_modality(code, tiny_config):
    with pytest.raises(ValidationError, match=r"no encoder of kind 'mell'.*mel"):
        config_of(tiny_config, kind="mell")
    with pytest.raises(ValidationError, match=r"speech\.dimm"):
        config_of(tiny_config, kind="mel", dimm=8)
    values = tiny_config.model_dump()
    with pytest.raises(ValidationError, match="a mel encoder cannot encode face"):
        ModelConfig.model_validate(values | {"encoders": {"face": {"kind": "mel"}}})

    class Other(code["MelEncoder"]):
        pass

    with pytest.raises(RecipeError, match="kind 'mel' already"):
        registry.register(Other)


@pytest.mark.parametrize("kind", registry.BUILT_IN)
def test_every_encoder_of_the_package_keeps_to_the_contract(kind: str):
    encoder = registry.encoder_class(kind)
    assert issubclass(encoder, Encoder) and registry.kind_of(encoder) == kind
    assert encoder.continuous and not encoder.__abstractmethods__
    assert "forward" not in vars(encoder), "forward is feed, states, tokens"
