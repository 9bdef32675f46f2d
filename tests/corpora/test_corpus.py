"""The contract: errors that say the layout, checks of disjointness, a hash of the split."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emofuse.corpora.corpus import check_disjoint, split_hash
from emofuse.corpora.registry import corpus, names, read
from emofuse.errors import DataError
from emofuse.metrics.task import scores_of
from emofuse.tasks import TASKS
from emofuse.types import Utterance


def utterance(number: int, split: str = "train", speaker: str = "a", dialogue: str | None = "d") -> Utterance:
    return Utterance(str(number), "ravdess", split, speaker, dialogue)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", names())
def test_every_corpus_declares_itself(name):
    reader = corpus(name)
    assert reader.name == name
    assert reader.licence
    assert "ROOT" in reader.layout or "FILE" in reader.layout
    assert (reader.foldings or name == "shards") and set(reader.tasks) <= set(TASKS)
    assert reader.citation or name in ("manifest", "shards")
    for task, metric in reader.protocol.leading.items():
        assert task in reader.tasks and metric in scores_of(TASKS[task])
    for view, head in reader.protocol.views.items():
        assert {view, head} <= set(reader.tasks) and TASKS[view].classes == TASKS[head].classes


def test_a_protocol_leads_with_its_own_metric_and_else_with_that_of_the_kind():
    assert corpus("meld").protocol.leading_metric(TASKS["emotion"]) == "weighted_f1"
    assert corpus("meld").protocol.leading_metric(TASKS["valence"]) == "ccc"
    assert corpus("goemotions").protocol.leading_metric(TASKS["goemotions28"]) == "macro_f1"


@pytest.mark.parametrize(
    ("name", "speaker", "groups"),
    [
        ("ravdess", "actor_18", {"language": "English", "speaker": "actor_18", "sex": "female"}),
        ("ravdess", "actor_17", {"language": "English", "speaker": "actor_17", "sex": "male"}),
        ("emodb", "03", {"language": "German", "speaker": "03", "sex": "male", "age": "30-39"}),
        ("emodb", "08", {"language": "German", "speaker": "08", "sex": "female", "age": "30-39"}),
        ("iemocap", "Ses01_F", {"language": "English", "speaker": "Ses01_F", "sex": "female"}),
        ("mustard", "BBT_SHELDON", {"language": "English", "speaker": "BBT_SHELDON", "show": "BBT"}),
        ("ch_sims_v2", "aqgy3_0001", {"language": "Chinese", "speaker": "aqgy3_0001"}),
        ("ferplus", "u", {}),
        ("manifest", "Ann", {"speaker": "Ann"}),
    ],
)
def test_a_corpus_tells_who_speaks_and_in_which_language(name, speaker, groups):
    assert corpus(name).groups(Utterance("u", name, "dev", speaker)) == groups


def test_labels_of_ones_own_data_name_groups_and_a_row_its_language():
    one = Utterance(
        "u", "manifest", "dev", "Ann", labels={"gender": "F", "age": "30-39", "show": ""}, language="Danish"
    )
    assert corpus("manifest").groups(one) == {
        "language": "Danish", "speaker": "Ann", "sex": "female", "age": "30-39",
    }  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_a_missing_root_and_an_empty_one_say_the_layout(name, tmp_path):
    with pytest.raises(DataError, match=r"no (folder|manifest)"):
        read(name, tmp_path / "nowhere")
    first = corpus(name).layout.strip().splitlines()[0].split()[-1]
    with pytest.raises(DataError, match=re.escape(first) if name != "manifest" else "expected is the table itself"):
        read(name, tmp_path)


@pytest.mark.parametrize("name", names())
def test_an_unknown_option_names_the_valid_ones(name, tmp_path):
    with pytest.raises(DataError, match="no option 'verifie'"):
        read(name, tmp_path, verifie=False)


@pytest.mark.parametrize(
    ("name", "option", "said"),
    [
        ("meld", {"clips": "maybe"}, "meld option clips='maybe'; valid: true or false"),
        ("meld", {"context": "many"}, "meld option context='many'; valid: a whole number from 0 on"),
        ("meld", {"context": True}, "meld option context=True; valid: a whole number from 0 on"),
        ("manifest", {"context": -1}, "manifest option context=-1; valid: a whole number from 0 on"),
        ("manifest", {"dev_share": "half"}, "manifest option dev_share='half'; valid: a number from 0 on"),
    ],
)
def test_an_option_of_another_kind_says_what_is_valid(name, option, said, tmp_path):
    (tmp_path / "manifest.csv").write_text("text\nso sad\n")
    with pytest.raises(DataError, match=re.escape(said)):
        read(name, tmp_path / "manifest.csv" if name == "manifest" else tmp_path, **option)


def test_a_fold_is_found_whose_name_yaml_reads_as_a_number():
    emodb = corpus("emodb")
    assert [emodb.choose_fold(fold) for fold in ("03", 3, 13)] == ["03", "03", "13"]
    with pytest.raises(DataError, match="fold 2 of emodb"):
        emodb.choose_fold(2)


def test_one_string_where_several_are_taken_is_one_of_them(repository):
    """As the command line gives it: --option languages=de."""
    root = repository / "recipes" / "emofuse-small" / "everyday"
    one = read("everyday", root, languages="de").utterances
    assert one == read("everyday", root, languages=["de"]).utterances and len(one) > 10
    with pytest.raises(DataError, match="languages='dutch'"):
        read("everyday", root, languages="dutch")


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


MUSTARD = b"""{"1_1": {
    "utterance": null, "speaker": "A", "context": [], "context_speakers": [], "show": "S", "sarcasm": true
}}"""


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("emobank", {"emobank.csv": b"split,V,A,D,text\ntrain,3,3,3,hello\n"}),
        ("goemotions", {"labels.txt": b"joy\n", "train.tsv": b"so gl\xfcck\t0\ta\n"}),
        ("mustard", {"sarcasm_data.json": b"[1, 2]"}),
        ("mustard", {"sarcasm_data.json": MUSTARD}),
        ("smp2020", {"data/raw/usual_train.txt": b'["one", "two"]'}),
        ("smp2020", {"data/raw/usual_train.txt": b'[{"id": 1, "content": "x", "label": ["sad"]}]'}),
    ],
)
def test_a_file_that_holds_something_else_is_told_in_a_line(name: str, files: dict[str, bytes], tmp_path: Path):
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    with pytest.raises(DataError, match="a file in it holds something else"):
        read(name, tmp_path)
