"""Recalibration of a checkpoint on the dev sets of its recipe or of another corpus."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import safe_open

from emofuse.calibration.evidence import Evidence, evidence_of
from emofuse.calibration.parts import read_parts
from emofuse.calibration.pools import calibrate_pools
from emofuse.calibration.refit import FEWEST, Calibration, calibrate_in_turn
from emofuse.data.examples import Example, read_examples, views_of
from emofuse.errors import CheckpointError, DataError
from emofuse.evaluation.predict import predict_examples
from emofuse.model.folder import locate
from emofuse.model.model import EmotionModel
from emofuse.model.weights import Stored, stored_as
from emofuse.training.outcome.report import finite
from emofuse.training.recipe.read import load_recipe
from emofuse.training.tune import with_values

ALL = 0.999999
"""The share of a manifest without a split that is development data here, where nothing learns."""
Found = dict[str, dict[str, Calibration]]
"""Subset of modalities → task → what calibration did."""


def recalibrate(
    model: str | Path,
    out: str | Path,
    root: str | Path,
    *,
    corpus: str | None = None,
    options: Mapping[str, Any] | None = None,
    limit: int | None = None,
    device: str = "cpu",
) -> Found:
    """Write MODEL with new temperatures and prediction sets to the folder `out`, which may be MODEL's own.

    Without `corpus`: on the dev sets of the recipe in MODEL, `root` being the recipe's and `options` laid over it. With
    it: on the dev split of that corpus in `root`; what it has no samples for keeps its temperature, and its prediction
    sets are those of MODEL, but for those of answers that have moved, which are gone. With `fusion.pool: mean`, the
    pool's weights and bias are fitted anew as well; on clips that have a whole subset of the modalities, its answers
    may then be surer than their parts, and its sets lose their mark.
    The report inside says what was done. Raises CheckpointError without a recipe, DataError when no subset of the
    modalities has enough labelled samples.
    """
    folder = locate(model)
    loaded = EmotionModel.from_pretrained(folder, device=device)
    if corpus is None:
        found = _on_recipe(loaded, folder, {"root": str(root), **(options or {})}, limit)
    else:
        tasks = (*loaded.tasks, *views_of(loaded.tasks, corpus))
        chosen = {"dev_share": ALL, **(options or {})} if corpus == "manifest" else options
        examples = read_examples(corpus, root, "dev", tasks, limit=limit, options=chosen).examples
        if not examples:
            raise DataError(f"no dev utterance of {corpus} carries a label of the model's tasks; choose another corpus")
        found = _on_recordings(loaded, corpus, examples)
    if not found:
        raise DataError(
            f"too few labelled dev samples to calibrate on; no subset of the modalities has {FEWEST}. Rows of the "
            "split dev are read, of a manifest without a column split all: label more, or move rows of train to dev"
        )
    texts = {n: (folder / n).read_text("utf-8") for n in ("recipe.yaml", "README.md") if (folder / n).is_file()}
    loaded.save_pretrained(
        out, dtype=dtype_of(folder), report=_report(folder, found), recipe=texts.get("recipe.yaml"),
        card=texts.get("README.md"),
    )  # fmt: skip
    return found


def _on_recordings(model: EmotionModel, corpus: str, examples: Sequence[Example]) -> Found:
    """A few numbers where the model pools what its modalities say, else a temperature a subset."""
    if pools_alone(model):
        return calibrate_pools(model, [read_parts(model, corpus, examples)], composed=False)
    return calibrate_in_turn(model, lambda: evidence_of(corpus, predict_examples(model, examples)))


def pools_alone(model: EmotionModel) -> bool:
    """Whether fused answers are what an opinion pool makes of the parts, and nothing else."""
    return (model.config.fusion.pool, model.config.fusion.correction) == ("mean", "never")


def _on_recipe(model: EmotionModel, folder: Path, values: Mapping[str, Any], limit: int | None) -> Found:
    from emofuse.training.assemble import caches, dev_sets
    from emofuse.training.dataset.sources import read_source
    from emofuse.training.put_together import calibrate_on
    from emofuse.training.validate import evidence_of_sets, predict_set

    if not (folder / "recipe.yaml").is_file():
        raise CheckpointError(f"{folder} holds no recipe.yaml to say what its dev data are; name a corpus of your own")
    recipe = with_values(load_recipe(folder / "recipe.yaml"), values)
    if pools_alone(model):
        return calibrate_on(model, recipe, limit, lambda line: None).calibration
    sources = [s for s in recipe.data.sources if s.evaluate]
    gathered = [read_source(recipe, s.model_copy(update={"train": False}), model.tasks, limit) for s in sources]
    cache, _ = caches(recipe, model)
    sets = dev_sets(recipe, gathered, model, cache, limit)
    size = recipe.train.eval_batch_size

    def gather() -> list[Evidence]:
        return evidence_of_sets(model, sets, [predict_set(model, s, size) for s in sets], size)

    return calibrate_in_turn(model, gather)


def _report(folder: Path, found: Found) -> dict[str, Any] | None:
    """The report of MODEL with what holds now."""
    path = folder / "report.json"
    report = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    report["temperatures"] = report.get("temperatures", {}) | {
        s: {t: c.temperature for t, c in each.items()} for s, each in found.items()
    }
    report["calibration"] = report.get("calibration", {}) | {
        s: {t: asdict(c) for t, c in each.items()} for s, each in found.items()
    }
    return finite(report)


def dtype_of(folder: Path) -> Stored:
    """As the weights are stored."""
    with safe_open(folder / "model.safetensors", "pt") as file:
        return stored_as({name: file.get_slice(name).get_dtype() for name in file.keys()})  # noqa: SIM118


def table(found: Found) -> Sequence[str]:
    """A line a subset and task."""
    lines = []
    for subset, each in found.items():
        for task, c in each.items():
            change = f"ECE {c.before['ece']:.3f} → {c.after['ece']:.3f} ({c.chance:.3f} by chance)"
            where = ", ".join(c.sources)
            lines.append(f"{subset}: {task} temperature {c.temperature:.3f}, {change}, {c.n} samples of {where}")
    return lines
