"""Masked patches of faces: hidden, said by place, of transformers and of backbones that give maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emofuse.encoders.config import FaceConfig
from emofuse.encoders.registry import build_encoder
from emofuse.errors import RecipeError
from emofuse.training.pretraining.patches import MaskedPatches

VIT = {"patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
KINDS = {
    "stem": {"architecture": VIT | {"stem": [8, 8, 8]}, "image_size": 32},
    "vit": {"architecture": VIT, "image_size": 48},
    "maps": {"name": "convnext_atto", "architecture": {"depths": [1, 1, 1, 1], "dims": [8, 8, 16, 16]}},
    "swin": {"name": "swin_tiny_patch4_window7_224", "architecture": {"embed_dim": 8, "depths": [1, 1, 1, 1]}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_of_hidden_patches_are_said_by_place(kind):
    torch.manual_seed(0)
    objective = MaskedPatches(build_encoder("face", FaceConfig(**KINDS[kind]))).train()
    size = objective.size
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 255, (2, 2, 3, size, size), dtype=np.uint8))
    inputs = {"pixels": pixels, "mask": torch.tensor([[True, True], [True, False]])}
    loss, count = objective(inputs, np.random.default_rng(1))
    hidden = objective.hide(3, np.random.default_rng(1), torch.device("cpu"))
    assert hidden.shape == (3, 1, size, size) and count == 3 * int(hidden.sum())
    assert 0.3 < float(hidden.float().mean()) < 0.9 and objective.patch % objective.cell == 0
    loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in objective.encoder.backbone.parameters())


def test_hidden_pixels_are_not_seen():
    objective = MaskedPatches(build_encoder("face", FaceConfig(**KINDS["vit"]))).eval()
    seen = []
    objective._states, states = (lambda x: (seen.append(x.clone()), states(x))[1]), objective._states
    pixels = torch.full((1, 1, 3, 48, 48), 255, dtype=torch.uint8)
    objective({"pixels": pixels, "mask": torch.ones(1, 1, dtype=torch.bool)}, np.random.default_rng(1))
    hidden = objective.hide(1, np.random.default_rng(1), torch.device("cpu"))
    assert (seen[0].masked_select(hidden) == 0).all() and (seen[0].masked_select(~hidden) == 1).all()


def test_one_patch_is_hidden_where_chance_hides_none():
    objective = MaskedPatches(build_encoder("face", FaceConfig(**KINDS["vit"])), rate=1e-9)
    assert int(objective.hide(1, np.random.default_rng(0), torch.device("cpu")).sum()) == objective.patch**2


def test_a_backbone_without_places_is_refused():
    class Flat(torch.nn.Module):
        num_features = 4

        def forward_features(self, pictures):
            return torch.zeros(len(pictures), 4)

    encoder = build_encoder("face", FaceConfig(**KINDS["vit"]))
    encoder.backbone = Flat()
    with pytest.raises(RecipeError, match="no states by place"):
        MaskedPatches(encoder)
