"""Preparation: what `prepare` of a model needs and no weights, small enough to send to every worker."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping

import numpy as np

from emofuse.encoders.encoder import Encoder
from emofuse.modalities import Modality
from emofuse.model.model import EmotionModel
from emofuse.prepared import PreparedSample
from emofuse.types import Segment


class Preparation:
    """A model's encoders without parameters, buffers and modules, but for those that stay `whole`."""

    def __init__(self, model: EmotionModel | Preparation, whole: Collection[Modality] = ()) -> None:
        self.modalities, self.face_options = model.modalities, model.face_options
        self.encoders = {m: model.encoder(m) if m in whole else weightless(model.encoder(m)) for m in self.modalities}

    def encoder(self, modality: Modality) -> Encoder:
        """The encoder of a modality."""
        return self.encoders[modality]

    def prepare(self, segment: Segment, targets: Mapping[str, np.ndarray] | None = None) -> PreparedSample:
        """As `EmotionModel.prepare`."""
        return PreparedSample({m: e.prepare(segment) for m, e in self.encoders.items()}, dict(targets or {}))


def weightless(encoder: Encoder) -> Encoder:
    """A copy that prepares and does not encode."""
    bare = copy.copy(encoder)
    for held in ("_parameters", "_buffers", "_modules"):
        setattr(bare, held, {})
    return bare
