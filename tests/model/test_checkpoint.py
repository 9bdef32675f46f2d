"""A checkpoint folder describes itself, comes back the same, and is checked before it is believed."""

from __future__ import annotations

import json
import socket

import numpy as np
import pytest
import torch

from emofuse.batch import collate
from emofuse.errors import CheckpointError
from emofuse.model.folder import locate
from emofuse.model.model import EmotionModel


@pytest.fixture
def saved(tiny_model, tmp_path):
    return tiny_model.save_pretrained(tmp_path / "model", recipe="name: x\n", report={"uar": 0.5}, card="# x\n")


@pytest.fixture
def batch(tiny_model, make_segment):
    return collate([tiny_model.prepare(make_segment(i)) for i in range(3)])


def test_save_load_gives_the_same_output_without_any_network(tiny_model, saved, batch, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("loading reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    tiny_model.heads["emotion"].temperature[7] = 1.7
    tiny_model.save_pretrained(saved)
    loaded = EmotionModel.from_pretrained(saved)
    assert not loaded.training
    for name, values in tiny_model.predict(batch).tasks.items():
        np.testing.assert_array_equal(values, loaded.predict(batch).tasks[name])


def test_the_folder_holds_what_it_promises(saved):
    names = {p.name for p in saved.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "recipe.yaml", "report.json", "README.md"} <= names
    config = json.loads((saved / "config.json").read_text())
    assert config["tasks"][0]["classes"][0] == "neutral"
    assert config["emofuse_version"]
    assert not [p for p in saved.parent.iterdir() if p.name.startswith(".")], "no half-written folder is left"


def test_half_precision_is_half_the_size_and_near(tiny_model, saved, batch, tmp_path):
    half = tiny_model.save_pretrained(tmp_path / "half", dtype="float16")
    sizes = [(f / "model.safetensors").stat().st_size for f in (half, saved)]
    assert sizes[0] < 0.65 * sizes[1]
    loaded = EmotionModel.from_pretrained(half)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    np.testing.assert_allclose(
        tiny_model.predict(batch).tasks["emotion"], loaded.predict(batch).tasks["emotion"], atol=5e-3
    )


def test_saving_again_replaces_weights_and_keeps_other_files(tiny_model, saved):
    (saved / "curves.png").write_bytes(b"picture")
    for name in ("conformal.json", "familiarity.safetensors", "drift.json"):
        (saved / name).write_text("of the old weights")
    with torch.no_grad():
        tiny_model.fusion.queries.add_(1)
    tiny_model.save_pretrained(saved, report={"uar": 0.9})
    assert (saved / "curves.png").read_bytes() == b"picture"
    left = {path.name for path in saved.iterdir()}
    assert not left & {"conformal.json", "familiarity.safetensors", "drift.json"}
    assert json.loads((saved / "report.json").read_text()) == {"uar": 0.9}
    assert torch.equal(EmotionModel.from_pretrained(saved).fusion.queries, tiny_model.fusion.queries)


def test_a_failed_save_leaves_the_old_folder_whole(tiny_model, saved, monkeypatch):
    before = (saved / "model.safetensors").read_bytes()
    with pytest.raises(TypeError):
        tiny_model.save_pretrained(saved, report={"bad": object()})
    assert (saved / "model.safetensors").read_bytes() == before
    assert sorted(p.name for p in saved.parent.iterdir()) == ["model"]


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(("former", "now"), [("own", "passthrough"), ("corrected", "corrected")])
def test_the_former_name_of_unimodal_is_read_and_not_written(saved, tmp_path, former, now):
    fusion = json.loads((saved / "config.json").read_text())["fusion"]
    del fusion["unimodal"]
    edit(saved, fusion=fusion | {"alone": former})
    loaded = EmotionModel.from_pretrained(saved)
    assert loaded.config.fusion.unimodal == now
    again = json.loads((loaded.save_pretrained(tmp_path / "again") / "config.json").read_text())
    assert again["fusion"]["unimodal"] == now and "alone" not in again["fusion"]


def test_another_schema_version_is_a_clear_error(saved):
    edit(saved, schema_version=99)
    with pytest.raises(CheckpointError, match=r"schema_version 99, this emofuse reads 1; upgrade emofuse"):
        EmotionModel.from_pretrained(saved)


def test_another_label_space_is_a_clear_error(saved):
    tasks = json.loads((saved / "config.json").read_text())["tasks"]
    tasks[0]["classes"] = tasks[0]["classes"][::-1]
    edit(saved, tasks=tasks)
    with pytest.raises(CheckpointError, match="label space of task 'emotion' is"):
        EmotionModel.from_pretrained(saved)


def test_an_unknown_field_is_a_clear_error(saved):
    edit(saved, colour="blue")
    with pytest.raises(CheckpointError, match=r"colour: Extra inputs are not permitted"):
        EmotionModel.from_pretrained(saved)


def test_weights_that_do_not_fit_are_a_clear_error(saved):
    config = json.loads((saved / "config.json").read_text())
    edit(saved, fusion=config["fusion"] | {"layers": 3})
    with pytest.raises(CheckpointError, match="does not fit"):
        EmotionModel.from_pretrained(saved)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "holds no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "not valid JSON"),
        (lambda f: (f / "config.json").write_text('{"model_type": "bert"}'), "not an emofuse configuration"),
        (lambda f: (f / "model.safetensors").unlink(), "holds no model.safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x00" * 40), "the file is damaged"),
    ],
)
def test_damaged_folders_are_clear_errors(saved, spoil, message):
    spoil(saved)
    with pytest.raises(CheckpointError, match=message):
        EmotionModel.from_pretrained(saved)


