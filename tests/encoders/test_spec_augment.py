"""SpecAugment on an encoder's own frames: where it masks, how much, and when it does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emofuse.batch import collate
from emofuse.encoders.config import SpecAugment, SpeechConfig
from emofuse.encoders.spec_augment import masked, spans
from emofuse.encoders.speech import SpeechEncoder
from emofuse.prepared import PreparedSample
from emofuse.types import Segment

pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning")
FAMILIES = ("wavlm", "wavlm-large", "hubert", "wav2vec2-large-robust", "data2vec", "whisper")


def test_spans_are_whole_within_what_is_real_and_as_many_as_asked():
    torch.manual_seed(0)
    counts = [int(spans(400, 300, 0.1, 10, 2).sum()) for _ in range(50)]
    assert 20 < np.mean(counts) <= 30 and max(counts) <= 40
    assert not any(spans(400, 300, 0.5, 10, 2)[300:].any() for _ in range(20))
    assert spans(40, 40, 0.0, 10, 2).sum() >= 11  # two spans, which may overlap, of different starts
    assert spans(40, 9, 0.5, 10, 2).sum() == 0 and spans(40, 10, 1.0, 10, 2)[:10].all()


def test_frames_become_the_mask_vector_and_channels_nothing():
    torch.manual_seed(0)
    states, lengths = torch.ones(2, 30, 12), torch.tensor([30, 8])
    found = masked(states, lengths, SpecAugment(time=0.3, time_length=4), torch.full((12,), 7.0))
    assert ((found == 7).all(2) | (found == 1).all(2)).all()
    assert (found[0] == 7).any() and (found[1, :8] == 7).any() and (found[1, 8:] == 1).all()
    channels = masked(states, lengths, SpecAugment(time=0, features=0.5, features_length=3))
    gone = (channels == 0).all(1)
    assert ((channels == 1).all(1) | gone).all() and gone.any(1).all() and not gone.all()
    assert torch.equal(masked(states, lengths, SpecAugment(time=0)), states)


@pytest.mark.parametrize("name", FAMILIES)
def test_it_masks_while_an_encoder_learns_and_at_no_other_time(name, published, tmp_path):
    options = {"spec_augment": {"time": 0.5, "time_length": 3}, "source": str(published(name, tmp_path))}
    encoder = SpeechEncoder(SpeechConfig(**options))
    plain = SpeechEncoder(SpeechConfig(source=options["source"])).eval()
    wave = (0.1 * np.random.default_rng(0).standard_normal(16_000)).astype(np.float32)
    sample = PreparedSample({"speech": encoder.prepare(Segment("x", 0.0, 1.0, waveform=wave))})
    inputs = collate([sample]).inputs["speech"]
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        torch.testing.assert_close(encoder.eval()(inputs).states, plain(inputs).states)
        encoder.train()
        encoder.backbone.eval()  # of what else training does at random, nothing
        torch.manual_seed(0)
        one = encoder(inputs).states
        torch.manual_seed(0)
        again = encoder(inputs).states
        other = encoder(inputs).states
        torch.testing.assert_close(encoder.eval()(inputs).states, plain(inputs).states)
    torch.testing.assert_close(one, again)
    assert not torch.allclose(one, other, atol=1e-4)
    assert not torch.allclose(one, plain(inputs).states, atol=1e-4)


def test_masked_frames_take_the_vector_that_pretraining_masked_with(published, tmp_path):
    encoder = SpeechEncoder(
        SpeechConfig(source=str(published("hubert", tmp_path)), spec_augment={"time": 1.0, "time_length": 1})
    )
    encoder.backbone.masked_spec_embed.data.fill_(3.0)
    seen = {}
    encoder.backbone.encoder.register_forward_pre_hook(lambda _, args: seen.update(states=args[0]))
    sound = {"values": torch.randn(1, 8_000), "mask": torch.ones(1, 8_000, dtype=torch.bool)}
    encoder.train().states(sound)
    assert (seen["states"] == 3.0).all(2).any() and seen["states"].requires_grad
    encoder.eval().states(sound)
    assert not (seen["states"] == 3.0).all(2).any()
