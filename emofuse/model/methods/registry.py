"""The methods of fusion by the names that recipes give them."""

from __future__ import annotations

from emofuse.model.config import FusionConfig
from emofuse.model.fusion import FusionTransformer
from emofuse.model.method import Method
from emofuse.model.methods.late import LateFusion
from emofuse.model.methods.misa import SharedPrivateFusion
from emofuse.model.methods.mult import CrossmodalFusion
from emofuse.model.methods.tfn import TensorFusion

METHODS: dict[str, type[Method]] = {
    "ours": FusionTransformer,
    "late": LateFusion,
    "mult": CrossmodalFusion,
    "misa": SharedPrivateFusion,
    "tfn": TensorFusion,
}


def method_of(config: FusionConfig) -> type[Method]:
    """The class that a configuration names."""
    return METHODS[config.method]