def rewritten(name, change):
    """Changes a JSON file of the folder."""

    def spoil(folder):
        path = folder / name
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return spoil


def cut(name, share=0.5):
    """Cuts a file of the folder off."""

    def spoil(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * share)])

    return spoil


def architecture(modality, **changes):
    def change(config):
        config["encoders"][modality]["architecture"] |= changes
        return config

    return rewritten("config.json", change)


def without_unknown(tokenizer):
    del tokenizer["model"]["vocab"]["[UNK]"]
    return tokenizer


def beyond_the_weights(tokenizer):
    tokenizer["model"]["vocab"]["happy"] = 400
    return tokenizer


SCORES = {"text": {"emotion": {"method": "lac", "classes": ["a"], "scores": {"": [0.5]}}}}


@pytest.mark.parametrize("lean", [True, False])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut("tokenizer.json"), "cannot be built into a model .*tokenizer is damaged"),
        (cut("tokenizer.json", 0.0), "cannot be built into a model"),
        (lambda f: (f / "tokenizer.json").write_bytes(b"\xff\x00" * 99), "cannot be built into a model"),
        (rewritten("tokenizer.json", lambda _: {}), "cannot be built into a model"),
        (rewritten("tokenizer.json", lambda _: []), "cannot be built into a model"),
        (rewritten("tokenizer.json", without_unknown), "cannot be built into a model"),
        (rewritten("tokenizer.json", beyond_the_weights), "knows a piece of number 400, the model has 120"),
        (cut("tokenizer_config.json"), "cannot be built into a model"),
        (rewritten("tokenizer_config.json", lambda _: [1]), "cannot be built into a model"),
        (lambda f: (f / "tokenizer_config.json").write_text("[" * 100_000), "cannot be built into a model"),
        (lambda f: [p.unlink() for p in f.glob("token*")], "cannot be built into a model"),
        (lambda f: (f / "config.json").write_text("[" * 100_000), "not valid JSON"),
        (lambda f: (f / "config.json").write_text('{"schema_version": ' + "9" * 5000 + "}"), "not valid JSON"),
        (lambda f: (f / "config.json").write_bytes(b"\xff\xfe"), "not valid JSON"),
        (lambda f: edit(f, tasks=None), "tasks: .*the folder is damaged"),
        (lambda f: edit(f, tasks=[{"name": "a.b", "kind": "scalar"}]), "tasks.0.name: .*the folder is damaged"),
        (lambda f: edit(f, encoders={"fa.ce": {"kind": "features", "width": 3}}), "a modality is named by a word"),
        (architecture("text", num_hidden_layers=10**20), "num_hidden_layers is 10{20}; at most 1,000 is built"),
        (architecture("text", hidden_size=10**9), "hidden_size is 10{9}; at most 10,000,000 is built"),
        (architecture("text", num_attention_heads=0), "hidden_size 16 is no multiple of num_attention_heads 0"),
        (architecture("text", hidden_size="wide"), "hidden_size 'wide' is no multiple"),
        (architecture("text", model_type="nothing"), "cannot be built into a model"),
        (architecture("text", hidden_act="nothing"), "cannot be built into a model"),
        (architecture("speech", conv_depthwise_kernel_size="wide"), "cannot be built into a model"),
        (architecture("face", patch_size=0), "cannot be built into a model"),
        (architecture("face", depth=10**12), "depth is 10{12}; at most 1,000 is built"),
        (cut("model.safetensors", 0.9), "the file is damaged"),
        (cut("model.safetensors", 0.001), "the file is damaged"),
        (lambda f: (f / "conformal.json").write_text(json.dumps(SCORES)), r"are of emotion \['a'\], the model's"),
        (lambda f: (f / "conformal.json").write_text(json.dumps(SCORES)[:-9]), "holds no conformal scores"),
        (lambda f: (f / "conformal.json").write_text("[" * 100_000), "holds no conformal scores"),
        (lambda f: (f / "conformal.json").write_text(json.dumps(SCORES).replace("lac", "raps")), "method 'raps'"),
        (lambda f: (f / "conformal.json").write_text(json.dumps(SCORES).replace("0.5", "NaN")), "no finite numbers"),
    ],
)
def test_whatever_is_damaged_in_a_folder_is_a_clear_error(saved, spoil, message, lean):
    spoil(saved)
    with pytest.raises(CheckpointError, match=message):
        EmotionModel.from_pretrained(saved, lean=lean)


def test_a_name_that_is_nowhere_says_what_is_valid():
    with pytest.raises(CheckpointError, match=r"no model 'emofuse-huge': give a name shipped with emofuse"):
        locate("emofuse-huge")


def test_a_hub_id_that_cannot_be_reached_says_so(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=r"hub repository of that name could not be read"):
        locate("nobody/nothing")


def test_push_uploads_what_save_writes(tiny_model, monkeypatch):
    sent = {}

    class Api:
        def __init__(self, token=None):
            sent["token"] = token

        def create_repo(self, repo_id, **options):
            sent["repo"] = (repo_id, options)

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            sent["files"] = {p.name for p in folder_path.iterdir()}
            return f"address of {repo_id}"

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    assert tiny_model.push_to_hub("me/mine", private=True, token="t", card="# x\n") == "address of me/mine"
    assert sent["repo"] == ("me/mine", {"private": True, "exist_ok": True})
    assert {"config.json", "model.safetensors", "README.md", "tokenizer.json"} <= sent["files"]
