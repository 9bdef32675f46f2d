from __future__ import annotations

import pytest
import torch

from emofuse.training.recipe.schema import Optim
from emofuse.training.tuning.optim import build_optimizer, parameter_groups


def test_norms_biases_and_queries_do_not_decay(tiny_model):
    decay = {n: g["weight_decay"] for g in parameter_groups(tiny_model, Optim(weight_decay=0.1)) for n in g["names"]}
    assert decay["fusion.queries"] == 0
    assert decay["encoders.face.backbone.pos_embed"] == 0
    assert decay["encoders.text.backbone.encoder.layer.0.output.LayerNorm.weight"] == 0
    assert decay["encoders.text.backbone.encoder.layer.0.output.dense.weight"] == 0.1
    assert {v for n, v in decay.items() if n.endswith(".bias")} == {0}


def test_layers_are_counted_from_the_front_end_to_what_stands_above(tiny_model):
    for modality in tiny_model.modalities:
        encoder = tiny_model.encoders[modality]
        assert len(encoder.layers) == 2
        depths = set(encoder.depths().values())
        assert depths >= {0, 1, 2}
        assert max(depths) <= 3


def test_the_optimizer_changes_every_trainable_weight(tiny_model):
    before = {n: p.detach().clone() for n, p in tiny_model.named_parameters()}
    optimizer = build_optimizer(tiny_model, Optim(lr=0.1, layer_decay=0.9))
    for parameter in tiny_model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    same = [n for n, p in tiny_model.named_parameters() if torch.equal(p, before[n])]
    assert same == []
    assert max(g["lr"] for g in optimizer.param_groups) == pytest.approx(0.1)
