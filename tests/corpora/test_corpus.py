"""The contract: errors that say the layout, checks of disjointness, a hash of the split."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emofuse.corpora.corpus import CORPORA, check_disjoint, corpus, read, split_hash
from emofuse.errors import DataError
from emofuse.tasks import FOLDINGS, MANIFEST, TASKS
from emofuse.types import Utterance


def utterance(number: int, split: str = "train", speaker: str = "a", dialogue: str | None = "d") -> Utterance:
    return Utterance(str(number), "ravdess", split, speaker, dialogue)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CORPORA)
def test_every_reader_describes_itself(name):
    reader = corpus(name)
    assert reader.name == name
    assert reader.licence
    assert "ROOT" in reader.layout or "FILE" in reader.layout
    assert set(reader.tasks) <= set(TASKS)
    if name != MANIFEST:
        assert reader.citation
        assert set(reader.tasks) == set(FOLDINGS[name])


@pytest.mark.parametrize("name", CORPORA)
def test_a_missing_root_and_an_empty_one_say_the_layout(name, tmp_path):
    with pytest.raises(DataError, match=r"no (folder|manifest)"):
        read(name, tmp_path / "nowhere")
    first = corpus(name).layout.strip().splitlines()[0].split()[-1]
    with pytest.raises(DataError, match=re.escape(first) if name != MANIFEST else "ending"):
        read(name, tmp_path)


@pytest.mark.parametrize("name", CORPORA)
def test_an_unknown_option_names_the_valid_ones(name, tmp_path):
    with pytest.raises(DataError, match="no option 'verifie'"):
        read(name, tmp_path, verifie=False)


def test_an_unknown_corpus_or_split_names_the_nearest(tmp_path):
    with pytest.raises(DataError, match="did you mean 'ravdess'"):
        read("ravdes", tmp_path)
    with pytest.raises(DataError, match="did you mean 'dev'"):
        read("ravdess", tmp_path, "devel")  # type: ignore[arg-type]


def test_a_speaker_in_two_splits_is_named():
    shared = [utterance(1), utterance(2, "test"), utterance(3, "dev", speaker="b")]
    with pytest.raises(DataError, match=r"1 speakers .* a \(test and train\)"):
        check_disjoint(shared)
    with pytest.raises(DataError, match="dialogue"):
        check_disjoint(shared, by="dialogue")
    check_disjoint([replace(u, speaker=u.id, dialogue=u.id) for u in shared], by="video")


def test_what_has_no_dialogue_cannot_be_shown_to_be_disjoint():
    with pytest.raises(DataError, match="has no video"):
        check_disjoint([utterance(1, dialogue=None)], by="video")


@given(st.permutations([utterance(1), utterance(2, "dev"), utterance(3, "test")]))
def test_the_hash_of_a_split_does_not_depend_on_order(utterances):
    assert split_hash(utterances) == split_hash([utterance(1), utterance(2, "dev"), utterance(3, "test")])


def test_the_hash_of_a_split_depends_on_ids_and_splits_alone():
    base = split_hash([utterance(1), utterance(2)])
    assert base != split_hash([utterance(1), utterance(2, "dev")])
    assert base != split_hash([utterance(1), utterance(4)])
    assert base == split_hash([replace(utterance(1), media=Path("moved.wav")), utterance(2)])
