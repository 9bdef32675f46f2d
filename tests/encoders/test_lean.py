"""The lean backbones compute what transformers and timm compute, from the same weights under the same names."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from emofuse.batch import collate
from emofuse.encoders import hf
from emofuse.encoders.backbones.tokenizer import FastTokenizer
from emofuse.encoders.config import FaceConfig
from emofuse.encoders.face import FaceEncoder
from emofuse.model.model import EmotionModel

HEADS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
BERT = HEADS | {"model_type": "bert", "vocab_size": 50, "max_position_embeddings": 40}
CONFORMER = HEADS | {"model_type": "wav2vec2-bert", "feature_projection_input_dim": 160}
WAVEFORM = HEADS | {"model_type": "wav2vec2", "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
WAVEFORM |= {"conv_dim": [8, 8], "conv_kernel": [10, 3], "conv_stride": [5, 2]}
WHISPER = {"model_type": "whisper", "d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2}
WHISPER |= {"encoder_ffn_dim": 24, "num_mel_bins": 80, "max_source_positions": 40}
STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}


def pair(architecture):
    """The library's backbone with random weights, and the lean one with the same."""
    torch.manual_seed(0)
    whole = hf.backbone(architecture).eval()
    if isinstance(getattr(whole, "pooler", None), torch.nn.Module):
        whole.register_module("pooler", None)
    lean = hf.loadable(hf.described(whole.config), lean=True).eval()
    assert type(lean).__module__.startswith("emofuse.encoders.backbones")
    lean.load_state_dict(whole.state_dict())
    return whole, lean


