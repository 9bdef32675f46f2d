"""What was handed in as items, and how they are cut into shards."""

from __future__ import annotations

import json
import os

import fsspec
import pytest

from emofuse.batch_jobs.plan import LARGEST, MIB, Item, digest_of, gather, read_shard, shards, write_plan
from emofuse.errors import DataError, MediaError


@pytest.fixture
def folder(tmp_path):
    home = tmp_path / "clips"
    (home / "later").mkdir(parents=True)
    for name in ("a.mp4", "b.wav", "later/c.mp4", "a.srt", "note.txt"):
        (home / name).write_bytes(b"some words")
    return home


def test_folders_patterns_and_files_give_each_clip_once_with_the_words_beside_it(folder):
    items = gather([str(folder), str(folder / "a.mp4"), str(folder / "**" / "*.mp4"), str(folder / "b.wav")])
    assert [item.id.removeprefix(str(folder)) for item in items] == ["/a.mp4", "/b.wav", "/later/c.mp4", "/note.txt"]
    assert items[0].transcript == str(folder / "a.srt") and items[0].sidecar
    alone = gather([str(folder)], sidecars=False)
    assert [i.id for i in alone] == [i.id for i in gather([str(folder)])]
    assert not any(i.transcript or i.sidecar for i in alone)
    assert [item.transcript for item in items[1:]] == [None, None, None]
    assert [i.id for i in gather([str(folder / "*.mp4")])] == [str(folder / "a.mp4")]
    with pytest.raises(MediaError, match="nothing matches"):
        gather([str(folder / "*.mov")])
    with pytest.raises(MediaError, match=r"calls: there is no such file; check the spelling"):
        gather([str(folder), str(folder / "calls")])


