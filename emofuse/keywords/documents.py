"""Documents as bags of lemmas: how often each has one, and how far its words moved the answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from emofuse.errors import DataError, nearest
from emofuse.keywords.lemmas import Lemmas
from emofuse.media.transcript import tokenize
from emofuse.pipeline.measures import POLES, SCALARS, check_measure
from emofuse.pipeline.pipeline import Pipeline

Evidence = list[tuple[str, float]]
"""(lemma, score) of each word of a document."""
SEED = 0
STEPS = 16
"""Points at which gradients are taken: what a single text's sum misses by them is little in a collection's."""


@dataclass(frozen=True, eq=False)
class Documents:
    """Some documents over one list of lemmas."""

    lemmas: tuple[str, ...]
    counts: sparse.csr_array
    """[documents, lemmas]: how often."""
    scores: sparse.csr_array
    """[documents, lemmas]: the sum over its words."""

    def __len__(self) -> int:
        return self.counts.shape[0]  # type: ignore[index]

    def in_documents(self) -> np.ndarray:
        """In how many documents each lemma is."""
        return np.asarray((self.counts > 0).sum(axis=0)).ravel()

    def take(self, rows: slice) -> Documents:
        """Some of the documents."""
        return Documents(self.lemmas, self.counts[rows], self.scores[rows])


def tabulate(documents: Sequence[Evidence]) -> Documents:
    """Evidence as a table."""
    places: dict[str, int] = {}
    rows, columns, scores = [], [], []
    for number, evidence in enumerate(documents):
        for lemma, score in evidence:
            rows.append(number)
            columns.append(places.setdefault(lemma, len(places)))
            scores.append(score)
    shape = (len(documents), len(places))
    return Documents(
        tuple(places), _summed(np.ones(len(rows)), rows, columns, shape), _summed(scores, rows, columns, shape)
    )


def _summed(values: Any, rows: list[int], columns: list[int], shape: tuple[int, int]) -> sparse.csr_array:
    return sparse.coo_array((np.asarray(values, float), (rows, columns)), shape=shape).tocsr()


def texts_of(
    rows: Iterable[Mapping[str, Any]], column: str, limit: int | None = None, table: str = "the table"
) -> list[str]:
    """The texts of a column, empty ones left out; of more than `limit` that many, drawn with a fixed seed.

    `table` is what messages call it. Raises `DataError` where there is no such column, or nothing in it.
    """
    generator, kept, seen, names = np.random.default_rng(SEED), [], 0, []
    for row in rows:
        if column not in row:
            raise DataError(f"the rows of {table} have no column {column!r}; {nearest(column, map(str, row))}")
        names = [column]
        text = str(row[column] or "").strip()
        if not text:
            continue
        seen += 1
        if limit is None or len(kept) < limit:
            kept.append(text)
        elif (place := int(generator.integers(seen))) < limit:
            kept[place] = text
    if not kept:
        raise DataError(f"there is no text in the column {column!r} of {table}" if names else f"{table} has no rows")
    return kept


def counted(texts: Iterable[str], lemmas: Lemmas) -> Iterator[Evidence]:
    """Each text's lemmas, all of score 1."""
    for text in texts:
        found = (lemmas(word) for word in tokenize(text))
        yield [(lemma, 1.0) for lemma in found if lemma is not None]


def explained(pipeline: Pipeline, texts: Iterable[str], of: str, lemmas: Lemmas) -> Iterator[Evidence]:
    """Each text's lemmas with the integrated gradients of their words: shares of the log-odds of a measure.

    Raises `DataError` for an unknown measure, or one that the model has not learnt from words.
    """
    task, target = asked(of)
    for text in texts:
        evidence: Evidence = []
        for found, _, _ in pipeline.explain(text=text, task=task, target=target, steps=STEPS):
            if found.answer is None:
                raise DataError(f"{pipeline.name}: {found.sentence()}")
            evidence += [(lemma, word.score) for word in found.words if (lemma := lemmas(word.text)) is not None]
        yield evidence


def asked(of: str) -> tuple[str, str | None]:
    """The task and the class that a measure is of. Raises `DataError`."""
    check_measure(of)
    return (of, None) if of in SCALARS else ("polarity", of) if of in POLES else ("emotion", of)
