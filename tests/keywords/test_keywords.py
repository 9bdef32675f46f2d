"""Keywords: words that were given a part in an answer are found with it, and intervals hold what they claim."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from emofuse.cli.app import run
from emofuse.errors import DataError
from emofuse.keywords.documents import STEPS, counted, explained, tabulate, texts_of
from emofuse.keywords.lemmas import Lemmas
from emofuse.keywords.words import keywords


@pytest.fixture(scope="module")
def english() -> Lemmas:
    return Lemmas(["en"])


@pytest.mark.parametrize(
    ("word", "lemma"),
    [
        ("Dogs,", "dog"),
        ("“was", "be"),
        ("don't", "do"),
        ("--", None),
        ("12", None),
        ("😡!", "😡"),
        ("(Waited)", "wait"),
    ],
)
def test_forms_are_one_lemma_without_the_marks_around_them(english, word, lemma):
    assert (english(word) or "").startswith(lemma or "") and (english(word) is None) == (lemma is None)


def test_the_next_language_is_asked_where_one_does_not_know_a_word():
    both = Lemmas(["de", "en"])
    assert both("Hunde") == "hund" and both("waited") == "wait"
    with pytest.raises(DataError, match="there are no lemmas of the language 'xx'"):
        Lemmas(["xx"])


def made(seed: int, documents: int = 60) -> list[list[tuple[str, float]]]:
    """`late` adds 2 on average where it is said, `thanks` takes 1, `the` nothing, by chance more or less."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(documents):
        evidence = [("the", float(rng.normal(0, 0.3)))]
        evidence += [("late", float(rng.normal(2, 1)))] * (rng.random() < 0.3)
        evidence += [("thanks", float(rng.normal(-1, 0.5)))] * (rng.random() < 0.4)
        found.append(evidence)
    return found


def test_the_words_that_carry_it_come_first_and_those_against_it_last():
    table = tabulate([*made(1), [("once", 9.0)]])
    found = keywords(table)
    assert [one.lemma for one in found] == ["late", "the", "thanks"], "a word of one document is no keyword"
    late = found[0]
    said = [score for evidence in made(1) for lemma, score in evidence if lemma == "late"]
    assert late.score == pytest.approx(sum(said)) and late.count == late.documents == len(said)
    assert late.low > 0 > found[-1].high and found[1].low < 0 < found[1].high
    assert late.to_dict()["each"] == pytest.approx(np.mean(said))


def test_intervals_hold_the_sum_as_often_as_they_say():
    """The sum that is expected of 60 documents is in 95 % of the intervals, ± what 200 tries let it be."""
    expected = 60 * 0.3 * 2
    held = 0
    for seed in range(200):
        late = next(one for one in keywords(tabulate(made(seed)), resamples=200) if one.lemma == "late")
        held += late.low <= expected <= late.high
    assert 0.89 <= held / 200 <= 0.99


def test_a_words_score_is_the_sum_of_its_integrated_gradients(tiny_pipeline, english):
    pipeline = tiny_pipeline()
    texts = ["i am so happy. this is not great", "so sad, so terrible"]
    one, two = explained(pipeline, texts, "joy", english)
    (whole,) = [e for e, _, _ in pipeline.explain(text=texts[1], target="joy", steps=STEPS)]
    assert [lemma for lemma, _ in two] == ["so", "sad", "so", "terrible"]
    assert [score for _, score in two] == pytest.approx([w.score for w in whole.words], abs=1e-6)
    assert [lemma for lemma, _ in one][:4] == ["i", "be", "so", "happy"], "each sentence is read"
    so = next(k for k in keywords(tabulate([one, two]), least=1) if k.lemma == "so")
    assert so.count == 3 and so.documents == 2
    assert so.score == pytest.approx(sum(s for lemma, s in [*one, *two] if lemma == "so"))


def test_texts_are_drawn_alike_and_empty_ones_left_out():
    rows = [{"text": f"text {i}" if i % 3 else ""} for i in range(300)]
    drawn = texts_of(rows, "text", 20)
    assert len(set(drawn)) == 20 and drawn == texts_of(rows, "text", 20)
    assert max(int(text.split()[1]) for text in drawn) > 150, "not the first ones alone"
    with pytest.raises(DataError, match="no column 'txt'; did you mean 'text'"):
        texts_of(rows, "txt")
    with pytest.raises(DataError, match="there is no text in the column"):
        texts_of([{"text": " "}], "text")


def test_counted_words_have_a_score_of_one(english):
    assert list(counted(["Dogs and dogs!"], english)) == [[("dog", 1.0), ("and", 1.0), ("dog", 1.0)]]


@pytest.mark.checkpoint
def test_the_command_finds_the_words_of_anger(tmp_path: Path, capsys):
    said = ["I am furious about this", "so furious, I hate it", "they hate me and I am furious", "we had lunch at noon"]
    table, out = tmp_path / "posts.csv", tmp_path / "words.json"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["comment"], *([text] for text in said)])
    options = ["--of", "anger", "--text-column", "comment", "--least", "2", "--json", str(out)]
    assert run(["keywords", str(table), *options]) == 0
    found = json.loads(out.read_text())
    assert found["documents"] == 4 and {one["lemma"] for one in found["keywords"][:2]} == {"furious", "hate"}
    assert all(one["low"] <= one["score"] <= one["high"] for one in found["keywords"])
    assert "4 documents" in capsys.readouterr().out


def test_what_the_command_cannot_take_is_said(tmp_path: Path, capsys):
    (tmp_path / "a.csv").write_text("text\nwords\n", "utf-8")
    assert run(["keywords", str(tmp_path / "a.csv"), "--of", "angr"]) == 2
    assert "did you mean 'anger'" in capsys.readouterr().err
    assert run(["keywords", str(tmp_path), "--of", "anger"]) == 2
    assert "holds no rows; give a table" in capsys.readouterr().err
