"""`emofuse compare`: paired comparison of two models with p-values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from emofuse.cli import options as opt
from emofuse.cli.outputs import put
from emofuse.errors import DataError, require_package
from emofuse.files import check_outputs

if TYPE_CHECKING:
    from emofuse.evaluation.evaluate import Evaluation


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A model, or the report folder of an evaluation.")],
    b: Annotated[str, typer.Argument(metavar="B", help="A second model or report folder.")],
    corpus: opt.CorpusIfAny = None,
    root: opt.RootIfAny = None,
    split: opt.SplitName = "dev",
    option: opt.Options = None,
    limit: opt.Limit = None,
    resamples: Annotated[int, typer.Option(min=10, help="Resamples of the bootstrap and the permutation test.")] = 1000,
    json: opt.Json = None,
    md: Annotated[str | None, typer.Option(metavar="PATH|-", help="Write Markdown; - is stdout.")] = None,
    device: opt.Device = "auto",
) -> None:
    """Test whether B is better than A on the same samples.

    Every metric's difference with its interval and p-values, resampled by speaker, dialogue or video.
    """
    evaluated = [_is_evaluation(given) for given in (a, b)]
    inputs = [path for given, done in zip((a, b), evaluated, strict=True) if done for path in Path(given).iterdir()]
    check_outputs([json, md], inputs)
    if not all(evaluated) and (corpus is None or root is None):
        raise DataError(
            "to compare models, say on what: --corpus and --root; or give the folders of two evaluations "
            "(emofuse evaluate … --out FOLDER)"
        )
    require_package("torch", extra="torch")
    from emofuse.evaluation.compare import compare as paired
    from emofuse.evaluation.compare import to_dict, to_markdown, to_text

    how = {"split": opt.split_named(split), "options": opt.read_options(option), "limit": limit, "device": device}
    sides: list[Any] = [
        Path(given) if done else _evaluated(given, cast(str, corpus), cast(Path, root), **how)
        for given, done in zip((a, b), evaluated, strict=True)
    ]
    found = paired(*sides, resamples=resamples)
    names = _names(a, b)
    if json is not None:
        from emofuse.pipeline.formats import dump

        put(json, dump({"a": names[0], "b": names[1], "tasks": to_dict(found)}))
    if md is not None:
        put(md, to_markdown(found, names))
    if "-" not in (json, md):
        typer.echo(to_text(found, names))


def _is_evaluation(given: str) -> bool:
    return (Path(given) / "predictions.npz").is_file()


def _names(a: str, b: str) -> tuple[str, str]:
    """The last parts of each name, as many as tell them apart; a run's folder holds its checkpoint in `model`."""
    first, second = ([p for p in Path(given).parts if p != "model"] or [given] for given in (a, b))
    most = max(len(first), len(second))
    count = next((n for n in range(1, most + 1) if first[-n:] != second[-n:]), 1)
    return str(Path(*first[-count:])), str(Path(*second[-count:]))


def _evaluated(
    model: str, corpus: str, root: Path, *, split: Any, options: dict[str, Any], limit: int | None, device: str
) -> Evaluation:
    """What a model says of the corpus; its intervals are not needed here."""
    from emofuse.evaluation.evaluate import evaluate_checkpoint
    from emofuse.pipeline.pipeline import load
    from emofuse.pipeline.progress import bar

    pipeline = load(model, device, backend="torch")
    with bar(1.0, show=True) as report:
        return evaluate_checkpoint(
            pipeline.model, corpus, root, split, limit=limit, options=options, name=pipeline.name, resamples=2,
            progress=lambda done, total: report(done / max(total, 1), f"{pipeline.name} on {corpus} {split}"),
        )  # fmt: skip
