"""The lexicon of a recipe: a table of words given by its path, read into the text encoder's configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from emofuse.encoders.word_table import Entry, read_csv
from emofuse.errors import EmofuseError, RecipeError
from emofuse.files import home_path
from emofuse.media.transcript import read_text


def with_lexicon(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Plain values of a recipe in which each encoder's `lexicon: PATH`, from a folder, is replaced by what is in the
    table (`valences` and `affinities`), so that the recipe and the checkpoint hold it whole.

    Raises RecipeError for a table that is not there, and for a row that is wrong, by its number.
    """
    model = values.get("model")
    encoders = model.get("encoders") if isinstance(model, dict) else None
    if not isinstance(encoders, dict):
        return dict(values)
    read = {m: _read(m, one, folder) if isinstance(one, dict) else one for m, one in encoders.items()}
    return {**values, "model": {**values["model"], "encoders": read}}


def _read(modality: str, config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    given = config.get("lexicon")
    if not isinstance(given, str):
        return dict(config)
    where, path = f"model.encoders.{modality}.lexicon", folder / home_path(given)
    try:
        entries = read_csv(read_text(path, "valid: the path of a lexicon (csv)"), str(path))
        valences, affinities = _columns(entries, str(path))
    except EmofuseError as error:
        raise RecipeError(f"{where}: {error}") from None
    own = {"valences": {**(config.get("valences") or {}), **valences}, "affinities": affinities}
    return {**config, "lexicon": True, **own}


def _columns(entries: Iterable[Entry], where: str) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Word → valence, and word → emotion → strength. Raises RecipeError where a word has two of one of them."""
    valences: dict[str, float] = {}
    affinities: dict[str, dict[str, float]] = {}
    for number, entry in enumerate(entries, 2):
        word = entry.word.lower()
        if entry.valence is not None and valences.setdefault(word, entry.valence) != entry.valence:
            raise RecipeError(f"{where}, row {number}: {word!r} has the valence {valences[word]:g} above; give it one")
        if entry.emotion is not None:
            strengths = affinities.setdefault(word, {})
            if strengths.setdefault(entry.emotion, entry.strength) != entry.strength:
                raise RecipeError(
                    f"{where}, row {number}: {word!r} has {entry.emotion} at {strengths[entry.emotion]:g} above; "
                    "give it one strength of an emotion"
                )
    return valences, affinities
