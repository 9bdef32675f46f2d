"""A recipe's lexicon by its path: read from the recipe's folder, kept whole, and refused by the number of a row."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from emofuse.errors import RecipeError
from emofuse.training.recipe.read import dump_recipe, load_recipe, parse_recipe
from emofuse.training.tuning.init import model_config

TABLE = "word,valence,emotion,strength\nSlay,0.9,joy,2\nlet down,-0.7,sadness,\nlet down,,anger,0.5\ndeadline,-0.6,,\n"
VALENCES = {"slay": 0.9, "let down": -0.7, "deadline": -0.6}
AFFINITIES = {"slay": {"joy": 2.0}, "let down": {"sadness": 1.0, "anger": 0.5}}


@pytest.fixture
def written(tmp_path: Path, tiny_tokenizer: Path) -> Path:
    """A recipe whose table lies in a folder of its own beside it."""
    shape = {"model_type": "bert", "vocab_size": 120, "hidden_size": 16, "num_hidden_layers": 1}
    shape |= {"num_attention_heads": 2, "intermediate_size": 32}
    text = {"tokenizer": str(tiny_tokenizer), "architecture": shape, "lexicon": "tables/words.csv"}
    values = {"name": "own", "data": {"sources": [{"corpus": "meld"}]}, "model": {"encoders": {"text": text}}}
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "words.csv").write_text(TABLE)
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(values))
    return tmp_path / "own.yaml"


def test_the_table_is_read_from_the_recipes_folder_and_is_in_recipe_and_model(written, monkeypatch, tmp_path):
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    recipe = load_recipe(written)
    config = model_config(recipe).encoders["text"]
    assert config.lexicon is True and config.valences == VALENCES and config.affinities == AFFINITIES
    assert parse_recipe(yaml.safe_load(dump_recipe(recipe))) == recipe, "without the table"
    (elsewhere / "more.yaml").write_text(
        "extends: ../own.yaml\nname: more\nmodel: {encoders: {text: {lexicon: m.csv}}}\n"
    )
    (elsewhere / "m.csv").write_text("word,valence\nslay,0.5\nmeh,-0.2\n")
    both = model_config(load_recipe(elsewhere / "more.yaml")).encoders["text"]
    assert both.valences == VALENCES | {"slay": 0.5, "meh": -0.2} and both.affinities == AFFINITIES
    given = load_recipe(written, ["model.encoders.text.lexicon=m.csv"])
    assert given.model.encoders["text"]["valences"]["meh"] == -0.2, "of an override, from where the command runs"


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("word,valence\na,0.5\nb,2\n", r"words\.csv, row 3, valence: '2' is not a number from -1 to 1"),
        ("word,emotion\na,joyy\n", r"row 2: there is no emotion 'joyy'; did you mean 'joy'"),
        ("word,emotion,strength\na,joy,strong\n", "row 2, strength: 'strong'"),
        ("word,valence\na,0.5\nA,0.6\n", "row 3: 'a' has the valence 0.5 above"),
        ("word,emotion,strength\na,joy,1\na,fear,1\na,joy,2\n", "row 4: 'a' has joy at 1 above"),
        ("word\na\n", "its columns are word; valid"),
    ],
)
def test_a_wrong_row_is_refused_by_its_number(written, table, told):
    (written.parent / "tables" / "words.csv").write_text(table)
    with pytest.raises(RecipeError, match=rf"model\.encoders\.text\.lexicon: .*{told}"):
        load_recipe(written)


def test_a_table_that_is_not_there_is_named(written):
    with pytest.raises(RecipeError, match=r"model\.encoders\.text\.lexicon: .*none\.csv"):
        load_recipe(written, ["model.encoders.text.lexicon=none.csv"])
