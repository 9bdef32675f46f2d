"""Labels by prototype: likenesses apart from probabilities, and none where prototypes cannot be told apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import emofuse
from emofuse.cli.app import run
from emofuse.errors import DataError
from emofuse.pipeline.formats import as_row, from_row
from emofuse.pipeline.pipeline import Pipeline
from emofuse.pipeline.predict_batches import predict_batches
from emofuse.pipeline.prototypes import Prototypes, labels_to_text, parse_labels, read_labels
from emofuse.pipeline.wire import from_wire, to_wire

EXAMPLES = {"glee": ["this is great"], "gloom": ["so so sad. terrible", "sad"]}


@pytest.fixture
def asked(tiny_pipeline, monkeypatch) -> Pipeline:
    """A model of random weights, of which all prototypes are much alike, that is asked for two labels by examples."""
    monkeypatch.setattr("emofuse.pipeline.prototypes.ALIKE", 2.0)
    pipeline = tiny_pipeline()
    pipeline.prototypes = Prototypes(pipeline.model, EXAMPLES)
    return pipeline


def codes(analysis) -> list[str]:
    return [note.code for note in analysis.notes]


def test_likenesses_stand_beside_an_answer_that_stays_as_it_is(asked, tiny_pipeline):
    found, plain = asked(text="ANN: great!\nBEN: so sad"), tiny_pipeline()(text="ANN: great!\nBEN: so sad")
    for one, before in zip(found, plain, strict=True):
        assert one.emotions == before.emotions and one.polarity == before.polarity and one.others == before.others
        assert list(one.by_prototype) == ["glee", "gloom"] and not before.by_prototype
        assert all(-1 <= value <= 1 for value in one.by_prototype.values())
    assert "by_prototype" in codes(found) and "by_prototype" not in codes(plain)
    assert "no probabilities" in next(str(n) for n in found.notes if n.code == "by_prototype")
    mean = sum(p.by_prototype["glee"] * (p.end - p.start) for p in found) / sum(p.end - p.start for p in found)
    assert found.overall.by_prototype["glee"] == pytest.approx(mean)
    shape = json.loads(found.to_text(".json"))["segments"][0]
    assert shape["by_prototype"] == pytest.approx(found.segments[0].by_prototype) and len(shape["emotions"]) == 7
    row = as_row(None, found.segments[0], "great!")
    assert row["by_prototype.glee"] == found.segments[0].by_prototype["glee"]
    assert from_row(row).by_prototype == found.segments[0].by_prototype
    assert from_wire(to_wire(found)).segments[1].by_prototype == found.segments[1].by_prototype


def test_an_example_is_like_its_label_as_nothing_else_is(asked):
    """Of random weights, times move the states a little."""
    found = asked(text="this is great").overall.by_prototype
    assert found["glee"] > 0.9 and found["glee"] > found["gloom"]
    assert found["glee"] > asked(text="sad").overall.by_prototype["glee"]


def test_of_a_clip_the_words_alone_are_compared(asked, sample: Path):
    (_, segment), *_ = asked.run(sample, transcript=sample.with_suffix(".srt")).segments()
    found = asked(sample, transcript=sample.with_suffix(".srt")).segments[0]
    words = segment.only("text")
    ((_, alone),) = predict_batches(asked.model, [(None, None, words)], 1)
    assert found.present > {"text"} and alone.present == {"text"}
    assert found.by_prototype == pytest.approx(asked.prototypes.over(alone, words).by_prototype, abs=1e-4)
    silent = asked(sample, transcript="WEBVTT\n\n01:00.000 --> 01:01.000\nlate\n")
    assert all(not p.by_prototype for p in silent)


def test_prototypes_that_are_the_same_are_not_answered(tiny_pipeline, monkeypatch):
    monkeypatch.setattr("emofuse.pipeline.prototypes.ALIKE", 0.9999)  # of random weights all are much alike
    model = tiny_pipeline().model
    same = Prototypes(model, {"one": ["so sad"], "two": ["so sad"], "three": ["this is great!"]})
    assert same.rivals["one"] == "two" and same.rivals["two"] == "one" and "three" not in same.rivals
    assert [(n.code, n.values.get("label")) for n in same.notes()][1:] == [
        ("prototypes_alike", "one"),
        ("prototypes_alike", "two"),
    ]
    learnt = Prototypes(model, {"joy": [], "three": ["this is great!"]})
    assert learnt.rivals == {"joy": "joy"}, "the model answers it itself"


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ("frustrated", "a list of words"),
        ([""], "a label is a word or a few"),
        (["a" * 101], "a label is a word or a few"),
        (["a", "a"], "asked for twice"),
        ([str(i) for i in range(51)], "1 to 50"),
        ({"a": "so sad"}, "examples of 'a' are a list"),
        ({"a": [" "]}, "each with at least a word"),
    ],
)
def test_what_is_no_label_is_refused(tiny_pipeline, labels, told):
    with pytest.raises(DataError, match=told):
        Prototypes(tiny_pipeline().model, labels)


def test_examples_come_from_a_table(tmp_path):
    (tmp_path / "labels.csv").write_text("label,text\nstuck,I give up\nstuck,why me\nrelieved,\n")
    assert read_labels(tmp_path / "labels.csv") == {"stuck": ["I give up", "why me"], "relieved": []}
    (tmp_path / "labels.csv").write_text("label,text\n,I give up\n")
    with pytest.raises(DataError, match="row 2: it has no label"):
        read_labels(tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text("name\nx\n")
    with pytest.raises(DataError, match="its columns are name; valid: label, text"):
        read_labels(tmp_path / "labels.csv")


def test_the_shipped_model_tells_labels_it_is_given(tmp_path, capsys):
    model = emofuse.load(labels=["embarrassed", "grateful", "sorrowful", "sad"])
    assert "sorrowful" in model.prototypes.rivals and "sad" in model.prototypes.rivals
    blush = model(text="I tripped in front of everyone and wanted to vanish.").overall.by_prototype
    thanks = model(text="You saved my week, I cannot thank you enough.").overall.by_prototype
    assert blush.keys() == {"embarrassed", "grateful"}
    assert blush["embarrassed"] > thanks["embarrassed"] and thanks["grateful"] > blush["grateful"]
    out = tmp_path / "out.json"
    assert run(["predict", "--text", "Thank you so much!", "--labels", "grateful,embarrassed", "--json", str(out)]) == 0
    assert json.loads(out.read_text())["overall"]["by_prototype"]["grateful"] > 0
    assert run(["predict", "--text", "Thank you so much!", "--labels", "grateful,embarrassed"]) == 0
    said = capsys.readouterr().out
    assert "not learnt, by prototype: grateful +" in said and "no probabilities" in said.replace("\n", " ")


def test_labels_are_one_text_that_is_read_back_equal():
    assert parse_labels(labels_to_text(EXAMPLES)) == EXAMPLES
    assert parse_labels(labels_to_text(["glee", " gloom "])) == {"glee": [], "gloom": []}
    assert parse_labels("glee, gloom,") == {"glee": [], "gloom": []}
    assert parse_labels('["glee"]') == {"glee": []} and parse_labels('{"glee": ["so good"]}') == {"glee": ["so good"]}
    assert parse_labels("label,text\nglee,so good\nglee,\n", "mine.csv") == {"glee": ["so good"]}
    for text, told in (
        ('{"glee": 3}', "the examples of 'glee' are a list of texts"),
        ('{"glee": "so good"}', "the examples of 'glee' are a list of texts"),
        ("[1]", "a label is a word or a few"),
        ('["glee"', "no JSON; valid: "),
        (",", "0 labels are asked for"),
        (json.dumps({"glee": ["good"] * 1001}), "1,001 examples are given; at most 1,000"),
    ):
        with pytest.raises(DataError, match=told):
            parse_labels(text)


def test_a_table_with_an_open_quotation_mark_is_refused():
    for rest in ("x\nb,y\n", "x" * 140_000):
        with pytest.raises(DataError, match=r"l.csv: it is no table \(.*is a quotation mark without its second"):
            parse_labels(f'label,text\na,"{rest}', "l.csv")
