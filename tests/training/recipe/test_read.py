from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from emofuse.errors import RecipeError
from emofuse.training.recipe.dry_run import show_plan
from emofuse.training.recipe.read import dump_recipe, load_recipe, parse_recipe
from emofuse.training.tuning.init import build, model_config

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
        ("data.sources.².weight=2", r"'²' is no index into a list of 1"),
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


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("output.folder='runs/{Name}'", r"output\.folder: got 'runs/\{Name\}'; in braces stands \{name\} alone"),
        ("output.folder='runs/{}'", r"output\.folder: got 'runs/\{\}'"),
        ("output.folder='runs/{name'", r"output\.folder: got 'runs/\{name'"),
        ("optim.betas=[0.9, 1.0]", r"optim\.betas\.1: .*less than 1, got 1\.0"),
        ("optim.betas=[-0.1, 0.9]", r"optim\.betas\.0: .*greater than or equal to 0, got -0\.1"),
        ("augment.speech.snr=[30, 5]", r"augment\.speech\.snr: got \[30, 5\], a range .*; give \[5, 30\]"),
        ("augment.speech.gain=.nan", r"augment\.speech\.gain: .*got nan"),
        ("augment.speech.snr=[0, .inf]", r"augment\.speech\.snr\.1: .*finite number, got inf"),
        ("augment.speech.decay=[0, 0]", r"augment\.speech\.decay\.0: .*greater than 0, got 0"),
        ("augment.speech.speeds=[0, 1]", r"augment\.speech\.speeds\.0: .*greater than 0, got 0"),
        ("augment.speech.keep=[0.5, 1.5]", r"augment\.speech\.keep\.1: .*less than or equal to 1, got 1\.5"),
        ("augment.face.scale=[0, 1]", r"augment\.face\.scale\.0: .*greater than 0, got 0"),
        ("model.more_tasks=[{kind: scalar}]", r"model\.more_tasks: \{'kind': 'scalar'\} has no name; give"),
        (
            "model.more_tasks=[{name: mood}]",
            r"model\.more_tasks: .*is of kind None; valid: categorical, multilabel, sc",
        ),
        ("model.more_tasks=[{name: mood, kind: [scalar]}]", r"is of kind \['scalar'\]; valid"),
        ("model.more_tasks=[{name: mood, kind: categorical}]", r"has classes \(\); a categorical task has two or more"),
        (
            "model.more_tasks=[{name: mood, kind: categorical, classes: 7}]",
            r"has classes 7; a categorical task has two",
        ),
        ("model.more_tasks=[{name: mood, kind: scalar, classes: [a, b]}]", r"a scalar task has no classes but low and"),
        ("model.more_tasks=[{name: mood, kind: scalar, low: 1}]", r"goes from 1 to 1\.0; give numbers, low below high"),
        ("model.more_tasks=[{name: mood, kind: scalar, high: a}]", r"goes from 0\.0 to 'a'; give numbers"),
    ],
)
def test_values_that_would_fail_in_the_midst_of_a_run_are_refused(written, override, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(written, [override])


def test_ranges_and_tasks_that_hold_are_taken(written):
    given = ["augment.speech.snr=[5, 5]", "optim.betas=[0.9, 0.5]", "output.folder='runs/{name}/a'"]
    tasks = "[{name: mood, kind: categorical, classes: [low, high]}, {name: energy, kind: scalar, low: -1}]"
    recipe = load_recipe(written, [*given, f"model.more_tasks={tasks}", "model.tasks=[emotion, mood, energy]"])
    assert recipe.augment.speech.snr == (5.0, 5.0) and recipe.optim.betas == (0.9, 0.5)
    assert recipe.folder == Path("runs/plain/a")
    assert [(t.kind, t.width) for t in recipe.model.all_tasks()[1:]] == [("categorical", 2), ("scalar", 1)]


HUGE = 99999999999999999999


@pytest.mark.parametrize(
    "key",
    [
        "seed", "seeds", "data.cache_mb", "data.compose.size", "data.compose.frames", "strategy.text.rank",
        "strategy.text.tokens", "train.epochs", "train.batch_size", "train.eval_batch_size", "train.accumulation",
        "train.patience", "train.save_steps", "train.threads", "train.workers", "augment.speech.masks",
    ],
)  # fmt: skip
def test_every_size_of_a_recipe_has_a_bound(written, key):
    value = f"[{HUGE}]" if key == "seeds" else HUGE
    with pytest.raises(RecipeError, match=rf"{key}.*less than"):
        load_recipe(written, [f"{key}={value}"])
    with pytest.raises(RecipeError, match=r"seed.*greater than or equal to 0"):
        load_recipe(written, ["seed=-1"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (f"encoders.text.architecture={{num_hidden_layers: {HUGE}}}", f"num_hidden_layers is {HUGE}; at most 1,000"),
        ("encoders.text.architecture={depths: [2, 2000]}", "depths is 2000; at most 1,000 is built"),
        (f"encoders.text.architecture={{inner: {{hidden_size: -{HUGE}}}}}", f"hidden_size is -{HUGE}; at most"),
        (f"encoders.text.max_length={HUGE}", "max_length: .*less than"),
        (f"encoders.text.context_turns={HUGE}", "context_turns: .*less than"),
        (f"encoders.speech={{architecture: {{}}, last_layers: {HUGE}}}", "last_layers: .*less than"),
        (f"encoders.face={{architecture: {{}}, image_size: {HUGE}}}", "image_size: .*less than"),
        (f"encoders.face={{kind: features, width: {HUGE}}}", "width: .*less than"),
        (f"encoders.face={{kind: features, width: 1, dim: {HUGE}}}", "dim: .*less than"),
        (f"fusion.dim={8 * HUGE}", "dim: .*less than"),
        (f"fusion.layers={HUGE}", "layers: .*less than"),
        (f"fusion.heads={HUGE}", "heads: .*less than"),
        (f"fusion.feedforward={HUGE}", "feedforward: .*less than"),
    ],
)
def test_every_size_of_a_model_has_a_bound(written, override, message):
    """One layer more than memory holds would be built for ever, and not be refused."""
    with pytest.raises(RecipeError, match=message):
        model_config(load_recipe(written, [f"model.{override}"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("num_attention_heads=0", "hidden_size 16 is no multiple of num_attention_heads 0"),
        ("hidden_size=17", "hidden_size 17 is no multiple of num_attention_heads 2"),
        ("model_type=nothing", r"model: the encoders cannot be built as they are described \("),
        ("vocab_size=many", r"model: the encoders cannot be built as they are described \("),
    ],
)
def test_numbers_that_do_not_go_together_are_refused_before_any_weight(written, tiny_tokenizer, change, message):
    values = "{model_type: bert, vocab_size: 120, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2}"
    given = [f"model.encoders.text={{tokenizer: '{tiny_tokenizer}', architecture: {values}}}"]
    recipe = load_recipe(written, [*given, f"model.encoders.text.architecture.{change}"])
    for build_it in (build, show_plan):
        with pytest.raises(RecipeError, match=message):
            build_it(recipe)


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
    path.write_text("extends: gone.yaml\n")
    with pytest.raises(RecipeError, match=r"no recipe at .*gone.yaml, which .*list.yaml extends"):
        load_recipe(path)
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
