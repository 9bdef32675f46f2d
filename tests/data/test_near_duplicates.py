"""Near duplicates: found like a comparison of all pairs finds them, and the copy that is evaluated on stays."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from emofuse.data.near_duplicates import jaccard, near_duplicates, pieces
from emofuse.types import Shard, Stored, Utterance


def said(text: str, number: int = 0, split: str = "train", media: Path | None = None) -> Utterance:
    return Utterance(f"{number}", "manifest", split, f"s{number}", text=text, media=media)


def test_a_line_with_a_typing_error_is_a_copy_and_short_lines_are_not():
    lines = [
        "I am so happy that you came to see us!",
        "i am so happy that you came to see us",
        "Yeah, I know",
        "yeah i know",
    ]
    lines += ["I am so hapy that you came to see us!!", "I am so sad that you left before the end"]
    found = near_duplicates([said(t, i) for i, t in enumerate(lines)])
    assert [(c.utterance.id, c.other.id) for c in found] == [("1", "0"), ("4", "0")]
    assert found[0].similarity == 1 and 0.8 <= found[1].similarity < 1


def test_the_copy_in_test_stays_before_dev_before_train():
    line = "this is the very same sentence"
    rows = [said(line, 0), said(line, 1, "dev"), said(line, 2, "test")]
    found = near_duplicates(rows)
    assert [(c.utterance.id, c.other.id) for c in found] == [("0", "2"), ("1", "2")]


def test_bands_find_what_all_pairs_find():
    rng = np.random.default_rng(0)
    told = "joy fear anger sad calm house tree river stone window people morning coffee train music"
    words = np.array(told.split(" "))
    lines = [" ".join(rng.choice(words, 9)) for _ in range(60)]
    for line in lines[:25]:
        parts = line.split()
        parts[rng.integers(9)] += "s"
        lines.append(" ".join(parts))
    near = {(i, j) for i, j in combinations(range(len(lines)), 2) if jaccard(pieces(lines[i]), pieces(lines[j])) >= 0.8}
    assert len(near) >= 15
    found = near_duplicates([said(t, i) for i, t in enumerate(lines)])
    assert {(int(c.other.id), int(c.utterance.id)) for c in found} == near


def test_files_of_the_same_bytes_are_copies_whatever_their_words(tmp_path):
    for name, content in (("a.wav", b"one"), ("b.wav", b"one"), ("c.wav", b"two")):
        (tmp_path / name).write_bytes(content)
    rows = [said("the same words as always", i, media=tmp_path / f"{n}.wav") for i, n in enumerate("abc")]
    assert [(c.utterance.id, c.other.id) for c in near_duplicates(rows)] == [("1", "0")]


def test_media_in_shards_are_copies_of_one_another_and_of_files(tmp_path):
    def stored(number: int, content: bytes) -> Utterance:
        part = Stored(Shard("a.tar", 2048), 512 * number, len(content), hashlib.sha256(content).hexdigest())
        return replace(said("words", number, media=tmp_path / f"{number}.wav"), stored=part)

    (tmp_path / "file.wav").write_bytes(b"one")
    rows = [stored(0, b"one"), stored(1, b"two"), stored(2, b"one"), said("words", 3, media=tmp_path / "file.wav")]
    assert [(c.utterance.id, c.other.id) for c in near_duplicates(rows)] == [("2", "0"), ("3", "0")]


def test_posts_in_scripts_without_spaces_are_counted_by_their_characters():
    post = "今天真的特别开心终于见到了好久没有见面的老朋友们一起吃饭"
    typo, other = post.replace("特别", "特被"), "昨天晚上加班到很晚回家的路上又下了大雨心情糟糕透了什么都不想说"
    rows = [said(post, 0, "dev"), said(post + "！", 1), said(typo, 2), said(other, 3), said("开心", 4), said("开心", 5)]
    assert [(c.utterance.id, c.other.id) for c in near_duplicates(rows)] == [("1", "0"), ("2", "0")]
