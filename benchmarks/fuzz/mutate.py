"""Mutations of files as functions of a random state: flips, cuts, splices, swapped headers, hostile words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

WORDS = (
    b"99999999999999999999", b"-1", b"0", b"1e999", b"NaN", b"null", b"true", b"[]", b"{}", b'""', b"[" * 2000,
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", "\u202e".encode(), b"-->", b"00:00:00,000", b"99:99:99,999",
    b"\r", b"\n\n", b"\t", b",", b'"', b"&a", b"*a", b"!!python/object:os.system", b"%s%n", b"../../..", b"a" * 5000,
)  # fmt: skip
"""What readers of numbers, times, lists, encodings and paths stumble over."""

Mutation = Callable[[bytearray, Sequence[bytes], Random], None]
"""Changes `data` in place; `others` are whole files of the same kind."""


def mutated(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """One to three mutations of a file, one after the other; never the file itself."""
    changed = bytearray(data)
    while bytes(changed) == data:
        for mutation in random.choices(MUTATIONS, k=random.randint(1, 3)):
            mutation(changed, others, random)
    return bytes(changed)


def flip(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    """Flip up to 32 bits anywhere, or all of them near the beginning, where the header is."""
    end = len(data) if random.random() < 0.5 else min(len(data), 512)
    for _ in range(random.randint(1, 32) if end else 0):
        data[random.randrange(end)] ^= 1 << random.randrange(8)


def cut_off(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    """Cut the end off."""
    del data[random.randint(0, len(data)) :]


def cut_out(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    """Cut a piece out of the middle."""
    first, length = _piece(data, random)
    del data[first : first + length]


def repeat(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    """Say a piece twice."""
    first, length = _piece(data, random)
    data[first:first] = data[first : first + length]


def blank(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    """Overwrite a piece with one byte."""
    first, length = _piece(data, random)
    data[first : first + length] = bytes([random.choice((0, 255, 32))]) * length


def splice(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    """Overwrite a piece with one of another file."""
    other = random.choice(others)
    first, length = _piece(other, random)
    place = random.randint(0, len(data))
    data[place : place + length] = other[first : first + length]


def swap_header(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    """Put the beginning of another file before this one's body."""
    length = random.choice((4, 16, 64, 512))
    data[:length] = random.choice(others)[:length]


def insert(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    """Put a hostile word somewhere, in place of what looks like a number there or beside it."""
    place = random.randint(0, len(data))
    end = place
    while end < len(data) and chr(data[end]).isdigit():
        end += 1
    data[place:end] = random.choice(WORDS)


MUTATIONS: tuple[Mutation, ...] = (flip, flip, cut_off, cut_out, repeat, blank, splice, swap_header, insert, insert)


def _piece(data: bytes | bytearray, random: Random) -> tuple[int, int]:
    """Where a piece begins, and how long it is: short ones are as frequent as long ones."""
    length = min(len(data), int(2 ** random.uniform(0, max(1, len(data).bit_length() - 1))))
    return random.randint(0, len(data) - length), length