def assert_same(whole, lean, mask, **inputs):
    with torch.no_grad():
        expected, found = (m(attention_mask=mask, **inputs).last_hidden_state for m in (whole, lean))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_bert():
    whole, lean = pair(BERT)
    ids, mask = torch.randint(50, (2, 9)), torch.ones(2, 9, dtype=torch.long)
    kinds = torch.cat([torch.zeros(2, 5), torch.ones(2, 4)], 1).long()
    assert_same(whole, lean, mask, input_ids=ids, token_type_ids=kinds)
    mask[1, 5:] = 0
    with torch.no_grad():
        found, expected = (m(input_ids=ids, attention_mask=mask).last_hidden_state[1, :5] for m in (lean, whole))
        embedded = lean(inputs_embeds=lean.get_input_embeddings()(ids), attention_mask=mask).last_hidden_state[1, :5]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(embedded, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("positions", ["rotary", None])
def test_conformer(positions):
    whole, lean = pair(CONFORMER | {"position_embeddings_type": positions})
    mask = torch.ones(2, 30, dtype=torch.long)
    mask[1, 20:] = 0
    assert_same(whole, lean, mask, input_features=torch.randn(2, 30, 160))


@pytest.mark.parametrize("variant", [{}, STABLE])
def test_wav2vec2(variant):
    whole, lean = pair(WAVEFORM | variant)
    mask = torch.ones(2, 800, dtype=torch.long)
    mask[1, 500:] = 0
    assert_same(whole, lean, mask, input_values=torch.randn(2, 800))
    for model in (whole, lean):
        conv = model.get_submodule("encoder.pos_conv_embed.conv")
        torch.nn.init.ones_(conv.parametrizations.weight.original0)
    assert_same(whole, lean, mask, input_values=torch.randn(2, 800))  # the normed weight follows its parts


@pytest.mark.parametrize("frames", [60, 61, 100])
def test_whisper(frames):
    whole, lean = pair(WHISPER)
    mask = torch.ones(2, frames, dtype=torch.long)
    mask[1, 37:] = 0
    features = torch.randn(2, frames, 80)
    assert_same(whole, lean, mask, input_features=features)
    with torch.no_grad():
        fed = {"input_features": features, "attention_mask": mask, "output_hidden_states": True}
        for expected, found in zip(whole(**fed).hidden_states, lean(**fed).hidden_states, strict=True):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "config",
    [
        FaceConfig(image_size=32, architecture={"patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}),
        FaceConfig(
            image_size=32,
            architecture={"patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "mlp_ratio": 2.0}
            | {"stem": [4, 8, 8], "stem_blocks": [1, 0, 1], "drop_path_rate": 0.1},
        ),
        FaceConfig(
            name="vit_tiny_patch16_224.augreg_in21k",
            source="unread",
            image_size=32,
            architecture={"img_size": 32, "depth": 1},
        ),
    ],
)
def test_vision_transformer(config, tmp_path):
    torch.manual_seed(0)
    whole = FaceEncoder(config, checkpoint=tmp_path).eval()
    lean = FaceEncoder(config, checkpoint=tmp_path, lean=True).eval()
    assert type(whole.backbone).__module__.startswith("timm")
    assert type(lean.backbone).__module__.startswith("emofuse")
    lean.load_state_dict(whole.state_dict())
    inputs = {"pixels": torch.randint(256, (2, 3, 3, 32, 32), dtype=torch.uint8), "times": torch.rand(2, 3)}
    inputs["mask"] = torch.tensor([[True, True, True], [True, False, False]])
    with torch.no_grad():
        torch.testing.assert_close(lean(inputs).states, whole(inputs).states, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "architecture",
    [
        CONFORMER | {"position_embeddings_type": "relative_key"},
        CONFORMER | {"add_adapter": True},
        BERT | {"is_decoder": True},
        {**HEADS, "model_type": "hubert"},
    ],
)
def test_what_is_not_plain_stays_with_the_library(architecture):
    described = hf.described(hf.rebuilt(architecture))
    assert type(hf.loadable(described, lean=True)).__module__.startswith("transformers")


def test_lean_is_only_what_is_asked_for():
    described = hf.described(hf.rebuilt(BERT))
    assert type(hf.loadable(described)).__module__.startswith("transformers")


@pytest.mark.parametrize("pair", [None, "terrible, not great! terrible terrible"])
@pytest.mark.parametrize("limit", [8, 64])
def test_the_tokenizer_cuts_the_same_pieces(tiny_tokenizer, pair, limit):
    whole, text = hf.tokenizer(tiny_tokenizer), "I am so happy, 我很高兴!"
    lean = hf.tokenizer(tiny_tokenizer, lean=True)
    assert isinstance(lean, FastTokenizer) and not isinstance(whole, FastTokenizer)
    arguments = {"truncation": "longest_first", "max_length": limit, "return_offsets_mapping": True}
    one, other = (t(text, text_pair=pair, **arguments) for t in (whole, lean))
    for key in ("input_ids", "token_type_ids", "offset_mapping"):
        assert list(one[key]) == list(other[key])
    assert one.sequence_ids(0) == other.sequence_ids(0)
    assert set(lean.all_special_ids) == set(whole.all_special_ids) and lean.pad_token_id == whole.pad_token_id
    assert lean(text)["input_ids"] == whole(text)["input_ids"]


def test_threads_that_truncate_differently_get_their_own(tiny_tokenizer):
    lean, text = hf.tokenizer(tiny_tokenizer, lean=True), "I am so happy, not great! " * 4
    limits = [None, 8, 12, None]
    expected = [lean(text, truncation=limit and "longest_first", max_length=limit)["input_ids"] for limit in limits]
    assert len({len(pieces) for pieces in expected}) == 3

    def read(i: int) -> bool:
        limit = limits[i % 4]
        return lean(text, truncation=limit and "longest_first", max_length=limit)["input_ids"] == expected[i % 4]

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(2000)))


def test_a_checkpoint_predicts_the_same_and_is_saved_the_same(tiny_model, make_segment, tmp_path):
    folder = tiny_model.save_pretrained(tmp_path / "whole")
    lean = EmotionModel.from_pretrained(folder, lean=True)
    whole = EmotionModel.from_pretrained(folder)
    assert not [m for m in lean.modules() if type(m).__module__.startswith(("transformers", "timm"))]
    segments = [make_segment(seed) for seed in range(4)]
    segments.append(make_segment(4).without("text", "face"))
    found, expected = (m.predict(collate([m.prepare(s) for s in segments])) for m in (lean, whole))
    for task, values in expected.tasks.items():
        torch.testing.assert_close(torch.from_numpy(found.tasks[task]), torch.from_numpy(values), atol=1e-5, rtol=1e-4)
    again = EmotionModel.from_pretrained(lean.save_pretrained(tmp_path / "lean"))
    assert again.config.encoders == whole.config.encoders
    for (name, one), (_, other) in zip(again.state_dict().items(), whole.state_dict().items(), strict=True):
        assert torch.equal(one, other), name


@pytest.mark.checkpoint
@pytest.mark.slow
def test_predicting_imports_neither_transformers_nor_timm():
    code = (
        "import sys, emofuse; emofuse.load(device='cpu')(text='I am so happy!'); "
        "print([m for m in ('transformers', 'timm', 'torchvision', 'librosa', 'scipy', 'sympy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
