"""Examples put together from corpora of one modality: one class, each modality from its own."""

from __future__ import annotations

import numpy as np
import pytest

from emofuse.data.pairing import paired
from emofuse.errors import DataError


def test_pairs_are_of_one_class_and_take_each_modality_from_its_own(samples):
    labelled = [s for s in samples if not np.isnan(s.targets["emotion"]).any()]
    for sample in paired({"text": labelled, "speech": labelled}, 6):
        text, speech = sample.id.split("+")[:2]
        origins = {s.id: s for s in labelled}
        assert np.array_equal(origins[text].targets["emotion"], origins[speech].targets["emotion"])
        segment = sample.load()
        assert segment.present <= {"text", "speech"}
        np.testing.assert_array_equal(segment.waveform, origins[speech].load().waveform)
        assert all(0 <= w.start <= w.end <= segment.end + 1e-6 for w in segment.words or ())
    with pytest.raises(DataError, match="two modalities"):
        paired({"text": labelled}, 3)
