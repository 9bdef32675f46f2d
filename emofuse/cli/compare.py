"""`emofuse compare`: paired comparison of two models with p-values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from emofuse.cli.options import Device, Options, read_options
from emofuse.cli.outputs import put
from emofuse.errors import DataError
from emofuse.files import check_outputs

if TYPE_CHECKING:
    from emofuse.evaluation.evaluate import Evaluation


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A model, or the report folder of an evaluation.")],
    b: Annotated[str, typer.Argument(metavar="B", help="A second model or report folder.")],
    corpus: Annotated[str | None, typer.Option(help="Corpus reader (for models): ravdess, meld, …, manifest.")] = None,
    root: Annotated[Path | None, typer.Option(help="The corpus folder, or the manifest file.")] = None,
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "dev",
    option: Options = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use at most N utterances, stratified by class.")] = None,
    resamples: Annotated[int, typer.Option(min=10, help="Resamples of the bootstrap and the permutation test.")] = 1000,
    json: Annotated[str | None, typer.Option(metavar="PATH|-", help="Write JSON; - is stdout.")] = None,
    md: Annotated[str | None, typer.Option(metavar="PATH|-", help="Write Markdown; - is stdout.")] = None,
    device: Device = "auto",
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
    if split not in ("train", "dev", "test"):
        raise DataError(f"no split {split!r}; valid: train, dev, test")
    from emofuse.evaluation.compare import compare as paired
    from emofuse.evaluation.compare import to_dict, to_markdown, to_text

    how = {"split": split, "options": read_options(option), "limit": limit, "device": device}
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

    pipeline = load(model, device)
    with bar(1.0, show=True) as report:
        return evaluate_checkpoint(
            pipeline.model, corpus, root, split, limit=limit, options=options, name=pipeline.name, resamples=2,
            progress=lambda done, total: report(done / max(total, 1), f"{pipeline.name} on {corpus} {split}"),
        )  # fmt: skip
