"""Development samples that stand in training too are left out, and counted."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from emofuse.data.duplicates import without_duplicates
from emofuse.data.examples import read_examples
from emofuse.tasks import TASKS
from emofuse.types import Utterance


def said(text: str, **more) -> Utterance:
    return Utterance(text, "c", "dev", "s", text=text, **more)


def test_texts_are_the_same_whatever_their_case_and_punctuation():
    train = [said("I can't  believe it!"), said("Yes."), said("我很难过。")]
    dev = [said("i can't believe it"), said("I can believe it"), said("yes"), said("我很难过"), said("...")]
    assert [u.text for u in without_duplicates(dev, train)] == ["I can believe it", "..."]


def test_short_turns_of_dialogues_are_no_copies():
    train = [said("Yeah, I know.", dialogue="a"), said("Where did you put it?", dialogue="a")]
    dev = [said("Yeah, I know!", dialogue="b"), said("where did you put it", dialogue="b")]
    assert [u.text for u in without_duplicates(dev, train)] == ["Yeah, I know!"]


def test_media_are_the_same_by_their_bytes_and_seconds(tmp_path: Path):
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"two"), ("d", b"longer")):
        (tmp_path / name).write_bytes(content)
    train = [said("the same words are said of it", media=tmp_path / "a", start=1.0, end=2.0)]
    dev = [replace(train[0], id=n, media=tmp_path / n) for n in "bcd"]
    dev.append(replace(train[0], id="later", media=tmp_path / "b", start=2.0, end=3.0))
    dev.append(replace(train[0], id="gone", media=tmp_path / "nothing"))
    assert [u.id for u in without_duplicates(dev, train)] == ["c", "d", "later", "gone"]


@pytest.mark.parametrize("splits", ["dev", ("train", "dev")])
def test_examples_leave_them_out_and_say_how_many(tmp_path: Path, splits):
    rows = [("train", "I am so happy today"), ("train", "this is sad"), ("dev", "I am so happy today!"), ("dev", "new")]
    with (tmp_path / "my.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "split", "speaker", "emotion"])
        writer.writerows([text, split, f"{split}{i}", "joy"] for i, (split, text) in enumerate(rows))
    found = read_examples("manifest", tmp_path / "my.csv", splits, [TASKS["emotion"]])
    assert [e.utterance.text for e in found.split("dev")] == ["new"]
    assert found.duplicates == 1 and found.protocol()["duplicates"] == 1


@pytest.mark.parametrize(("corpus", "copies"), [("ferplus", 279), ("goemotions", 113), ("meld", 15), ("ravdess", 0)])
def test_copies_in_the_published_splits(corpora_root: Path, corpus: str, copies: int):
    if not (corpora_root / corpus).is_dir():
        pytest.skip(f"no {corpus}")
    found = read_examples(corpus, corpora_root / corpus, ("train", "dev"), [TASKS["emotion"]])
    assert found.duplicates == copies
