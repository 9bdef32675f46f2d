"""Anyone's own data: what is read, and every bad row with its mend."""

from __future__ import annotations

import csv
import io
import json
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emofuse.corpora.manifest.reader import check_manifest
from emofuse.corpora.manifest.write import write_manifest
from emofuse.corpora.registry import corpus, read
from emofuse.errors import DataError
from emofuse.types import Utterance

GOOD = """id,media,start,end,text,speaker,dialogue,split,emotion,valence
a,clips/one.wav,0.1,0.4,"Well, yes",Ann,d1,train,joy,0.5
b,clips/one.wav,0.4,,No,Bob,d1,train,,-0.5
c,,,,Maybe,Cy,d2,dev,"{""joy"": 1, ""neutral"": 3}",
"""


@pytest.fixture
def folder(make, tmp_path) -> Path:
    make.sound(tmp_path / "clips" / "one.wav", 0.5)
    return tmp_path


def test_a_manifest_is_read_as_it_says(folder, make):
    found = read("manifest", make.text(folder / "my.csv", GOOD))
    one, two, three = found.utterances
    assert one == Utterance(
        "a", "manifest", "train", "Ann", "d1", folder / "clips" / "one.wav", 0.1, 0.4, "Well, yes", (),
        {"emotion": "joy", "valence": 0.5},
    )  # fmt: skip
    assert (two.end, two.labels, two.context) == (None, {"valence": -0.5}, ("Ann: Well, yes",))
    assert (three.media, three.labels, three.split) == (None, {"emotion": {"joy": 1, "neutral": 3}}, "dev")
    assert check_manifest(folder / "my.csv") == []


def test_the_three_formats_read_alike(folder, make):
    from_csv = read("manifest", make.text(folder / "my.csv", GOOD)).utterances
    rows = [
        {"id": u.id, "media": "clips/one.wav" if u.media else None, "start": u.start, "end": u.end, "text": u.text,
         "speaker": u.speaker, "dialogue": u.dialogue, "split": u.split, **u.labels}
        for u in from_csv
    ]  # fmt: skip
    lines = "\n".join(json.dumps(row) for row in rows)
    assert read("manifest", make.text(folder / "my.jsonl", lines)).utterances == from_csv
    with (folder / "my.tsv").open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows(csv.reader(io.StringIO(GOOD)))
    assert read("manifest", folder / "my.tsv").utterances == from_csv
    pytest.importorskip("pyarrow")
    import pandas as pd

    table = pd.DataFrame(rows)
    table["emotion"] = [json.dumps(e) if isinstance(e, dict) else e for e in table["emotion"]]
    table.to_parquet(folder / "my.parquet")
    assert read("manifest", folder / "my.parquet").utterances == from_csv


BAD = [
    (",,,,,,,,,", "row", "empty", "delete"),
    ("x,,,,,Ann,,train,joy,", "row", "neither media nor text", "give one of them"),
    ("x,clips/two.wav,,,,Ann,,train,joy,", "missing", "no such file", "correct the path"),
    ("x,clips/one.wav,0.4,0.2,,Ann,,train,joy,", "misaligned", "0.4 is not before end 0.2", "correct one"),
    ("x,clips/one.wav,0,9,,Ann,,train,joy,", "misaligned", "beyond the media, which lasts 0.50 s", "correct end"),
    ("x,clips/one.wav,0.7,,,Ann,,train,joy,", "misaligned", "start 0.7 s is beyond", "correct start"),
    ("x,clips/one.wav,soon,,,Ann,,train,joy,", "row", "start is 'soon'", "seconds"),
    ("x,clips/one.wav,-1,,,Ann,,train,joy,", "row", "start is '-1'", "seconds"),
    ("x,,,,Hi,Ann,,train,happy,", "label", "did you mean 'joy'", "correct the column emotion"),
    ("x,,,,Hi,Ann,,train,joy,3", "label", "outside -1..1", "correct the column valence"),
    ("x,,,,Hi,Ann,,train,joy,much", "label", "a finite number", "correct the column valence"),
    ("x,,,,Hi,Ann,,trian,joy,", "row", "split is 'trian'", "train, dev, test"),
    ("x,,,,Hi,Ann,,,joy,", "row", "split is empty", "train, dev, test"),
    ("x,,,,Hi, there,Ann,,train,joy,", "row", "11 cells under 10 columns", "quote"),
    ("a,,,,Hi,Ann,,train,joy,", "duplicate", "id 'a' as in row 2", "delete one"),
    ('x,clips/one.wav,0.1,0.4,"Well, yes",Ann,d1,train,joy,0.5', "duplicate", "as in row 2", "delete one"),
    ("x,,,,Hi,Ann,,dev,joy,", "leak", "speaker 'Ann' is in several splits", "keep each speaker"),
    ("x,,,,Hi,Dee,d2,test,joy,", "leak", "dialogue 'd2' is in several splits", "keep each dialogue"),
]


