"""`emofuse similar` over a batch with embeddings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def job(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve texts of three kinds, with their embeddings."""
    import pyarrow.parquet as parquet

    from emofuse.batch_jobs.job import JobOptions, begin
    from emofuse.batch_jobs.plan import Item
    from emofuse.batch_jobs.rows import clip_row, clip_table, segment_rows, segment_table
    from emofuse.model.model import EmotionModel
    from emofuse.pipeline.pipeline import Pipeline

    pipeline = Pipeline(EmotionModel.from_pretrained(model_folder))
    texts = ["i am so happy", "sad sad", "this is not great terrible"]
    items = [Item(f"t{i}", text=f"{texts[i % 3]} {'!' * (i // 3)}") for i in range(12)]
    folder = tmp_path_factory.mktemp("jobs") / "out"
    made = begin(folder, items, JobOptions(model=str(model_folder), embeddings=True), "tiny", ["texts.csv"])
    shapes = [pipeline(text=item.text) for item in items]
    for shard in made.shards:
        own = made.read(shard)
        pairs = [(item, shapes[int(item.id[1:])]) for item in own]
        rows = [row for item, shape in pairs for row in segment_rows(item, shape, True)]
        clips = [clip_row(item, shape, 1) for item, shape in pairs]
        parquet.write_table(segment_table(rows, pipeline.model, ["embedding"]), made.part("segments", shard))
        parquet.write_table(clip_table(clips, pipeline.model, {}), made.part("clips", shard))
    return folder


def test_a_segment_a_text_and_clusters(run, job):
    code, out, err = run("similar", "t0", job, "--most", 3, "--clusters", 3, "--json", "-")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert len(found["near"]) == 3 and "t0" not in {row["id"] for row in found["near"]}
    assert sum(group["n"] for group in found["clusters"]) == 12
    code, out, err = run("similar", "sad sad ", job, "--text", "--most", 1, "--device", "cpu")
    assert (code, err) == (0, "") and "t1#0  sad sad" in out and out.startswith("+1.000")
    code, out, _ = run("similar", "-", job, "--clusters", 2)
    assert code == 0 and out.count("cluster ") == 2 and "for example t" in out


def test_what_is_not_there_is_named(run, job, tmp_path):
    code, out, err = run("similar", "t99", job)
    assert (code, out) == (2, "") and "neither a file nor an id of the batch" in err
    code, out, err = run("similar", "t0", tmp_path)
    assert (code, out) == (2, "") and "job.json" in err
