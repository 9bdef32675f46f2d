"""An exported model says what the model says, for every subset of modalities and every length."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

import emofuse
from emofuse.batch import collate
from emofuse.errors import CheckpointError, EmofuseError
from emofuse.modalities import MODALITIES
from emofuse.model.config import ModelConfig
from emofuse.model.familiarity import Familiarity
from emofuse.model.model import EmotionModel
from emofuse.runtime.export.examples import spoken
from emofuse.runtime.export.write import export

SUBSETS = [s for n in (1, 2, 3) for s in combinations(MODALITIES, n)]
WAVEFORM = {"model_type": "wav2vec2", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
WAVEFORM |= {"intermediate_size": 24, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
WAVEFORM |= {"conv_dim": [8, 8, 8], "conv_kernel": [10, 8, 4], "conv_stride": [5, 8, 8]}


def saved(config, folder):
    """A lean model with random weights and wide heads, read from a checkpoint as `emofuse.load` reads it."""
    torch.manual_seed(0)
    whole = EmotionModel(config)
    for head in (h for m in whole.modality_heads.values() for h in m.tasks.values()):
        torch.nn.init.normal_(head.linear.weight, std=0.5)
    return EmotionModel.from_pretrained(whole.save_pretrained(folder), lean=True)


@pytest.fixture(scope="module")
def spectral(tiny_config, tmp_path_factory):
    return saved(tiny_config, tmp_path_factory.mktemp("export") / "spectral")


@pytest.fixture(scope="module")
def raw(tiny_config, tmp_path_factory):
    """A model that reads the waveform itself, with a masked group norm."""
    values = tiny_config.model_dump()
    values["encoders"]["speech"] = {"kind": "speech", "architecture": WAVEFORM}
    return saved(ModelConfig.model_validate(values), tmp_path_factory.mktemp("export") / "raw")


@pytest.fixture(scope="module")
def pooled(tiny_config, tmp_path_factory):
    """A model that pools opinions, uneven ones, knows what voices it is familiar with, and mirrors faces."""
    values = tiny_config.model_dump()
    values["fusion"] |= {"pool": "mean", "correction": "never", "unimodal": "passthrough"}
    values["encoders"]["face"]["mirror"] = True
    config = ModelConfig.model_validate(values)
    folder = tmp_path_factory.mktemp("export") / "pooled"
    model = saved(config, folder)
    for pool in model.pools.values():
        torch.nn.init.normal_(pool.weights)
        torch.nn.init.normal_(pool.bias)
        pool.recorded[6] = True
    width = model.modality_heads["speech"].pool.dim
    known = {"components": torch.randn(width, 4), "offset": torch.randn(4), "reference": torch.randn(9, 4)}
    known |= {"quantiles": torch.linspace(0, 9, 101), "slope": torch.tensor(0.4)}
    model.familiarity = torch.nn.ModuleDict({"speech": Familiarity(known)})
    return EmotionModel.from_pretrained(model.save_pretrained(folder), lean=True)


def largest_difference(one, other, segments):
    """Between the decoded outputs of two models, one batch for all segments; NaN must stand in the same places."""
    (found, present), (expected, there) = (m.answer([m.prepare(s) for s in segments]) for m in (one, other))
    assert present.tolist() == there.tolist()
    assert found.by_modality.keys() == expected.by_modality.keys()
    pairs = [(found.tasks[t], expected.tasks[t]) for t in expected.tasks]
    pairs += [(found.by_modality[m][t], v) for m, each in expected.by_modality.items() for t, v in each.items()]
    pairs.append((found.embedding, expected.embedding))
    assert found.unfamiliarity.keys() == expected.unfamiliarity.keys()
    pairs += [(found.unfamiliarity[m], v) for m, v in expected.unfamiliarity.items()]
    for a, b in pairs:
        assert (np.isnan(a) == np.isnan(b)).all()
    return max(float(np.nanmax(np.abs(a - b))) for a, b in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("reads", ["spectral", "raw", "pooled"])
@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_parity_for_all_subsets_and_lengths(backend, reads, request, make_segment, tmp_path):
    model = request.getfixturevalue(reads)
    folder = export(model, tmp_path / "out", backend, [make_segment(s) for s in range(2)])
    assert not (folder / "model.safetensors").exists()
    loaded = emofuse.load(folder, backend=backend)
    for subset in SUBSETS:
        gone = [m for m in MODALITIES if m not in subset]
        assert largest_difference(loaded.model, model, [make_segment(7).without(*gone)]) <= 1e-4
    mixed = [make_segment(s).without(*[m for m in MODALITIES if m not in SUBSETS[s]]) for s in range(7)]
    assert largest_difference(loaded.model, model, mixed) <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_the_exported_pipeline_answers_like_the_first(backend, spectral, make_segment, repository, tmp_path):
    folder = export(spectral, tmp_path / "out", backend, [make_segment(s) for s in range(2)])
    sample = repository / "demo" / "samples" / "sample.mp4"
    one = emofuse.load(folder, backend=backend)(sample, transcript=sample.with_suffix(".srt"))
    other = emofuse.Pipeline(spectral)(sample, transcript=sample.with_suffix(".srt"))
    assert len(one.segments) == len(other.segments) == 3
    for p, q in zip(one.segments, other.segments, strict=True):
        assert p.emotions == pytest.approx(q.emotions, abs=1e-4) and p.present == q.present


@pytest.mark.filterwarnings("ignore:The given buffer is not writable:UserWarning")  # of torch.export.load
@pytest.mark.parametrize("reads", ["spectral", "raw", "pooled"])
def test_torch_programs_take_other_lengths(reads, request, make_segment, tmp_path):
    from emofuse.runtime.export.graphs import graphs

    model = request.getfixturevalue(reads)
    folder = export(model, tmp_path / "out", "torch", [make_segment(s) for s in range(2)])
    batch = collate([model.prepare(make_segment(s)) for s in range(2, 5)])
    for graph in graphs(model, batch, whole=False):
        program = torch.export.load(folder / "torch" / f"{graph.name}.pt2").module()
        with torch.no_grad():
            found, expected = program(*graph.example), graph.module(*graph.example)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_eight_bits_agree_and_are_smaller(backend, tiny_config, make_segment, tmp_path):
    model = saved(tiny_config, tmp_path / "model")
    examples = [make_segment(s) for s in range(12)]
    whole = export(model, tmp_path / "whole", backend, examples)
    eight = export(model, tmp_path / "eight", backend, examples, int8=True)
    kept = emofuse.load(eight, backend=backend).model
    assert largest_difference(kept, model, [make_segment(s) for s in range(20, 30)]) <= 0.1
    text = {"onnx": b"QuantizeLinear", "openvino": b"FakeQuantize"}[backend]
    files = [next((f / backend).glob("text.[ox]*")).read_bytes() for f in (eight, whole)]
    assert text in files[0] and text not in files[1]


def test_what_cannot_be_exported_says_why(spectral, make_segment, tmp_path):
    segments = [make_segment(s) for s in range(2)]
    with pytest.raises(EmofuseError, match="no format 'coreml'; valid: onnx, openvino, torch"):
        export(spectral, tmp_path / "out", "coreml", segments)
    with pytest.raises(EmofuseError, match="no example has face: 8 bits are calibrated"):
        export(spectral, tmp_path / "out", "onnx", [s.without("face") for s in segments], int8=True)
    with pytest.raises(EmofuseError, match="int8 goes with the formats onnx and openvino"):
        export(spectral, tmp_path / "out", "torch", segments, int8=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(EmofuseError, match="is there and is no model folder"):
        export(spectral, tmp_path / "mine", "onnx", segments)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"] and len(list(tmp_path.iterdir())) == 1


def test_a_folder_without_graphs_says_how_to_write_them(spectral, tmp_path):
    folder = spectral.save_pretrained(tmp_path / "plain")
    with pytest.raises(
        CheckpointError, match=r"holds no model for onnx; write one with: emofuse export .* --format onnx"
    ):
        emofuse.load(folder, backend="onnx")


def test_an_exported_model_has_no_gradients(spectral, make_segment, tmp_path):
    folder = export(spectral, tmp_path / "out", "onnx", [make_segment(s) for s in range(2)])
    model = emofuse.load(folder, backend="onnx")
    with pytest.raises(EmofuseError, match="explain with the torch model"):
        list(model.explain(text="i am so happy"))


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_eight_bits_keep_the_answers_on_a_dev_split(backend, repository, corpora_root, tmp_path):
    """Words of GoEmotions through the model that ships: agreement of the top label, and the metric's loss."""
    if not (corpora_root / "goemotions").is_dir():
        pytest.skip("no goemotions among the corpora")
    from emofuse.corpora.registry import corpus, read
    from emofuse.data.load import load_segment
    from emofuse.tasks import TASKS

    model = EmotionModel.from_pretrained("emofuse-small", lean=True)
    utterances = [u for u in read("goemotions", corpora_root / "goemotions", "dev").utterances if u.text]
    folded = [(u, corpus(u.corpus).fold(u.labels, TASKS["emotion"])) for u in utterances]
    labelled = [(u, t) for u, t in folded if not np.isnan(t).any()]
    chosen = [labelled[i] for i in np.linspace(0, len(labelled) - 1, 700).astype(int)]
    segments = [load_segment(u) for u, _ in chosen]
    truth = np.array([np.argmax(t) for _, t in chosen])
    others = [spoken(seconds) for seconds in (1, 2)]
    folder = export(model, tmp_path / "out", backend, [*segments[:32], *others], int8=True)
    eight = emofuse.load(folder, backend=backend).model

    def answers(of):
        batches = ([of.prepare(s) for s in segments[i : i + 50]] for i in range(100, 700, 50))
        return np.concatenate([of.answer(batch)[0].tasks["emotion"].argmax(1) for batch in batches])

    one, other = answers(model), answers(eight)
    assert (one == other).mean() >= 0.98
    assert (one == truth[100:]).mean() - (other == truth[100:]).mean() <= 0.01


@pytest.mark.slow
def test_a_folder_of_another_model_keeps_nothing_of_it(spectral, pooled, make_segment, tmp_path):
    other = EmotionModel.from_pretrained(pooled.save_pretrained(tmp_path / "other"), lean=True)
    deploy = export(other, tmp_path / "deploy", "onnx", beside=True)
    export(other, deploy, "torch")
    assert {"onnx", "torch", "model.safetensors"} <= {path.name for path in deploy.iterdir()}
    export(EmotionModel.from_pretrained(tmp_path / "other"), deploy, "onnx")  # the same, read another way
    assert (deploy / "torch").is_dir() and (deploy / "model.safetensors").is_file()
    export(spectral, deploy, "onnx")
    assert not (deploy / "torch").exists() and not (deploy / "model.safetensors").exists()
    export(spectral, deploy, "torch")
    assert (deploy / "onnx").is_dir()
    with pytest.raises(EmofuseError, match="holds the weights of another model"):
        export(spectral, tmp_path / "other", "onnx")
    segments = [make_segment(seed) for seed in range(3)]
    assert largest_difference(emofuse.load(deploy, backend="onnx").model, spectral, segments) <= 1e-4