@pytest.mark.parametrize(("row", "kind", "what", "mend"), BAD)
def test_every_bad_row_is_named_with_its_mend(folder, make, row, kind, what, mend):
    path = make.text(folder / "my.csv", GOOD + row + "\n")
    problems = check_manifest(path)
    assert len(problems) == 1, problems
    assert (problems[0].where, problems[0].kind) == ("row 5", kind)
    assert what in problems[0].what
    assert mend in problems[0].mend
    if kind == "leak":
        assert any(what in note for note in read("manifest", path).notes)
    else:
        with pytest.raises(DataError, match="has 1 bad rows:\n  row 5"):
            read("manifest", path)
        found = read("manifest", path, strict=False)
        assert len(found.utterances) == 3
        assert list(found.problems) == problems


def test_media_that_cannot_be_read_is_found(folder, make):
    make.truncate(make.sound(folder / "clips" / "cut.wav"), 0.5)
    make.text(folder / "clips" / "notes.mp4", "hello")
    path = make.text(folder / "my.csv", "media,emotion\nclips/cut.wav,joy\nclips/notes.mp4,joy\n")
    assert [(p.where, p.kind) for p in check_manifest(path)] == [("row 2", "truncated"), ("row 3", "unreadable")]


def test_a_misspelt_column_is_found_and_a_foreign_one_is_kept(folder, make):
    path = make.text(folder / "my.csv", ",text,emotoin,Speaker,mood\n0,Hi,joy,Ann,fine\n")
    unused, *misspelt = check_manifest(path)
    assert unused.where == "header" and unused.mend.startswith(
        "declare it (--task mood=…), say --ignore mood, or name it"
    )
    assert [(p.where, p.mend) for p in misspelt] == [
        ("header", "did you mean 'emotion'?"),
        ("header", "did you mean 'speaker'?"),
    ]
    assert [p.where for p in check_manifest(path, ignore=["mood"])] == ["header", "header"]
    assert [p.where for p in check_manifest(path, {"mood": ["fine"]})] == ["header", "header"]
    with pytest.raises(DataError, match="has no column 'mod' to ignore; did you mean 'mood'"):
        check_manifest(path, ignore=["mod"])
    found = read("manifest", path, strict=False)
    assert "column 'mood' is no known task: kept as a label of its own" in found.notes


def test_each_row_says_its_language_and_it_is_written_back(folder, make):
    path = make.text(folder / "my.csv", "text,speaker,language\nHej,Ann,Danish\nHi,Bob,\n")
    assert check_manifest(path) == []
    found = read("manifest", path).utterances
    assert [(u.language, u.labels) for u in found] == [("Danish", {}), (None, {})]
    assert [u.language for u in read("manifest", write_manifest(found, folder / "out.csv")).utterances] == [
        "Danish", None,
    ]  # fmt: skip
    assert "language" not in write_manifest(found[1:], folder / "none.csv").read_text()


