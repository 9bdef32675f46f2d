"""Corrections, kept as a manifest."""

from __future__ import annotations

import csv
import json

import pytest

from emofuse.corpora.manifest.reader import check_manifest
from emofuse.corpora.registry import read
from emofuse.demo.feedback import Correction, save
from emofuse.errors import DataError


def test_corrections_are_a_manifest_that_can_be_trained_on(tmp_path, clip):
    folder = tmp_path / "feedback"
    save(folder, Correction("joy", clip, "I can't believe it!", "visitor-a", 0.6, 1.77), "I agree")
    save(folder, Correction("sadness", None, "so, “quoted”\nand broken", "visitor-b"), "I agree")
    save(folder, Correction("anger", clip, "I can't believe it!", "visitor-a", 0.6, 1.77), "I agree")
    manifest = save(folder, Correction("fear", clip, None, "visitor-a"), "I agree")
    assert check_manifest(manifest) == []
    found = read("manifest", manifest).utterances
    assert {(u.labels["emotion"], u.start) for u in found} == {("anger", 0.6), ("sadness", None), ("fear", None)}
    assert len(list((folder / "media").iterdir())) == 1
    agreed = [json.loads(line) for line in (folder / "consent.jsonl").read_text().splitlines()]
    assert len(agreed) == 4 and all(entry["consent"] == "I agree" for entry in agreed)


def test_corrections_that_say_nothing_are_refused(tmp_path):
    with pytest.raises(DataError, match="did you mean 'joy'"):
        save(tmp_path, Correction("joyy", None, "x", "a"), "I agree")
    with pytest.raises(DataError, match="needs the media or the words"):
        save(tmp_path, Correction("joy", None, "", "a"), "I agree")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "''-x", "＝1", "'tis", "plain"])
def test_a_correction_is_no_formula_and_reads_back_as_it_was(tmp_path, start):
    text = f"{start} and so on"
    manifest = save(tmp_path, Correction("joy", None, text, "a"), "I agree")
    manifest = save(tmp_path, Correction("fear", None, "another", "b"), "I agree")
    cells = [cell for row in csv.reader(manifest.read_text(encoding="utf-8").splitlines()) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "＝"))]
    assert {utterance.text for utterance in read("manifest", manifest).utterances} == {text, "another"}
