"""A pipeline's checkpoint: loaded, saved, shared."""

from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.errors import EmofuseError, OutputError
from emofuse.pipeline.pipeline import Pipeline


def test_what_is_saved_is_what_was_loaded(pipeline: Pipeline, tmp_path: Path):
    source = pipeline.model.save_pretrained(tmp_path / "mine", card="---\nlicense: mit\n---\n# mine\n")
    loaded = Pipeline.from_pretrained(source, device="cpu")
    assert loaded.name == "mine" and loaded.folder == source
    copy = loaded.save_pretrained(tmp_path / "copy")
    assert {p.name: p.read_bytes() for p in copy.iterdir()} == {p.name: p.read_bytes() for p in source.iterdir()}
    again = Pipeline.from_pretrained(copy, device="cpu")
    assert again(text="so happy").overall.emotions == loaded(text="so happy").overall.emotions
    with pytest.raises(OutputError, match="it is also an input"):
        loaded.save_pretrained(source)


def test_a_push_uploads_the_folder_with_its_card(pipeline: Pipeline, tmp_path: Path, monkeypatch):
    sent = {}

    class Api:
        def __init__(self, token=None):
            sent["token"] = token

        def create_repo(self, repo_id, **options):
            sent["repo"] = (repo_id, options)

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            sent["files"] = {p.name for p in Path(folder_path).iterdir()}
            return f"address of {repo_id}"

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    loaded = Pipeline.from_pretrained(pipeline.model.save_pretrained(tmp_path / "mine", card="# mine\n"), device="cpu")
    assert loaded.push_to_hub("me/mine", private=True, token="t") == "address of me/mine"
    assert sent["repo"] == ("me/mine", {"private": True, "exist_ok": True}) and sent["token"] == "t"
    assert {"config.json", "model.safetensors", "README.md"} <= sent["files"]


def test_a_pipeline_around_a_model_of_ones_own_says_who_can_save_it(pipeline: Pipeline, tmp_path: Path):
    for share in (lambda: pipeline.save_pretrained(tmp_path / "x"), lambda: pipeline.push_to_hub("me/mine")):
        with pytest.raises(EmofuseError, match="was not loaded from a checkpoint; its model has the same method"):
            share()


def test_embeddings_are_a_column_where_they_are_asked_for(analysis, tmp_path: Path):
    import pandas

    assert "embedding" not in analysis.to_dataframe()
    analysis.to_dataframe(embeddings=True).to_parquet(tmp_path / "e.parquet")
    assert [list(v) for v in pandas.read_parquet(tmp_path / "e.parquet")["embedding"]] == [[1.0, 0.0]] * 3
