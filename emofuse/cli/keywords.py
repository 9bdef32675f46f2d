"""`emofuse keywords` and `emofuse contrast`: the words of a collection, and what two collections differ in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emofuse.cli import options as opt
from emofuse.cli.outputs import as_csv, put, written_to_stdout
from emofuse.errors import DataError, MediaError, require_package
from emofuse.files import check_outputs

if TYPE_CHECKING:
    from emofuse.keywords.contrast import Difference, Words
    from emofuse.keywords.documents import Documents, Evidence
    from emofuse.keywords.words import Keyword

Languages = Annotated[str, typer.Option(metavar="CODE,…", help="Languages of the lemmas, the first that knows a word.")]
Csv = Annotated[str | None, typer.Option(metavar="PATH|-", help="Write CSV; - is stdout.")]
Limit = Annotated[int | None, typer.Option(min=2, help="Read at most N texts, drawn with a fixed seed.")]
_COLLECTION = "A table (csv, tsv, jsonl, parquet), or a folder that emofuse batch wrote."


def keywords(
    source: Annotated[Path, typer.Argument(metavar="OUT_OR_TABLE", help=_COLLECTION)],
    of: Annotated[str, typer.Option(metavar="MEASURE", help="anger, negative, valence, …")],
    text_column: Annotated[str, typer.Option(metavar="NAME", help="The column of the texts.")] = "text",
    language: Languages = "en",
    limit: Limit = None,
    least: Annotated[int, typer.Option(min=1, help="Documents that a word is in, at least.")] = 3,
    most: Annotated[int, typer.Option(min=1, help="Show N words for it, and N against.")] = 15,
    json: opt.Json = None,
    csv: Csv = None,
    model: opt.ModelOption = opt.DEFAULT_MODEL,
    device: opt.Device = "auto",
) -> None:
    """Show the words that carry an emotion through a collection: integrated gradients summed by lemma.

    With 95 % intervals over documents (extra keywords). Only words are read, whatever else the clips had.
    """
    _check(json, csv, [source])
    require_package("scipy", extra="keywords")
    from emofuse.keywords.documents import asked, explained, tabulate, texts_of
    from emofuse.keywords.lemmas import Lemmas
    from emofuse.keywords.words import keywords as found_in
    from emofuse.pipeline.collected import read_rows
    from emofuse.pipeline.pipeline import load

    asked(of)
    lemmas = Lemmas(opt.listed(language) or ())
    texts = texts_of(read_rows(source), text_column, limit, str(source))
    documents = tabulate(_watched(explained(load(model, device), texts, of, lemmas), len(texts)))
    found = found_in(documents, least=least)
    _write(json, csv, {"of": of, "documents": len(texts), "keywords": [one.to_dict() for one in found]}, "keywords")
    if "-" not in (json, csv):
        with written_to_stdout():
            _show_keywords(found, of, len(documents), most)


def contrast(
    a: Annotated[Path, typer.Argument(metavar="A", help=_COLLECTION)],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    clip: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="Rows alike here are one clip; default: each row is.")
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="The column of the texts, whose words are compared.")
    ] = None,
    of: Annotated[
        str | None, typer.Option(metavar="MEASURE", help="Compare what words do to this, not how frequent they are.")
    ] = None,
    language: Languages = "en",
    limit: Limit = None,
    most: Annotated[int, typer.Option(min=1, help="Show N words of each.")] = 15,
    prefix: opt.Prefix = "predicted_",
    json: opt.Json = None,
    csv: Csv = None,
    model: opt.ModelOption = opt.DEFAULT_MODEL,
    device: opt.Device = "auto",
) -> None:
    """Compare two collections: the share of each emotion, the mean of each measure, and words, B less A.

    With 95 % intervals over clips. Words need --text-column (extra keywords).
    """
    _check(json, csv, [a, b])
    require_package("scipy", extra="keywords")
    if of is not None and text_column is None:
        raise DataError("--of compares words; name the column of the texts with --text-column")
    from emofuse.keywords.contrast import clips, differences
    from emofuse.pipeline.collected import read_rows

    first, second = (clips(read_rows(each), clip, prefix, str(each)) for each in (a, b))
    found = differences(first, second)
    words = None
    if text_column is not None:
        words = _compared((a, b), text_column, of, language, limit, (model, device))
    told = [*found, *(words.found if words else ())]
    shape = {"clips": [len(first.sums), len(second.sums)], "differences": [one.to_dict() for one in told]}
    _write(json, csv, shape | {"words_compared": words.compared if words else None}, "differences")
    if "-" not in (json, csv):
        with written_to_stdout():
            _show_differences(found, words, of, most)


def _compared(
    both: Sequence[Path], column: str, of: str | None, language: str, limit: int | None, how: tuple[str, str]
) -> Words:
    """What the words of two collections differ in."""
    from emofuse.keywords.contrast import words
    from emofuse.keywords.documents import asked, counted, explained, tabulate, texts_of
    from emofuse.keywords.lemmas import Lemmas
    from emofuse.pipeline.collected import read_rows
    from emofuse.pipeline.pipeline import load

    lemmas = Lemmas(opt.listed(language) or ())
    if of is not None:
        asked(of)
    first, second = (texts_of(read_rows(each), column, limit, str(each)) for each in both)
    texts = [*first, *second]
    evidence = counted(texts, lemmas) if of is None else explained(load(*how), texts, of, lemmas)
    documents: Documents = tabulate(_watched(evidence, len(texts)))
    return words(documents.take(slice(len(first))), documents.take(slice(len(first), None)))


def _watched(evidence: Any, total: int) -> list[Evidence]:
    """All of it, under a progress bar."""
    from emofuse.pipeline.progress import bar

    found = []
    with bar(total, show=True) as report:
        for one in evidence:
            found.append(one)
            report(len(found), f"{len(found)} of {total} texts")
    return found


def _check(json: str | None, csv: str | None, inputs: Sequence[Path]) -> None:
    check_outputs([json, csv], inputs)
    if json == csv == "-":
        raise MediaError("--json - and --csv - both want stdout: write one of them to a file")


def _write(json: str | None, csv: str | None, shape: dict[str, Any], rows: str) -> None:
    from emofuse.pipeline.formats import dump

    if json is not None:
        put(json, dump(shape))
    if csv is not None:
        put(csv, as_csv(shape[rows]))


def _show_keywords(found: Sequence[Keyword], of: str, documents: int, most: int) -> None:
    from emofuse.cli.table import show_rows

    typer.echo(f"{documents} documents, {len(found)} words; {of}: sums of what their words add")
    shown = [one for one in found[:most] if one.score > 0] + [one for one in found[-most:] if one.score < 0]
    rows = [
        (one.lemma, f"{one.score:+.2f}", f"{one.low:+.2f} to {one.high:+.2f}", str(one.count), str(one.documents))
        for one in shown
    ]
    show_rows(("word", "score", "95 %", "count", "documents"), rows)


def _show_differences(found: Sequence[Difference], words: Words | None, of: str | None, most: int) -> None:
    from emofuse.cli.table import show_rows

    def cells(one: Difference, digits: int) -> tuple[str, ...]:
        numbers = (f"{one.a:.{digits}f}", f"{one.b:.{digits}f}", f"{one.difference:+.{digits}f}")
        return one.what, one.name, *numbers, f"{one.low:+.{digits}f} to {one.high:+.{digits}f}"

    header = ("", "", "A", "B", "B less A", "95 %")
    show_rows(header, [cells(one, 3) for one in found], left=2)
    if words is not None:
        unit = f"what they add to {of} in 100 documents" if of else "how often in 100 documents"
        typer.echo(f"{len(words.found)} of {words.compared} words differ (5 % false discoveries); {unit}")
        more, less = ([o for o in words.found if (o.difference > 0) is up] for up in (True, False))
        shown = [cells(one, 1) for one in [*more[:most], *less[-most:]]]
        if shown:
            show_rows(header, shown, left=2)
