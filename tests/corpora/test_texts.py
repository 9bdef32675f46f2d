"""Corpora of single texts: BRIGHTER, XED, SMP2020, ISEAR, TweetEval, EmoBank, contrasts, everyday sentences."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from emofuse.corpora.contrast import sentences
from emofuse.corpora.registry import corpus, read
from emofuse.corpora.text import by_share
from emofuse.errors import DataError
from emofuse.tasks import TASKS
from emofuse.types import Utterance


def target(utterance: Utterance, task: str) -> dict[str, float]:
    """What a label folds to, without the zeros."""
    values = corpus(utterance.corpus).fold(utterance.labels, TASKS[task])
    names = TASKS[task].classes or (task,)
    return {n: round(float(v), 3) for n, v in zip(names, values, strict=True) if np.isnan(v) or v}


@pytest.fixture
def brighter(make, tmp_path) -> Path:
    home = tmp_path / "task-dataset" / "semeval-2025-task11-dataset"
    header = "id,text,anger,disgust,fear,joy,sadness,surprise\n"
    make.text(home / "track_a/train/deu.csv", header + "d1,So ein Mist,1,1,0,0,0,0\nd2,Um acht,0,0,0,0,0,0\n")
    make.text(home / "track_b/train/deu.csv", header + "e1,So ein Mist,3,1,0,0,0,0\n")
    make.text(
        home / "track_a/dev/eng.csv", "id,text,anger,fear,joy,sadness,surprise\nd3,Oh!,0,0,0,0,1\nd4,Hm,0,7,0,0,0\n"
    )
    return tmp_path


def test_brighter_takes_intensities_as_votes_and_none_of_all_as_neutral(brighter):
    found = read("brighter", brighter)
    angry, plain, surprised = found.utterances
    assert target(angry, "emotion") == {"anger": 0.75, "disgust": 0.25}
    assert target(angry, "polarity") == {"negative": 1.0}
    assert target(angry, "intensity") == {"intensity": 1.0}
    assert target(plain, "emotion") == {"neutral": 1.0}
    assert np.isnan(target(plain, "intensity")["intensity"])
    assert target(surprised, "emotion") == {"surprise": 1.0}
    assert np.isnan(target(surprised, "polarity")["positive"])
    assert [u.language for u in found.utterances] == ["German", "German", "English"]
    assert [(p.where, p.kind) for p in found.problems] == [("dev/eng.csv row 3", "label")]


def test_brighter_reads_the_languages_asked_for(brighter):
    assert [u.id for u in read("brighter", brighter, languages=["eng"]).utterances] == ["d3"]
    with pytest.raises(DataError, match=r"languages='fra'.*deu.*eng"):
        read("brighter", brighter, languages=["fra"])


def test_xed_folds_plutchik_and_takes_a_line_once(make, tmp_path):
    make.text(tmp_path / "AnnotatedData/en-annotated.tsv", "Stop it !\t1, 3\nStop  it !\t4\nTrust me.\t8\nWhat?\t9\n")
    make.text(tmp_path / "AnnotatedData/neu_en.txt", "9\tTwo sixes.\n")
    make.text(tmp_path / "Projections/cn-projections.tsv", "为什么\t4, 7\n")
    found = read("xed", tmp_path)
    by_text = {u.text: u for u in found.utterances}
    assert list(by_text) == ["Stop it !", "Trust me.", "Two sixes.", "为什么"]
    assert target(by_text["Stop it !"], "emotion") == {"anger": 0.5, "disgust": 0.5}
    assert np.isnan(target(by_text["Trust me."], "emotion")["joy"])
    assert target(by_text["Trust me."], "polarity") == {"positive": 1.0}
    assert target(by_text["Two sixes."], "emotion") == {"neutral": 1.0}
    assert by_text["为什么"].language == "Chinese"
    assert [p.where for p in found.problems] == ["en-annotated.tsv line 4"]


def test_xed_lists_the_lines_of_more_than_two_columns(make, tmp_path):
    debris = 'en/1990/1/1.xml.gz\tde/1990/1/5.xml.gz\t1580\t1582\tThe Enquirer.\tDer Star."\t3'
    make.text(tmp_path / "Projections/de-projections.tsv", f"Hilfe!\t4\n{debris}\nDer Star.\nJa.\t\t4\n")
    found = read("xed", tmp_path)
    assert [u.text for u in found.utterances] == ["Hilfe!"]
    assert [p.where for p in found.problems] == [f"de-projections.tsv line {n}" for n in (2, 3, 4)]


def test_smp2020_gives_a_share_of_the_evaluation_posts_to_training(make, tmp_path):
    posts = [{"id": i, "content": f"第{i}天", "label": "happy"} for i in range(40)]
    make.text(tmp_path / "data/raw/virus_train.txt", json.dumps([{"id": 1, "content": "愤怒", "label": "angry"}]))
    make.text(
        tmp_path / "data/raw/usual_eval_labeled.txt", json.dumps([*posts, {"id": 99, "content": "", "label": "sad"}])
    )
    whole, shared = read("smp2020", tmp_path), read("smp2020", tmp_path, share=0.5)
    assert (len(whole.split("train")), len(whole.split("dev"))) == (1, 40)
    assert {u.id for u in whole.utterances} == {u.id for u in shared.utterances}
    assert len(shared.split("train")) == 1 + sum(by_share(p["content"], 0.5) for p in posts)
    assert target(whole.utterances[0], "emotion") == {"anger": 1.0}
    assert [p.kind for p in whole.problems] == ["row"]
    with pytest.raises(DataError, match="share=1"):
        read("smp2020", tmp_path, share=1)


def test_isear_keeps_each_respondent_in_one_split_and_drops_what_says_nothing(make, tmp_path):
    rows = [f"{i}|joy|When I passed examination {i}.|" for i in range(60)]
    rows += ["1|shame|When I lied.|", "2|guilt|[ No response.]|", "3|envy|Well.|"]
    make.text(tmp_path / "isear.csv", "ID|Field1|SIT|\n" + "\n".join(rows) + "\n")
    found = read("isear", tmp_path)
    assert len(found.utterances) == 61
    assert 0 < len(found.split("dev")) < 20
    assert np.isnan(target(found.utterances[60], "emotion")["joy"])
    assert target(found.utterances[60], "polarity") == {"negative": 1.0}
    assert [p.kind for p in found.problems] == ["label"]


def test_tweeteval_pairs_lines_though_a_tweet_holds_other_separators(make, tmp_path):
    make.text(tmp_path / "train_text.txt", "so\u2028happy\nwe will win\n")
    make.text(tmp_path / "train_labels.txt", "1\n2\n")
    found = read("tweeteval", tmp_path)
    assert [u.text for u in found.utterances] == ["so happy", "we will win"]
    assert [target(u, "emotion") for u in found.utterances] == [{"joy": 1.0}, {"joy": 1.0}]
    make.text(tmp_path / "train_labels.txt", "1\n")
    with pytest.raises(DataError, match="2 tweets but 1 labels"):
        read("tweeteval", tmp_path)


def test_emobank_centres_its_scale(make, tmp_path):
    make.text(
        tmp_path / "corpus/emobank.csv",
        'id,split,V,A,D,text\na,train,4,2,3,"Oh, good."\nb,dev,3,x,3,No\nc,dev,3,3,3,..\n',
    )
    found = read("emobank", tmp_path)
    assert [u.id for u in found.utterances] == ["a"]
    assert target(found.utterances[0], "valence") == {"valence": 0.5}
    assert target(found.utterances[0], "arousal") == {"arousal": -0.5}
    assert [p.where for p in found.problems] == ["emobank.csv row 3"]


def test_contrasts_never_give_one_sentence_two_emotions(repository):
    given: dict[str, set[str]] = {}
    templates = (repository / "recipes/emofuse-small/contrast/contrast.yml").read_text("utf-8")
    for _, text, labels in sentences(yaml.safe_load(templates)):
        assert "{" not in text
        given.setdefault(text, set()).add(labels["emotion"])
    assert not {text for text, emotions in given.items() if len(emotions) > 1}
    assert set.union(*given.values()) == set(TASKS["emotion"].classes)


def test_contrast_fills_the_slots_in_every_way_and_takes_a_sentence_once(make, tmp_path):
    words = "words: {glad: [happy, merry], who: [Tom]}\npatterns:\n"
    patterns = "  - {kind: plain, emotion: joy, texts: ['{who} is {glad}.', 'I am {glad}.', 'I am happy.']}\n"
    make.text(tmp_path / "contrast.yml", words + patterns)
    found = read("contrast", tmp_path)
    assert [u.text for u in found.utterances] == ["Tom is happy.", "Tom is merry.", "I am happy.", "I am merry."]
    assert target(found.utterances[0], "emotion") == {"joy": 1.0}


HEADER = "kind\tlanguage\temotion\tpolarity\ttext\n"


def test_everyday_is_balanced_and_holds_no_broken_line(repository):
    found = read("everyday", repository / "recipes/emofuse-small/everyday")
    assert not found.problems
    assert all(u.text and u.text == " ".join(u.text.split()) for u in found.utterances)
    for language, least in {"English": 600, "Chinese": 100, "German": 150}.items():
        emotions = Counter(u.labels["emotion"] for u in found.utterances if u.language == language)
        assert min(emotions[e] for e in TASKS["emotion"].classes) >= least, (language, emotions)
    assert 0.08 < len(found.split("dev")) / len(found.utterances) < 0.12


def test_everyday_lines_never_differ_in_case_and_punctuation_alone(repository):
    found = read("everyday", repository / "recipes/emofuse-small/everyday")
    bare = Counter("".join(c for c in (u.text or "").casefold() if c.isalnum()) for u in found.utterances)
    assert not [text for text, times in bare.items() if times > 1]


def test_everyday_reads_quotes_as_they_stand_and_leaves_unmarked_polarity_open(make, tmp_path):
    rows = (
        'slang\ten\tanger\tnegative\t"Oops", he says.\nplain\tde\tsurprise\t-\tNanu!\nplain\tde\tsurprise\t-\tNanu!\n'
    )
    make.text(tmp_path / "everyday.tsv", HEADER + rows)
    found = read("everyday", tmp_path)
    angry, surprised = found.utterances
    assert angry.text == '"Oops", he says.'
    assert target(angry, "polarity") == {"negative": 1.0}
    assert np.isnan(target(surprised, "polarity")["positive"])
    assert [u.language for u in found.utterances] == ["English", "German"]
    assert corpus("everyday").groups(angry)["kind"] == "slang"
    assert [(p.where, p.kind) for p in found.problems] == [("everyday.tsv line 4", "duplicate")]
    assert [u.id for u in read("everyday", tmp_path, languages=["de"]).utterances] == ["plain_3"]
    with pytest.raises(DataError, match=r"languages='fr'.*de"):
        read("everyday", tmp_path, languages=["fr"])


def test_everyday_names_lines_that_are_broken(make, tmp_path):
    make.text(tmp_path / "everyday.tsv", HEADER + "plain\ten\tjoy\tpositive\nplain\ten\thappy\tpositive\tYes!\n")
    found = read("everyday", tmp_path)
    assert not found.utterances
    assert [(p.where, p.kind) for p in found.problems] == [
        ("everyday.tsv line 2", "row"),
        ("everyday.tsv line 3", "label"),
    ]
    make.text(tmp_path / "everyday.tsv", "text\nYes!\n")
    with pytest.raises(DataError, match="header is 'text'"):
        read("everyday", tmp_path)