def test_a_task_of_ones_own_has_classes_or_a_number(folder, make):
    path = make.text(folder / "my.csv", "text,mood,weight\nHi,fine,7\nHo,grim,8\n")
    tasks = {"mood": ["fine", "foul"], "weight": []}
    assert [p.where for p in check_manifest(path, tasks)] == ["row 3"]
    assert check_manifest(path, tasks, {"mood": {"grim": "foul"}}) == []
    found = read("manifest", path, tasks=tasks, overrides={"mood": {"grim": "foul"}})
    assert [u.labels for u in found.utterances] == [{"mood": "fine", "weight": 7.0}, {"mood": "foul", "weight": 8.0}]


def test_a_turn_of_words_may_be_said_again_where_ids_tell_them_apart(folder, make):
    turns = "{}Yeah.,Ann,d1,train,joy\n{}Yeah.,Ann,d1,train,neutral\n"
    with_ids = make.text(folder / "ids.csv", "id,text,speaker,dialogue,split,emotion\n" + turns.format("a,", "b,"))
    assert check_manifest(with_ids) == []
    assert [u.context for u in read("manifest", with_ids).utterances] == [(), ("Ann: Yeah.",)]
    without = make.text(folder / "bare.csv", "text,speaker,dialogue,split,emotion\n" + turns.format("", ""))
    assert [p.kind for p in check_manifest(without)] == ["duplicate"]


def test_columns_of_other_tables_are_refused_with_their_name_here(folder, make):
    for name in ("a", "b"):
        make.sound(folder / "clips" / f"{name}.wav")
    rows = "clips/a.wav,Hi,Ann,train,joy\nclips/b.wav,Hi,Ann,train,anger\n"
    path = make.text(folder / "my.csv", "path,text,subject,set,label\n" + rows)
    assert [(p.where, p.mend) for p in check_manifest(path)] == [
        ("header", f"did you mean {name!r}?") for name in ("media", "speaker", "split", "emotion")
    ], "rows of different media are no duplicates"
    with pytest.raises(DataError, match=r"column 'path' is neither a column .*; did you mean 'media'"):
        read("manifest", path)
    path = make.text(folder / "my.csv", "path,label\na.wav,joy\n")
    with pytest.raises(DataError, match="no column media or text; did you mean 'media' by 'path'"):
        check_manifest(path)
    path = make.text(folder / "my.csv", "text,emotion,label,sex,age\nHi,joy,3,f,30\n")
    assert [(p.where, p.what) for p in check_manifest(path)] == [
        ("header", "column 'label' is no task and would be ignored")
    ]


def test_the_check_takes_the_words_that_a_recipe_takes(folder, make):
    path = make.text(folder / "my.csv", "text,emotion\nHi,happy\nHo,other\n")
    assert check_manifest(path, overrides={"emotion": {"happy": "joy", "other": None}}) == []
    assert [p.where for p in check_manifest(path, overrides={"emotion": {"happy": "joy"}})] == ["row 3"]
    with pytest.raises(DataError, match=r"emotion\.happy=joi: 'joi' is no class of emotion; did you mean 'joy'"):
        check_manifest(path, overrides={"emotion": {"happy": "joi"}})
    with pytest.raises(DataError, match="labels of 'emotoin' are translated, which is no task; did you mean 'emotion'"):
        check_manifest(path, overrides={"emotoin": {"happy": "joy"}})


