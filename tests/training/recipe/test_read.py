from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from emofuse.errors import RecipeError
from emofuse.training.recipe.read import dump_recipe, load_recipe, parse_recipe
from emofuse.training.tuning.init import model_config

PLAIN = {
    "name": "plain",
    "data": {"sources": [{"corpus": "meld", "root": "meld"}]},
    "model": {"encoders": {"text": {"source": "owner/name"}}},
}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "plain.yaml"
    path.write_text(yaml.safe_dump(PLAIN))
    return path


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.lrr=1", r"unknown key 'optim.lrr'; did you mean 'lr'\?"),
        ("agument.text.case=1", r"unknown key 'agument'; did you mean 'augment'\?"),
        ("data.sources.0.wieght=2", r"wieght.*did you mean 'weight'\?"),
        ("strategy.text.rnak=4", r"rnak.*did you mean 'rank'\?"),
        ("train.metric=emotoin.uar", r"no task 'emotoin'; did you mean 'emotion'\?"),
        ("model.tasks=[emotions]", r"unknown task 'emotions'; did you mean 'emotion'\?"),
        ("strategy.face=lora", r"no face encoder; .*text"),
        ("data.sources.3.weight=2", r"'3' is no index into a list of 1"),
        ("optim.lr", "an override reads key=value"),
        ("name.more=1", "holds 'plain', which has no parts"),
        ("optim.lr=fast", r"optim\.lr: .*got 'fast'"),
        ("train.split=test", "unknown key 'train.split'"),
        ("strategy.text=lorra", r"strategy\.text.*'lora'.*got 'lorra'"),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(written, override, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(written, [override])


def test_overrides_reach_lists_and_strategies(written):
    recipe = load_recipe(
        written,
        ["optim.lr=1e-2", "data.sources.0.weight=2", "strategy.text=lora", "strategy.text.rank=3", "root=/data"],
    )
    assert recipe.optim.lr == 0.01
    assert recipe.data.sources[0].weight == 2
    assert (recipe.strategy["text"].kind, recipe.strategy["text"].rank) == ("lora", 3)
    assert recipe.source_root(recipe.data.sources[0]) == Path("/data/meld")


def test_a_recipe_extends_another_and_lays_over_it(written, tmp_path):
    over = tmp_path / "over.yaml"
    over.write_text("extends: plain.yaml\nname: over\noptim: {lr: 0.5}\n")
    again = tmp_path / "again.yaml"
    again.write_text("extends: over.yaml\noptim: {clip: 2}\n")
    recipe = load_recipe(again)
    assert (recipe.name, recipe.optim.lr, recipe.optim.clip) == ("over", 0.5, 2)
    assert recipe.data.sources[0].corpus == "meld"
    (tmp_path / "plain.yaml").write_text("extends: again.yaml\n")
    with pytest.raises(RecipeError, match="extends itself"):
        load_recipe(again)


def test_a_recipe_with_the_former_name_of_unimodal_is_read(written):
    recipe = load_recipe(written, ["model.fusion.alone=own"])
    assert model_config(recipe).fusion.unimodal == "passthrough"
    recipe = load_recipe(written, ["model.fusion.alone=own", "model.fusion.unimodal=corrected"])
    assert model_config(recipe).fusion.unimodal == "corrected"


def test_a_dumped_recipe_reads_back_equal(written, tmp_path):
    recipe = load_recipe(written, ["strategy.text={kind: ia3, merge: false}", "seeds=[0, 1]", "root=/data"])
    path = tmp_path / "dumped.yaml"
    path.write_text(dump_recipe(recipe))
    assert load_recipe(path) == recipe


def test_no_root_is_said_when_data_are_asked_for(written):
    recipe = load_recipe(written)
    with pytest.raises(RecipeError, match="add root=FOLDER"):
        recipe.source_root(recipe.data.sources[0])


def test_what_is_no_recipe_is_said(tmp_path):
    with pytest.raises(RecipeError, match="no recipe at"):
        load_recipe(tmp_path / "none.yaml")
    path = tmp_path / "list.yaml"
    path.write_text("- 1\n")
    with pytest.raises(RecipeError, match="a mapping of sections, not list"):
        load_recipe(path)
    path.write_text("a: [1\n")
    with pytest.raises(RecipeError, match="is not YAML"):
        load_recipe(path)
    with pytest.raises(RecipeError, match=r"name.*Field required"):
        parse_recipe({k: v for k, v in PLAIN.items() if k != "name"})


@pytest.mark.parametrize("base", ["[1, 2]", "{a: 1}", "7", "true", '""', '"a\\0b"', "0", "[]"])
def test_what_is_extended_is_the_path_of_one_recipe(tmp_path, base):
    (tmp_path / "own.yaml").write_text(f"extends: {base}\nname: own\n")
    with pytest.raises(RecipeError, match=r"own.yaml: extends is the path of one recipe"):
        load_recipe(tmp_path / "own.yaml")


@pytest.mark.parametrize(
    "text", ["a: " + "[" * 3000, "a: " + "[" * 3000 + "]" * 3000, "{a: " * 3000, "- " * 3000 + "x"]
)
def test_brackets_without_end_are_no_recipe(tmp_path, written, text):
    (tmp_path / "deep.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"deep.yaml (is nested too deeply|is not YAML)"):
        load_recipe(tmp_path / "deep.yaml")
    with pytest.raises(RecipeError, match=r"override 'name' (is nested too deeply|is not YAML)"):
        load_recipe(written, [f"name={text.removeprefix('a: ')}"])


def test_yaml_that_names_no_day_or_grows_without_end_is_refused_in_a_line(tmp_path, written):
    with pytest.raises(RecipeError, match="override 'name' is not YAML"):
        load_recipe(written, ["name=2024-13-45"])
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    (tmp_path / "laughs.yaml").write_text("\n".join(lines))
    with pytest.raises(RecipeError, match="unknown key") as refused:
        load_recipe(tmp_path / "laughs.yaml")
    assert len(str(refused.value)) < 5000
    (tmp_path / "laughs.yaml").write_text("\n".join([*lines, "name: *a11"]))
    with pytest.raises(RecipeError) as refused:
        load_recipe(tmp_path / "laughs.yaml")
    assert len(str(refused.value)) < 5000
