"""The development split of a manifest without one: whole speakers and dialogues, by the hash of their names."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from emofuse.corpora.manifest.rows import Record
from emofuse.types import Split

FEWEST = 4
"""Groups that share neither speaker nor dialogue: two for each side."""
LARGEST = 0.5
"""Share of the rows that one such group may have, which may become dev as a whole."""
Node = tuple[str, str]


def draw(records: Sequence[Record], share: float) -> tuple[list[Record], list[str]]:
    """The records with their split, those that have none drawn as train or dev, and what is to be known of that.

    `share` of the units is dev. A unit is a speaker, else a dialogue, else a file; speakers who meet in dialogues are
    one unit, or, where these are fewer than FEWEST or one is larger than LARGEST, each dialogue is one.
    """
    loose = [r for r in records if not r.split]
    if not loose:
        return list(records), []
    unit, units = _unit_of(loose)
    drawn = _drawn({unit(r) for r in loose}, share)
    split: dict[bool, Split] = {True: "dev", False: "train"}
    placed = [r if r.split else replace(r, split=split[unit(r) in drawn]) for r in records]
    note = f"no column split: {share:.0%} of the {units} are dev, by hash of the name"
    return placed, [note, *shared(placed)]


def in_several(records: Sequence[Record], unit: str) -> dict[str, dict[Split, int]]:
    """Each speaker or dialogue (`unit`) of several splits → split → the first of its rows there."""
    where: dict[str, dict[Split, int]] = defaultdict(dict)
    for record in records:
        value = getattr(record, unit)
        if value and record.split:
            where[value].setdefault(record.split, record.number)
    return {value: splits for value, splits in where.items() if len(splits) > 1}


def shared(records: Sequence[Record]) -> list[str]:
    """A sentence for the speakers and one for the dialogues that stand in several splits, where there are any."""
    said = []
    for unit in ("speaker", "dialogue"):
        found = sorted(in_several(records, unit))
        if found:
            listed = ", ".join(found[:5]) + (", …" if len(found) > 5 else "")
            said.append(f"{len(found)} {unit}s are in both train and dev as drawn: {listed}; a column split parts them")
    return said


def _unit_of(records: Sequence[Record]) -> tuple[Callable[[Record], str], str]:
    """What is drawn as a whole: the name of the unit that a record is of, and what the units are called."""
    group = _groups(records)
    sizes = Counter(map(group, records))
    joined = len(sizes) < len(set(map(_single, records)))
    few = len(sizes) < FEWEST or max(sizes.values()) > LARGEST * len(records)
    if few and (joined or len(sizes) == 1):
        if len({r.dialogue for r in records if r.dialogue}) > 1:
            return _dialogue, "dialogues"
        return _single, "speakers, dialogues or files"
    return group, "speakers (with all whom they talk to)" if joined else "speakers, dialogues or files"


def _groups(records: Sequence[Record]) -> Callable[[Record], str]:
    """The name of the group of a record: the first of the speakers who are linked by dialogues, else as `_single`."""
    parents: dict[Node, Node] = {}

    def root(node: Node) -> Node:
        while (parent := parents.setdefault(node, node)) != node:
            parents[node] = node = parents[parent]
        return node

    for record in records:
        if record.speaker and record.dialogue:
            parents[root(("dialogue", record.dialogue))] = root(("speaker", record.speaker))
    names: dict[Node, str] = {}
    for record in records:
        if record.speaker:
            node = root(("speaker", record.speaker))
            names[node] = min(names.get(node, record.speaker), record.speaker)

    def name(record: Record) -> str:
        if not record.speaker and not record.dialogue:
            return _single(record)
        node = root(("speaker", record.speaker) if record.speaker else ("dialogue", record.dialogue or ""))
        return names.get(node, _single(record))

    return name


def _single(record: Record) -> str:
    return record.speaker or record.dialogue or record.raw_media or record.text or ""


def _dialogue(record: Record) -> str:
    return record.dialogue or _single(record)


def _drawn(units: set[str], share: float) -> frozenset[str]:
    ordered = sorted(units, key=lambda unit: hashlib.sha256(unit.encode()).hexdigest())
    count = max(1, round(share * len(ordered))) if share and len(ordered) > 1 else 0
    return frozenset(ordered[:count])