def test_overrides_translate_ones_own_words(folder, make):
    rows = 'a,happy\nb,other\nc,joy\nd,"{""happy"": 2, ""joy"": 1, ""other"": 4}"\n'
    path = make.text(folder / "my.csv", "text,emotion\n" + rows)
    found = read("manifest", path, overrides={"emotion": {"happy": "joy", "other": None}})
    assert [u.labels for u in found.utterances] == [
        {"emotion": "joy"}, {}, {"emotion": "joy"}, {"emotion": {"joy": 3.0}},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("my.xlsx", b"", "the ending '.xlsx'"),
        ("my.csv", b"", "no column media or text"),
        ("my.csv", b"emotion\njoy\n", "no column media or text"),
        ("my.csv", b"text,text\na,b\n", "column text more than once"),
        ("my.csv", b"text\n\xff\xfe\n", "not UTF-8"),
        ("my.csv", b'text,emotion\n"never closed,joy\n', "check the quotes"),
        ("my.parquet", b"PAR1 no", "cannot be read as Parquet"),
    ],
)
def test_what_is_no_table_is_an_error(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        check_manifest(tmp_path / name)


def test_a_table_without_rows_and_lines_that_are_no_json(folder, make):
    assert "no rows" in check_manifest(make.text(folder / "my.csv", "text,emotion\n"))[0].what
    lines = '{"text": "a\u2028b"}\n\n{"text": \n[1]\n'
    problems = check_manifest(make.text(folder / "my.jsonl", lines))
    assert [(p.where, p.what.split(" (")[0]) for p in problems] == [
        ("row 3", "not JSON"),
        ("row 4", "a JSON list, not an object"),
    ]


def test_without_a_split_whole_speakers_become_dev(folder, make):
    rows = "".join(f"Hi {i},S{i % 10}\n" for i in range(40))
    found = read("manifest", make.text(folder / "my.csv", "text,speaker\n" + rows))
    dev = {u.speaker for u in found.split("dev")}
    assert len(dev) == 2
    assert dev.isdisjoint(u.speaker for u in found.split("train"))
    assert "20% of the speakers" in found.notes[0]
    assert not read("manifest", folder / "my.csv", dev_share=0).split("dev")
    with pytest.raises(DataError, match="dev_share"):
        read("manifest", folder / "my.csv", dev_share=1.5)


def parts(found) -> dict[str, dict[str, set[str | None]]]:
    return {
        name: {u: {getattr(x, u) for x in found.split(name)} for u in ("speaker", "dialogue")}
        for name in ("train", "dev")
    }


def test_without_a_split_speakers_who_talk_become_dev_with_their_dialogues(folder, make):
    turns = [(f"S{i}", f"d{i}") for i in range(20)] + [(f"S{i + 1}", f"d{i}") for i in range(0, 20, 2)] + [("", "d3")]
    rows = "".join(f"Hi {n},{speaker},{dialogue}\n" for n, (speaker, dialogue) in enumerate(turns))
    found = read("manifest", make.text(folder / "my.csv", "text,speaker,dialogue\n" + rows))
    sides = parts(found)
    assert len(sides["dev"]["dialogue"]) == 4, "two of ten groups of two dialogues"
    assert sides["dev"]["dialogue"].isdisjoint(sides["train"]["dialogue"])
    assert sides["dev"]["speaker"].isdisjoint(sides["train"]["speaker"])
    assert found.notes[0] == (
        "no column split: 20% of the speakers (with all whom they talk to) are dev, by hash of the name"
    )
    assert not any("in both" in note for note in found.notes)


@pytest.mark.parametrize("speakers", [("agent", "customer"), ("agent", ""), ("agent",)])
def test_without_a_split_dialogues_become_dev_where_all_share_a_speaker(folder, make, speakers):
    rows = "".join(f"Hi {n} {k},{who},d{n}\n" for n in range(10) for k, who in enumerate(speakers * 2))
    found = read("manifest", make.text(folder / "my.csv", "text,speaker,dialogue\n" + rows))
    sides = parts(found)
    assert (len(sides["dev"]["dialogue"]), len(sides["train"]["dialogue"])) == (2, 8)
    assert sides["dev"]["dialogue"].isdisjoint(sides["train"]["dialogue"])
    said = {turn for u in found.split("dev") for turn in u.context}
    assert said.isdisjoint({f"{u.speaker}: {u.text}" for u in found.split("train")})
    assert found.notes[0] == "no column split: 20% of the dialogues are dev, by hash of the name"
    shared = [s for s in speakers if s]
    assert f"{len(shared)} speakers are in both train and dev as drawn: {', '.join(shared)};" in found.notes[1]


def test_a_dialogue_that_has_to_be_cut_is_told(folder, make):
    rows = "".join(f"Hi {i},S{i % 10},d\n" for i in range(40))
    found = read("manifest", make.text(folder / "my.csv", "text,speaker,dialogue\n" + rows))
    assert {u.speaker for u in found.split("dev")}.isdisjoint(u.speaker for u in found.split("train"))
    assert any("1 dialogues are in both train and dev as drawn: d;" in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("my.jsonl", '{"text": "Hi", "speaker": "Ann", "split": "test"}\n{"text": "Ho", "speaker": "Ann"}\n'),
        ("my.csv", "text,speaker,split\nHi,Ann,test\nHo,Ann\n"),
    ],
)
def test_a_row_that_lacks_the_split_of_others_is_a_bad_row(folder, make, name, content):
    path = make.text(folder / name, content)
    assert [(p.kind, p.what) for p in check_manifest(path)] == [("row", "split is empty")]
    assert [u.split for u in read("manifest", path, strict=False).utterances] == ["test"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("my.csv", "text,sex,age,race\nHi,0,24,2\nHo,f,24.0,\nHm,,old,\nHa,1,30-39,\n"),
        (
            "my.jsonl",
            '{"text": "Hi", "sex": 0, "age": 24, "race": 2}\n{"text": "Ho", "sex": "f", "age": 24.0}\n'
            '{"text": "Hm", "age": "old"}\n{"text": "Ha", "sex": 1, "age": "30-39"}\n',
        ),
    ],
)
def test_numbers_say_of_a_speaker_what_words_do(folder, make, name, content):
    found = read("manifest", make.text(folder / name, content), dev_share=0).utterances
    assert [corpus("manifest").groups(u) for u in found] == [
        {"sex": "0", "age": "20-29", "race": "2"}, {"sex": "female", "age": "20-29"}, {"age": "old"},
        {"sex": "1", "age": "30-39"},
    ]  # fmt: skip


