"""The page on adding a corpus: its one module, found as an entry point, is read, trained on and evaluated."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import soundfile

from emofuse.corpora import registry
from emofuse.corpora.corpus import Corpus
from emofuse.errors import DataError
from emofuse.tasks import TASKS

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def registered(monkeypatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(registry, "_registered", {})


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs/adding-a-corpus.md").read_text("utf-8")


def block(page: str, language: str) -> str:
    """The first code block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def installed(page, tmp_path, monkeypatch) -> None:
    """The page's module and entry point, as a package manager would install them."""
    site = tmp_path / "site"
    about = site / "whispers-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "whispers.py").write_text(block(page, "python"), "utf-8")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: whispers\nVersion: 1.0\n")
    ((group, points),) = tomllib.loads(block(page, "toml"))["project"]["entry-points"].items()
    lines = [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (about / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(site)


@pytest.fixture
def root(make, tmp_path) -> Path:
    """Four recordings of each of four speakers, no two alike: joy is high, sadness low; three more are faulty."""
    folder = tmp_path / "data"
    folder.mkdir()
    for speaker in ("ann", "bob", "cy", "dee"):
        for number in range(4):
            emotion, pitch = (("happy", 600), ("sad", 150))[number % 2]
            time = np.arange(4_800) / 16_000
            pitch += 5 * number + 20 * ("ann", "bob", "cy", "dee").index(speaker)
            soundfile.write(
                folder / f"{speaker}_{emotion}_{number}.wav", 0.3 * np.sin(2 * np.pi * pitch * time), 16_000
            )
    make.sound(folder / "cy_bored_1.wav")
    make.truncate(make.sound(folder / "ann_sad_9.wav"))
    make.sound(folder / "ann_happyish.wav")
    return folder


def test_the_corpus_of_the_page_is_read(installed, root):
    assert "whispers" in registry.names()
    found = registry.read("whispers", root)
    assert found.summary() == "whispers: 8 train, 5 dev, 4 test; problems: 1 row, 1 truncated"
    with pytest.raises(DataError, match=r"ROOT/ann_happy_1\.wav"):
        registry.read("whispers", root.parent / "nowhere")
    reader, one = registry.corpus("whispers"), found.split("test")[0]
    assert reader.fold(one.labels, TASKS["emotion"]).argmax() == TASKS["emotion"].classes.index("joy")
    assert reader.groups(one) == {"language": "Danish", "speaker": "dee", "sex": "female"}
    assert registry.protocol_of("whispers").leading_metric(TASKS["emotion"]) == "uar"


def test_it_is_trained_on_and_evaluated(installed, root, repository, tmp_path):
    from emofuse.evaluation.evaluate import evaluate_checkpoint
    from emofuse.model.model import EmotionModel
    from emofuse.training.recipe.read import load_recipe
    from emofuse.training.run import fit

    recipe = tmp_path / "small.yaml"
    recipe.write_text(
        (repository / "recipes/emodb/small.yaml").read_text("utf-8").replace("emodb", "whispers"), "utf-8"
    )
    changes = [f"root={root}", f"output.folder={tmp_path / 'run'}", "output.tensorboard=false", "train.device=cpu"]
    folder = fit(load_recipe(recipe, [*changes, "train.epochs=1", "train.batch_size=4"]))
    found = evaluate_checkpoint(EmotionModel.from_pretrained(folder), "whispers", root, "dev", resamples=5)
    assert found.tasks["emotion"].leading == "uar" and found.tasks["emotion"].report["n"] == 4
    assert found.protocol["citation"].startswith("Doe et al. 2026")
    assert "Whispers" in (folder / "README.md").read_text("utf-8")


def test_a_class_is_registered_by_hand(page, root):
    namespace = {"__name__": "notebook"}
    exec(block(page, "python"), namespace)
    assert registry.register(namespace["Whispers"]) is namespace["Whispers"]
    assert len(registry.read("whispers", root, "train").utterances) == 8


class Bare(Corpus):
    name = "bare"


class Ravdess(Bare):
    name = "ravdess"
    licence = citation = layout = "none"
    foldings: ClassVar[dict] = {}

    def scan(self, root, log):
        return ()


def test_a_declaration_that_is_not_whole_or_takes_a_name_is_refused():
    with pytest.raises(DataError, match="Bare declares no licence, citation, layout, foldings"):
        registry.register(Bare)
    with pytest.raises(DataError, match=r"emofuse\.corpora\.ravdess both name a corpus 'ravdess'"):
        registry.register(Ravdess)
    assert registry.corpus("ravdess").citation.startswith("Livingstone")
