"""Every recipe that is shipped loads, fits its corpus and its model, and says in its header how it is run."""

from __future__ import annotations

import inspect
import re
import subprocess
import textwrap
from pathlib import Path

import pytest

from emofuse.corpora.registry import corpus, names
from emofuse.errors import DataError
from emofuse.metrics import Interval
from emofuse.training.dataset.augment.segment import augmented
from emofuse.training.outcome.results import BEGIN, END, Row, rewrite, rows_of
from emofuse.training.recipe.read import dump_recipe, load_recipe, parse_recipe
from emofuse.training.run import fit
from emofuse.training.tuning.init import model_config
from emofuse.training.validate import check_metric

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "recipes"
RECIPES = sorted(p for p in FOLDER.rglob("*.yaml") if p.name != "tune.yaml")
OF_ONE_CORPUS = [p for p in RECIPES if p.parent.name in set(names()) - {"manifest"}]
OWN = [FOLDER / "manifest" / "small.yaml", FOLDER / "manifest" / "base.yaml"]
"""Of a table of one's own, which has neither a layout nor figures."""


def name_of(path: Path) -> str:
    return str(path.relative_to(FOLDER))


SMALL_ONLY = frozenset(
    (
        "ased",
        "brighter",
        "contrast",
        "emobank",
        "emogator",
        "emotale",
        "everyday",
        "facial_expressions",
        "isear",
        "nemo",
        "smp2020",
        "tweeteval",
        "xed",
    )
)
"""Corpora too small, or of too few classes, for base encoders of their own: one small recipe each."""


def test_every_corpus_has_its_recipes():
    folders = {p.parent.name for p in OF_ONE_CORPUS}
    assert folders == set(names()) - {"manifest", "mosi_features", "shards"}
    for folder in folders:
        expected = {"small.yaml"} if folder in SMALL_ONLY else {"base.yaml", "lora.yaml", "small.yaml"}
        assert expected <= {p.name for p in (FOLDER / folder).iterdir()}


@pytest.mark.parametrize("name", sorted(SMALL_ONLY))
def test_the_page_of_a_corpus_says_what_its_reader_declares(name: str):
    page = (FOLDER / name / "README.md").read_text("utf-8")
    for part in ("**Get it.**", "**Licence.**", "**Options.**", "**Groups.**", "**Protocol.**", "**Pitfalls.**"):
        assert part in page
    (layout,) = re.findall(r"\*\*Layout\.\*\*\n\n((?:    .*\n)+)", page)
    assert textwrap.dedent(layout).strip() == textwrap.dedent(corpus(name).layout).strip()


NOT_RUN = "# Not run yet: no figures of it are known.\n"


@pytest.mark.parametrize("path", OF_ONE_CORPUS, ids=name_of)
def test_a_recipe_that_nobody_ran_says_so(path: Path):
    """One that was run stands in a table of figures beside it, or its command beside another one."""
    figures = (path.parent / "README.md").read_text("utf-8")
    rows = re.findall(rf"^\| `?{re.escape(path.name)}\b.*", figures, re.MULTILINE)
    listed = any("| never run |" not in row for row in rows)
    was_run = listed or f"emofuse train recipes/{name_of(path)}" in figures
    assert (NOT_RUN in path.read_text("utf-8")) != was_run


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_a_recipe_loads_and_dumps(path: Path):
    import yaml

    recipe = load_recipe(path)
    check_metric(recipe.train.metric, recipe.model.all_tasks())
    assert parse_recipe(yaml.safe_load(dump_recipe(recipe))) == recipe
    if not recipe.model.init:
        assert set(model_config(recipe).encoders) == set(recipe.model.encoders)
    assert augmented(recipe.augment) <= set(recipe.model.encoders)


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_a_recipe_dry_runs(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    recipe = load_recipe(path, [f"root={tmp_path}", f"output.folder={tmp_path / 'run'}"])
    try:
        fit(recipe, dry_run=True)
    except DataError as error:
        assert "expected" in str(error)
    assert recipe.name in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("path", OF_ONE_CORPUS, ids=name_of)
def test_a_recipe_of_a_corpus_suits_it(path: Path):
    recipe = load_recipe(path)
    (source,) = recipe.data.sources
    reader = corpus(source.corpus)
    assert source.corpus.removesuffix("_features") == path.parent.name
    assert source.root == "."
    assert set(recipe.model.tasks) <= set(reader.tasks)
    assert set(source.options) <= set(inspect.signature(reader.scan).parameters)
    assert recipe.name == f"{path.parent.name.replace('_', '-')}-{path.stem}"
    header = path.read_text().split("\nname:")[0].split("\nextends:")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert f"emofuse train {path.relative_to(ROOT)} root=" in header


SAID = [("I am so glad!", "happy"), ("Go away now!", "anger"), ("It is noon.", "joy")]
TABLE = "text,speaker,split,emotion\n" + "".join(
    f"{text} {i},s{i},{'dev' if i % 2 else 'train'},{label}\n"
    for i, (text, label) in enumerate(
        6 * [("I am so glad!", "happy"), ("Go away now!", "anger"), ("It is noon.", "joy")]
    )
)


@pytest.mark.parametrize("path", OWN, ids=name_of)
def test_the_recipes_for_ones_own_data_take_a_table_with_its_own_words(path: Path, tmp_path: Path, capsys):
    (tmp_path / "my.csv").write_text(TABLE)
    labels = "data.sources.0.labels={emotion: {happy: joy}}"
    assert f"emofuse train recipes/{name_of(path)} root=my.csv" in path.read_text()
    for where in (f"root={tmp_path / 'my.csv'}", f"data.sources.0.root={tmp_path / 'my.csv'}"):
        fit(load_recipe(path, [where, labels, f"output.folder={tmp_path / 'run'}"]), dry_run=True)
        assert "manifest: 9 train, 9 dev" in capsys.readouterr().out


def test_the_small_recipe_trains_on_ones_own_table_as_it_is(tmp_path: Path):
    import emofuse

    (tmp_path / "my.csv").write_text(TABLE.replace("happy", "joy"))
    changes = [f"root={tmp_path / 'my.csv'}", f"output.folder={tmp_path / 'run'}", "train.epochs=1"]
    folder = fit(load_recipe(OWN[0], changes))
    found = emofuse.load(folder)(text="I am so glad!").overall
    assert found is not None and found.top is not None and found.top[0] == "joy"


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("run.sh")), ids=name_of)
def test_scripts_are_sound(path: Path):
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(path)], check=True)
    bare = subprocess.run([str(path)], capture_output=True, text=True)
    assert bare.returncode == 2
    assert "usage" in bare.stderr
    assert "set -euo pipefail" in path.read_text()