plain = st.text(string.ascii_letters + " ,;\t\"'|{}é我\n", max_size=12).map(str.strip).filter(bool)


@given(
    texts=st.lists(plain, min_size=1, max_size=5, unique=True),
    label=st.sampled_from(["joy", {"joy": 1.0, "fear": 2.0}, None]),
    number=st.none() | st.floats(-1, 1, allow_nan=False),
    ending=st.sampled_from([".csv", ".jsonl"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_what_is_written_reads_back(tmp_path, texts, label, number, ending):
    labels = {k: v for k, v in {"emotion": label, "valence": number}.items() if v is not None}
    written = tuple(
        Utterance(f"u{i}", "manifest", "dev", f"s{i}", None, None, None, None, text, (), labels)
        for i, text in enumerate(texts)
    )
    path = write_manifest(written, tmp_path / f"my{ending}")
    assert read("manifest", path).utterances == written
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []


def test_a_manifest_to_label_has_relative_media_and_empty_columns(folder):
    clip = Utterance("a", "ravdess", "train", "s", media=folder / "clips" / "one.wav", start=0.0, end=0.5)
    path = write_manifest([clip], folder / "todo.csv", columns=("emotion",))
    assert path.read_text().splitlines() == [
        "id,media,start,end,text,speaker,dialogue,split,emotion",
        "a,clips/one.wav,0.0,0.5,,s,,train,",
    ]
    with pytest.raises(DataError, match="written as"):
        write_manifest([clip], folder / "todo.xlsx")


@pytest.mark.parametrize("kind", ["emotion", "votes"])
def test_a_corpus_as_a_manifest_keeps_its_labels(tmp_path, kind):
    labels = {"emotion": "joy"} if kind == "emotion" else {"emotion": {"joy": 2.0, "fear": 1.0}}
    one = Utterance("a", "manifest", "train", "s", text="Hi", labels=labels)
    assert read("manifest", write_manifest([one], tmp_path / "a.csv")).utterances[0].labels == labels