def test_a_table_may_name_one_clip_often_but_ids_differ(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("id,media,transcript\none,a.mp4,x\ntwo,a.mp4,y\n")
    assert [(i.id, i.media, i.transcript) for i in gather([str(table)])] == [
        ("one", str(tmp_path / "a.mp4"), "x"),
        ("two", str(tmp_path / "a.mp4"), "y"),
    ]
    table.write_text("id,text\none,a\none,b\n")
    with pytest.raises(DataError, match="the id 'one' is that of items 1 and 2; make them differ"):
        gather([str(table)])
    table.write_text("id,text\n")
    with pytest.raises(DataError, match="nothing to analyse"):
        gather([str(table)])


def test_addresses_are_listed_and_have_words_beside_them():
    store = fsspec.filesystem("memory")
    for name in ("calls/a.wav", "calls/a.srt", "calls/b.wav", "calls/deep/c.wav", "calls/read.me"):
        store.pipe(f"/{name}", b"x")
    found = gather(["memory://calls"])
    assert [item.id for item in found] == [f"memory:///calls/{name}" for name in ("a.wav", "b.wav", "deep/c.wav")]
    assert found[0].transcript == "memory:///calls/a.srt" and found[1].transcript is None
    assert [i.id for i in gather(["memory://calls/*.wav"])] == ["memory:///calls/a.wav", "memory:///calls/b.wav"]
    assert [i.id for i in gather(["https://example.org/a.mp4?x=1"])] == ["https://example.org/a.mp4?x=1"]
    store.pipe("/t/t.csv", b"media,text\na.wav,\n,so sad\n")
    one, other = gather(["memory://t/t.csv"])
    assert one.media == "memory://t/a.wav" and other.text == "so sad"
    with pytest.raises(DataError, match="holds no media"):
        gather(["memory://calls/*.mp4"])
    with pytest.raises(DataError, match="cannot open nosuch://a"):
        gather(["nosuch://a"])


def test_shards_follow_from_the_items_alone():
    texts = [Item(f"t{i}", text="so sad") for i in range(1000)]
    cut = list(shards(texts, sum(i.weight for i in texts)))
    assert [item for shard in cut for item in shard] == texts and {len(shard) for shard in cut[:-1]} == {63}
    many = [Item(f"c{i}", media=f"s3://b/{i}.mp4") for i in range(10_000)]
    assert {len(shard) for shard in shards(many, sum(i.weight for i in many))} == {LARGEST // (4 * MIB)}
    assert digest_of(cut[0]) == digest_of([Item(f"t{i}", text="so sad") for i in range(63)]) != digest_of(cut[1])
    assert digest_of(cut[0]) != digest_of([Item("t0", text="so Sad"), *cut[0][1:]])


def test_a_plan_is_read_as_it_was_written(tmp_path):
    extras = [{"n": 1, "who": "a"}, {"n": 2}, {}]
    items = [
        Item("a", media="/a.mp4", transcript="/a.srt", sidecar=True, extras=extras[0]),
        Item("b", text="so sad", context=["A: hi"], start=1.5, problem="bad", extras=extras[1]),
        Item("c", text="", speaker="ANN", channel="1", extras=extras[2]),
    ]
    write_plan(tmp_path / "plan.parquet", [items[:2], items[2:]])
    back = [*read_shard(tmp_path / "plan.parquet", 0), *read_shard(tmp_path / "plan.parquet", 1)]
    full = [{"n": None, "who": None} | e for e in extras]
    assert [vars(b) for b in back] == [vars(i) | {"extras": e} for i, e in zip(items, full, strict=True)]


def test_a_file_whose_name_is_not_utf8_is_set_aside_and_the_others_stay(tmp_path):
    home = os.fsencode(tmp_path)
    for name in (b"a\nb.wav", b"\xff.wav", b"\xfe.wav", "\u4f60.wav".encode()):
        with open(os.path.join(home, name), "wb") as file:  # noqa: PTH118, PTH123  # of bytes
            file.write(b"sound")
    items = gather([str(tmp_path)])
    write_plan(tmp_path / "plan.parquet", [items])
    found = {item.id.removeprefix(f"{tmp_path}/"): item.problem for item in read_shard(tmp_path / "plan.parquet", 0)}
    assert set(found) == {"a\nb.wav", "\u4f60.wav", r"\xff.wav", r"\xfe.wav"}
    assert found["a\nb.wav"] is found["\u4f60.wav"] is None
    assert "its name is not UTF-8, which tables hold; rename it" in (found[r"\xff.wav"] or "")


def test_rows_that_say_more_than_their_file_stay_beside_it(folder, tmp_path):
    clip, table = str(folder / "b.wav"), tmp_path / "t.csv"
    table.write_text(f"id,media,transcript,start\nown,{clip},,\n,{clip},Hello there.,\n,{clip},,soon\n,{clip},,\n")
    found = gather([clip, str(table)])
    assert [item.id for item in found] == [clip, "own", "t:2", "t:3"], "the bare row alone is the file"
    assert found[2].transcript == "Hello there." and "not a number of seconds" in (found[3].problem or "")
    bare = tmp_path / "bare.csv"
    bare.write_text(f"media\n{clip}\n{clip}\n")
    assert [item.id for item in gather([str(bare), clip])] == ["bare:1", "bare:2"], "a row in is a row out"


def test_columns_that_parquet_has_no_type_for_are_carried_as_json(tmp_path):
    rows = [{"text": "hi", "a": {}, "b": {"c": {}}, "d": [{}], "e": {"f": 1}}] * 2
    table = tmp_path / "t.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)))
    write_plan(tmp_path / "plan.parquet", [gather([str(table)])])
    (first, _) = read_shard(tmp_path / "plan.parquet", 0)
    assert first.extras == {"a": "{}", "b": '{"c": {}}', "d": "[{}]", "e": {"f": 1}}


def test_a_name_that_begins_with_a_tilde_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~tmp.wav").write_bytes(b"x")
    assert [item.id for item in gather(["~tmp.wav"])] == ["~tmp.wav"]
