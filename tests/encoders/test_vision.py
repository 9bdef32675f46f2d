"""Image towers of transformers: the published states, colours, sizes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, BeitConfig, BeitModel

from emofuse.encoders.config import FaceConfig
from emofuse.encoders.face import FaceEncoder
from emofuse.errors import CheckpointError

TOWERS = ("clip", "clip-vision", "siglip", "siglip-vision", "vit", "dinov2")


@pytest.mark.parametrize("name", TOWERS)
def test_states_are_those_of_the_published_tower(name, published, tmp_path):
    source = published(name, tmp_path)
    encoder = FaceEncoder(FaceConfig(source=str(source))).eval()
    assert encoder.config.mean == (0.48, 0.46, 0.41) and encoder.config.image_size == 32
    whole = AutoModel.from_pretrained(source).eval()
    tower = whole.vision_model if name in ("clip", "siglip") else whole
    pictures = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        output = tower(pixel_values=pictures)
        expected = output.last_hidden_state[:, 0] if name == "vit" else output.pooler_output
        torch.testing.assert_close(encoder.states({"pictures": pictures}), expected)


@pytest.mark.parametrize("name", ["clip", "siglip-vision", "vit", "dinov2"])
def test_another_size_interpolates_positions_and_is_kept(name, published, tmp_path):
    source = published(name, tmp_path)
    encoder = FaceEncoder(FaceConfig(source=str(source), image_size=48)).eval()
    rebuilt = FaceEncoder(encoder.config, checkpoint=tmp_path).eval()
    rebuilt.load_state_dict(encoder.state_dict())
    assert rebuilt.config.image_size == 48
    pictures = torch.rand(2, 3, 48, 48)
    with torch.no_grad():
        states = [one.states({"pictures": pictures}) for one in (encoder, rebuilt)]
    assert states[0].shape == (2, 16)
    torch.testing.assert_close(states[0], states[1])


def test_colours_must_be_known(published, tmp_path):
    source = published("clip", tmp_path)
    (source / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"holds no preprocessor_config\.json.*face\.mean and std"):
        FaceEncoder(FaceConfig(source=str(source)))
    given = FaceConfig(source=str(source), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    np.testing.assert_allclose(FaceEncoder(given).std.flatten(), 0.25)


def test_an_unknown_tower_names_the_known_ones(tmp_path: Path):
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BeitModel(BeitConfig(**shape, image_size=32, patch_size=8)).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"clip_vision_model, siglip_vision_model, vit, dinov2.*not beit"):
        FaceEncoder(FaceConfig(source=str(tmp_path)))
