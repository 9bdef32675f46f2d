"""`emofuse similar`: what in a batch is like a clip, a text or one of its own segments, and which lie together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emofuse.cli.options import Device
from emofuse.errors import DataError, MediaError, require_package

if TYPE_CHECKING:
    from emofuse.batch_jobs.similar import Kept


def similar(
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="A clip, an ID or ID#SEGMENT of the batch, or - for none.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that emofuse batch --embeddings wrote.")],
    text: Annotated[bool, typer.Option("--text", help="QUERY is a text.")] = False,
    most: Annotated[int, typer.Option(min=1, help="Show the N nearest.")] = 10,
    clusters: Annotated[int, typer.Option(min=0, help="Also show so many clusters of the whole batch.")] = 0,
    json: Annotated[str | None, typer.Option(metavar="PATH|-", help="Write JSON; - is stdout.")] = None,
    device: Device = "auto",
) -> None:
    """Find what is most like a query among the segments of a batch, by the cosine of their embeddings."""
    from emofuse.batch_jobs.run import require_extra
    from emofuse.files import check_outputs

    require_extra()
    if clusters:
        require_package("scipy", extra="torch")
    from emofuse.batch_jobs.similar import read_embeddings
    from emofuse.cli.outputs import put
    from emofuse.pipeline.formats import dump

    check_outputs([json], [] if text or query == "-" else [query])
    kept = read_embeddings(folder)
    found = [] if query == "-" and not text else _nearest(kept, query, text, most, device)
    groups = kept.embeddings.clusters(clusters, [row["emotion"] for row in kept.rows]) if clusters else []
    near = [kept.rows[i] | {"cosine": round(cosine, 4)} for i, cosine in found]
    together = [
        {"n": len(g.rows), "emotions": g.emotions, "central": [_name(kept.rows[i]) for i in g.rows[:3]]} for g in groups
    ]
    if json is not None:
        put(json, dump({"near": near, "clusters": together}))
    if json != "-":
        _show(near, together)


def _nearest(kept: Kept, query: str, text: bool, most: int, device: str) -> list[tuple[int, float]]:
    if not text and (row := kept.row_of(query)) is not None:
        return kept.embeddings.neighbours(row, most)
    if not text and not Path(query).exists():
        raise MediaError(f"{query!r} is neither a file nor an id of the batch; a text needs --text")
    from emofuse.modalities import subset_name
    from emofuse.pipeline.pipeline import load

    given: dict[str, Any] = {"text": query} if text else {"source": query}
    overall = load(kept.model, device)(**given).overall
    if overall is None or overall.embedding is None:
        raise DataError(f"nothing in {query!r} could be predicted, so it has no embedding")
    return kept.embeddings.nearest(overall.embedding, subset_name(overall.present), most)


def _name(row: dict[str, Any]) -> str:
    return f"{row['id']}#{row['segment']}"


def _show(near: list[dict[str, Any]], together: list[dict[str, Any]]) -> None:
    for row in near:
        typer.echo(f"{row['cosine']:+.3f}  {row['emotion'] or '-':9}{_name(row)}  {(row['text'] or '')[:80]}".rstrip())
    for number, group in enumerate(together, 1):
        shares = ", ".join(f"{name} {count / group['n']:.0%}" for name, count in list(group["emotions"].items())[:3])
        typer.echo(f"cluster {number}: {group['n']} segments; {shares}; for example {', '.join(group['central'])}")
