"""`emofuse export` and `emofuse prune` from the command line."""

from __future__ import annotations

import json


def test_a_model_is_exported_and_predicts(run, model_folder, tmp_path):
    code, out, err = run("export", model_folder, tmp_path / "out", "--format", "onnx")
    assert (code, err) == (0, "") and str(tmp_path / "out") in out
    manifest = json.loads((tmp_path / "out" / "onnx" / "export.json").read_text())
    assert manifest["precision"] == "float32" and set(manifest["graphs"]) == {"text", "speech", "face", "fusion"}

    import emofuse

    assert emofuse.load(tmp_path / "out", backend="onnx")(text="i am so happy").overall is not None


def test_eight_bits_need_data(run, model_folder, tmp_path):
    code, _, err = run("export", model_folder, tmp_path / "out", "--int8")
    assert code == 2 and "name each corpus with --corpus and its folder with --root" in err


def test_layers_are_left_out(run, model_folder, tmp_path):
    code, out, _ = run("prune", model_folder, tmp_path / "less", "--keep", "text=1", "--keep", "face=1")
    assert code == 0 and str(tmp_path / "less") in out
    config = json.loads((tmp_path / "less" / "config.json").read_text())
    assert config["encoders"]["text"]["architecture"]["num_hidden_layers"] == 1
    code, _, err = run("prune", model_folder, tmp_path / "more", "--keep", "ears=1")
    assert code == 2 and "'ears=1' is not MODALITY=LAYERS" in err
    code, _, err = run("prune", model_folder, tmp_path / "more", "--keep", "text=²")
    assert code == 2 and "'text=²' is not MODALITY=LAYERS" in err


def test_info_of_graphs_says_what_their_export_says(run, model_folder, tmp_path):
    assert run("export", model_folder, tmp_path / "out", "--format", "torch")[0] == 0
    code, out, err = run("info", tmp_path / "out")
    assert (code, err) == (0, "") and " million, " in out and "(torch, float32)" in out and "UAR 0.512" in out
    (tmp_path / "out" / "torch" / "export.json").write_text('{"parameters": "many"}')
    code, out, err = run("info", tmp_path / "out")
    assert (code, out) == (2, "") and "write it again with: emofuse export" in err and err.count("\n") == 1
