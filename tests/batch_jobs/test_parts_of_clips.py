"""Rows that are about a part of a clip, its stretch or its channel, and the acts, rules and labels of a job."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import emofuse
from emofuse.batch_jobs.engine import Engine
from emofuse.batch_jobs.job import JobOptions
from emofuse.batch_jobs.outputs import write_failures, write_tables
from emofuse.batch_jobs.plan import MIB, gather
from emofuse.batch_jobs.review import reasons_of
from emofuse.batch_jobs.run import open_job
from emofuse.errors import DataError
from emofuse.media.decode import read_audio
from emofuse.pipeline.conversation.acts import parse_acts
from emofuse.pipeline.prototypes import labels_to_text
from emofuse.pipeline.rules import read_rules
from emofuse.types import SAMPLE_RATE

ACTS = """
acts:
  - name: says sad
    do: soothe
    when: {words: [sad]}
    say: "{speaker} said {words}"
  - name: never sure
    do: ask
    when: {emotion: [joy]}
  - name: valued
    do: escalate
    when: {values: {valence: {below: 2}}}
"""


@pytest.fixture
def job_of(model_folder, tmp_path):
    """Runs a job on a table to its end: its folder and its rows of clips and segments."""

    def call(rows_of, name, content, **more):
        table = tmp_path / f"{name}.csv"
        table.write_text(content)
        options = JobOptions(model=str(model_folder), device="cpu", **more)
        job = open_job(tmp_path / f"{name}-out", [str(table)], options)
        engine = Engine(job, readers=2)
        assert all(engine.run(shard, lambda *_: None) for shard in job.shards)
        return job, *(rows_of(job.folder, kind).to_pylist() for kind in ("clips", "segments"))

    return call


@pytest.fixture(scope="module")
def pipeline(model_folder):
    return emofuse.load(str(model_folder), device="cpu")


def test_a_row_may_be_a_stretch_of_a_clip(job_of, rows_of, pipeline, sample: Path):
    words = sample.with_suffix(".srt")
    rows = [f"a,{sample},{words},1.95,3.9", f"b,{sample},{words},3.9,", f"c,{sample},{words},,2", f"d,{sample},,50,"]
    rows += [f"e,{sample},,3,3", "f,,so sad,1,", f"g,{sample},,1,90", f"h,{sample},,0:01,-2"]
    job, clips, segments = job_of(rows_of, "parts", "\n".join(["id,media,transcript,start,end", *rows]))
    for name, start, end in (("a", 1.95, 3.9), ("b", 3.9, None), ("c", None, 2.0)):
        local = pipeline(sample, transcript=str(words), start=start, end=end)
        mine = [row for row in segments if row["id"] == name]
        assert [(r["start"], r["end"], r["text"]) for r in mine] == [
            (round(p.start, 3), round(p.end, 3), local.words_of(p)) for p in local
        ]
        for row, p in zip(mine, local, strict=True):
            assert row["emotions.joy"] == pytest.approx(p.emotions["joy"], abs=1e-4)
    told = {row["id"]: row for row in clips}
    assert (told["a"]["start"], told["a"]["end"], told["a"]["duration"]) == (1.95, 3.9, 1.95)
    assert told["b"]["end"] is None and "stretch" in told["b"]["note_codes"]
    assert "start is 50 s, and the clip ends at" in told["d"]["error"]
    assert "end is 3 s, which is not after start" in told["e"]["error"]
    assert "the row has no media" in told["f"]["error"] and "end is 90 s, and the clip ends" in told["g"]["error"]
    write_failures(job)
    failed = [json.loads(line) for line in (job.folder / "failed.jsonl").read_text().splitlines()]
    starts = [("d", 50.0), ("e", 3.0), ("f", 1.0), ("g", 1.0), ("h", "0:01")]
    assert [(row["id"], row.get("start")) for row in failed] == starts and failed[-1]["end"] == "-2"
    (*_, again) = gather([str(job.folder / "failed.jsonl")])
    assert again.problem == "start is '0:01', not a number of seconds", "run again, it is not taken for the whole clip"


def test_rows_of_one_clip_are_weighed_by_their_stretch_and_none_is_left_out(tmp_path):
    clip = tmp_path / "long.mp4"
    with clip.open("wb") as file:
        file.truncate(400 * MIB)
    (tmp_path / "long.txt").write_text("all its words, without times")
    table = tmp_path / "t.csv"
    table.write_text("media,start,end\nlong.mp4,0,8\nlong.mp4,8,\nlong.mp4,,\n")
    file, *rows, again = [*gather([str(clip)]), *gather([str(table)])]
    assert [row.weight for row in rows] == [2 * MIB, 400 * MIB] and again.weight == file.weight
    assert [row.transcript is None for row in (*rows, again)] == [True, True, False]
    assert [item.start for item in gather([str(clip), str(table)])] == [None, 0.0, 8.0], "the bare row is the file"


def test_a_row_may_be_a_channel_by_number_or_name(job_of, rows_of, sample, tmp_path):
    voice = read_audio(sample)
    agent, customer = voice.copy(), voice.copy()
    agent[31_000:] = customer[:31_000] = 0
    soundfile.write(tmp_path / "call.wav", np.stack([agent, customer], 1), SAMPLE_RATE)
    soundfile.write(tmp_path / "mono.wav", customer, SAMPLE_RATE)
    content = "id,media,channel\none,call.wav,1.0\nalone,mono.wav,\nzero,call.wav,0\nno,call.wav,customer\n"
    _, clips, segments = job_of(rows_of, "numbers", content)
    joys = {name: [r["emotions.joy"] for r in segments if r["id"] == name] for name in ("one", "alone", "zero")}
    assert joys["one"] == pytest.approx(joys["alone"], abs=1e-3) and joys["zero"] and joys["zero"] != joys["one"]
    assert clips[0]["channel"] == "1" and "channel is 'customer'; valid: a number from 0 to 1" in clips[3]["error"]
    content = "id,media,channel,text\na,call.wav,customer,\nb,call.wav,0,\nboth,call.wav,,\nwords,,,so sad\n"
    _, clips, segments = job_of(rows_of, "names", content, channels=("agent", "customer"))
    spoken = {name: {r["speaker"] for r in segments if r["id"] == name} for name in ("a", "b", "both", "words")}
    assert spoken == {"a": {"customer"}, "b": {"agent"}, "both": {"agent", "customer"}, "words": {None}}
    assert not any(row["error"] for row in clips)


def test_acts_fire_in_a_job_as_they_do_in_a_pipeline(job_of, rows_of, model_folder, tmp_path):
    text = "ANN: I am so sad.\nBEN: This is great!\nANN: sad, sad"
    content = f'id,text\na,"{text}"\nb,so happy\n'
    job, clips, segments = job_of(rows_of, "acts", content, acts=ACTS, formats=("csv", "json"))
    pipeline = emofuse.load(str(model_folder), device="cpu", acts=parse_acts(ACTS))
    local = pipeline(text=text)
    fired = [firing.to_dict() for firing in local.acts]
    assert [f["act"] for f in fired] == ["says sad", "says sad"]
    mine = [f | {"because": json.loads(f["because"])} for f in clips[0]["acts"]]
    assert mine == fired and clips[1]["acts"] == []
    by_segment = [[f["say"] for f in row["acts"]] for row in segments if row["id"] == "a"]
    assert by_segment == [["ANN said sad"], [], ["ANN said sad"]]
    assert {n.values["act"] for n in local.notes if n.code == "acts_abstained"} == {"never sure", "valued"}
    assert all("acts_abstained" in row["note_codes"] for row in clips), "the model has no sets and no valence"
    write_tables(job)
    assert "ANN said sad" in (job.folder / "clips.csv").read_text()
    (answer,) = [json.loads(p.read_text()) for p in (job.folder / "json").glob("a.json")]
    assert answer["acts"] == fired
    with pytest.raises(DataError, match=r"begun otherwise: acts [0-9a-f]{8}, now none"):
        open_job(job.folder, [str(tmp_path / "acts.csv")], JobOptions(model=str(model_folder), device="cpu"))


def test_a_job_without_acts_has_no_column_of_them_and_wrong_acts_begin_none(job_of, rows_of):
    _, clips, segments = job_of(rows_of, "plain", "id,text,acts\na,so sad,mine\n")
    assert "acts" not in segments[0] and clips[0]["given.acts"] == "mine"
    with pytest.raises(DataError, match=r"acts, act 1 \(x\): do is 'sing'"):
        JobOptions(acts="acts: [{name: x, do: sing, when: {words: [a]}}]")
    with pytest.raises(DataError, match="aliases"):
        JobOptions(acts="a: &a [1]\nacts: [*a, *a]")


def test_rules_change_a_job_as_they_do_a_pipeline_and_are_part_of_what_it_is(job_of, rows_of, model_folder, tmp_path):
    (tmp_path / "words.csv").write_text("word,emotion,strength,valence\nsad,sadness,2,-1\nc++,anger,1,\n")
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: [{name: refund, when: {words: refund}, then: {emotion: anger}}]\nlexicon: words.csv\n")
    text = "ANN: so sad\nBEN: a refund of c++"
    content = f'id,text,rules\na,"{text}",mine\nb,great,mine\n'
    job, clips, segments = job_of(rows_of, "ruled", content, rules=read_rules(rules).to_text(), formats=("csv",))
    local = emofuse.load(str(model_folder), device="cpu", rules=rules)(text=text)
    assert [p.rules for p in local] == [("“sad”",), ("refund", "“c++”")]
    mine = [row for row in segments if row["id"] == "a"]
    assert [tuple(row["rules"]) for row in mine] == [p.rules for p in local]
    for row, p in zip(mine, local, strict=True):
        assert row["emotions.anger"] == pytest.approx(p.emotions["anger"], abs=1e-6)
    assert clips[0]["rules"] == ["“sad”", "refund", "“c++”"] and not clips[1]["rules"]
    assert '"rules"' in clips[0]["note_codes"] and clips[0]["given.rules"] == "mine"
    write_tables(job)
    assert "“c++”" in (job.folder / "clips.csv").read_text()
    assert reasons_of(mine, {}, 0.9)[1] == ("rule refund", "rule “c++”"), "a review names them"
    (tmp_path / "words.csv").write_text("word,emotion\nsad,fear\n")
    with pytest.raises(DataError, match=r"begun otherwise: rules [0-9a-f]{8}, now [0-9a-f]{8}"):
        changed = JobOptions(model=str(model_folder), device="cpu", rules=read_rules(rules).to_text(), formats=("csv",))
        open_job(job.folder, [str(tmp_path / "ruled.csv")], changed)
    other = job_of(rows_of, "other", content, rules=read_rules(rules).to_text(), formats=("csv",))[0]
    assert other.parts != job.parts, "a part's name tells the words that its rows rest on"
    with pytest.raises(DataError, match="no other file is read"):
        JobOptions(rules="lexicon: words.csv")


def test_labels_by_prototype_are_columns_of_a_job_and_part_of_what_it_is(
    job_of, rows_of, model_folder, tmp_path, sample, monkeypatch
):
    monkeypatch.setattr("emofuse.pipeline.prototypes.ALIKE", 2.0)  # of random weights, all are much alike
    given = {"glee": ["this is great"], "so. so": ["so so sad. terrible"]}
    content = f'id,media,text,by_prototype.mine\na,,"ANN: so sad\nBEN: great",7\nb,{sample},so sad. great,7\nc,,,7\n'
    job, clips, segments = job_of(rows_of, "labelled", content, labels=labels_to_text(given), formats=("csv",))
    pipeline = emofuse.load(str(model_folder), device="cpu", labels=given)
    for name, inputs in (
        ("a", {"text": "ANN: so sad\nBEN: great"}),
        ("b", {"source": sample, "text": "so sad. great"}),
    ):
        local, mine = pipeline(**inputs), [row for row in segments if row["id"] == name]
        assert len(local.segments) == len(mine) and any(p.by_prototype for p in local)
        for row, p in zip(mine, local, strict=True):
            for label in given:
                assert row[f"by_prototype.{label}"] == pytest.approx(p.by_prototype.get(label), abs=1e-6)
    assert clips[0]["by_prototype.glee"] is not None and clips[2]["by_prototype.glee"] is None
    assert '"by_prototype"' in clips[0]["note_codes"] and clips[0]["given.by_prototype.mine"] == 7
    assert not any(row["more"] for row in (*clips, *segments))
    write_tables(job)
    assert "by_prototype.so. so" in (job.folder / "segments.csv").read_text().splitlines()[0]
    with pytest.raises(DataError, match=r"begun otherwise: labels [0-9a-f]{8}, now none"):
        options = JobOptions(model=str(model_folder), device="cpu", formats=("csv",))
        open_job(job.folder, [str(tmp_path / "labelled.csv")], options)
    with pytest.raises(DataError, match="a label is a word or a few"):
        JobOptions(labels="[1]")