def test_every_corpus_with_recipes_has_a_script():
    shipped = {FOLDER / "emofuse-small"}
    assert {p.parent for p in OF_ONE_CORPUS} | shipped == {p.parent for p in FOLDER.glob("*/run.sh")}


def test_the_script_of_the_shipped_model_runs_every_stage_in_order():
    folder = FOLDER / "emofuse-small"
    header = (folder / "fusion.yaml").read_text().split("\nname:")[0]
    named = [(FOLDER.parent / path).resolve() for path in re.findall(r"emofuse train (\S+)", header)]
    script = re.findall(r"^stage (\S+)", (folder / "run.sh").read_text(), re.MULTILINE)
    assert named == [(folder / path).resolve() for path in script]
    begun = {Path(start) for path in named for start in load_recipe(path).model.init.values()}
    made = {load_recipe(path).folder / "model" for path in named} | {Path("runs/emofuse-small-voice")}
    text = "runs/emofuse-small-text"
    means = re.findall(r"^average (.+)$", (folder / "run.sh").read_text().replace("\\\n", ""), re.MULTILINE)
    for mean, *members in ([part.replace("$text", text) for part in line.split()] for line in means):
        assert len(members) > 1 and {Path(member) for member in members} <= made
        made.add(Path(mean))
    assert len(named) == 14 and len(means) == 2 and begun <= made


def row(recipe: str, figures: str) -> Row:
    return Row(recipe, "dev", "emotion", "10", figures, "1")


def test_the_table_is_rewritten_between_its_markers(tmp_path: Path):
    readme = tmp_path / "README.md"
    readme.write_text("# Corpus\n\nWords.\n")
    rewrite(readme, [row("base", "UAR 0.5"), row("small", "UAR 0.4")], "By `run.sh`.")
    rewrite(readme, [row("small", "UAR 0.6 ± 0.1")], "By `run.sh`.")
    text = readme.read_text()
    assert text.startswith("# Corpus\n\nWords.\n")
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.count("By `run.sh`.") == 1
    lines = [row("base", "UAR 0.5").line(), row("small", "UAR 0.6 ± 0.1").line()]
    assert re.findall(r"^\| (?:base|small) .*$", text, re.M) == lines
    readme.write_text(text + "\nAfter.\n")
    rewrite(readme, [row("lora", "UAR 0.7")], "By `run.sh`.")
    assert readme.read_text().endswith("\nAfter.\n")
    readme.write_text("no end " + BEGIN)
    with pytest.raises(DataError, match="without the other"):
        rewrite(readme, [], "")


def test_one_run_shows_its_interval_and_several_their_spread():
    from types import SimpleNamespace

    from emofuse.tasks import TASKS

    def evaluation(value: float) -> SimpleNamespace:
        band = Interval(value, value - 0.1, value + 0.1, 0.95, 8)
        found = SimpleNamespace(task=TASKS["emotion"], intervals={"accuracy": band}, report={"n": 8})
        return SimpleNamespace(tasks={"emotion": found})

    (single,) = rows_of("small", "dev", [evaluation(0.5)])
    assert single.figures == "accuracy (WA) 0.500 (0.400 to 0.600)"
    (several,) = rows_of("small", "dev", [evaluation(0.5), evaluation(0.7)])
    assert several.figures == "accuracy (WA) 0.600 ± 0.141"
    assert several.runs == "2"
