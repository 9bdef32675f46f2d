"""`read_plain_pickle`: builtin values and numpy arrays out of a pickle, and nothing else.

A pickle is a program: it names functions, and reading it calls them. So the reader has functions of its own for the few
names that plain arrays need and refuses every other name; what a file hands to numpy is checked before.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.errors import DataError

CODES = re.compile(r"[biufUSO]\d*")
"""Types of elements: truth values, numbers, text, bytes, and objects that are builtin values themselves."""
BROKEN = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError, OverflowError,
    MemoryError, RecursionError, OSError, ImportError, UnicodeDecodeError,
)  # fmt: skip
"""What a damaged or hostile pickle raises."""


class RefusedError(pickle.UnpicklingError):
    """The pickle asks for something that plain arrays do not need."""


def read_plain_pickle(path: str | Path) -> Any:
    """What a pickle of builtin values and numpy arrays holds; written by numpy 1 or 2, with any protocol of Python 3.

    Raises DataError that names whatever else the file asks for, or says how it is damaged.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _Unpickler(file).load()
    except RefusedError as error:
        raise DataError(
            f"{path} is refused: it asks for {error}. Reading a pickle runs what it names, so only builtin values and "
            "numpy arrays of numbers and text are taken; write the file anew with those, or as npz"
        ) from error
    except BROKEN as error:
        raise DataError(f"{path} cannot be read as a pickle: {type(error).__name__}: {error}") from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The own function for a name that arrays need."""
        found = ADMITTED.get((module, name))
        if found is None:
            raise RefusedError(f"{module}.{name}")
        return found

    def persistent_load(self, pid: Any) -> Any:
        """Refuse what lies outside the file."""
        raise RefusedError(f"the object {str(pid)[:80]!r} outside the file")


@dataclass(frozen=True)
class _Function:
    """Stands for a name; the pickle can call it, and cannot change it."""

    call: Callable[..., Any]

    def __call__(self, *given: Any) -> Any:
        return self.call(*given)

    def __setstate__(self, state: Any) -> None:
        raise RefusedError("a change to a function")


class _Dtype:
    """A type of elements, as far as its code and its byte order say it."""

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or not CODES.fullmatch(code):
            raise RefusedError(f"an array of type {code!r}")
        self.code, self.order = code, "|"

    def __setstate__(self, state: Any) -> None:
        """(version, byte order, subarray, names, fields, …); only the order is used."""
        _, order, *rest = state
        if order not in ("<", ">", "|") or any(part is not None for part in rest[:3]):
            raise RefusedError("an array of records")
        self.order = order

    @property
    def numpy(self) -> np.dtype:
        """The type, made from its checked code."""
        dtype = np.dtype(self.code)
        return dtype if self.order == "|" else dtype.newbyteorder("<" if self.order == "<" else ">")


class _Array(np.ndarray):
    def __setstate__(self, state: Any) -> None:
        """(version, shape, type, whether in Fortran's order, bytes or list of objects), once."""
        _, shape, dtype, fortran, content = state
        if self.size or not isinstance(dtype, _Dtype):
            raise RefusedError("a second content of an array")
        if isinstance(content, list) != (dtype.code[0] == "O"):
            raise RefusedError("objects made of bytes")
        if any(not isinstance(length, int) or length < 0 for length in shape):
            raise RefusedError(f"an array of shape {shape!r}")
        count = math.prod(shape)
        if isinstance(content, list) and len(content) != count:  # numpy does not look, and reads beyond the list
            raise ValueError(f"an array of {count} objects holds {len(content)}")
        if count and not dtype.numpy.itemsize:
            raise RefusedError(f"an array of {count} elements without a size")
        checked: Any = (1, tuple(shape), dtype.numpy, bool(fortran), content)
        super().__setstate__(checked)


def _reconstruct(kind: Any, *_: Any) -> np.ndarray:
    if kind != _NDARRAY:
        raise RefusedError(f"an array of the kind {kind!r}")
    return np.empty(0, np.uint8).view(_Array)


def _scalar(dtype: Any, content: Any) -> Any:
    return _frombuffer(content, dtype, (), "C")[()]


def _frombuffer(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """An array of protocol 5."""
    if not isinstance(dtype, _Dtype) or dtype.code[0] == "O":
        raise RefusedError("objects made of bytes")
    return np.frombuffer(content, dtype.numpy).reshape(shape, order=order)


def _no_bytes() -> bytes:
    """How the older protocols keep no bytes."""
    return b""


def _encode(text: str, encoding: str) -> bytes:
    """How the older protocols keep bytes."""
    if encoding != "latin1":
        raise RefusedError(f"_codecs.encode to {encoding!r}")
    return text.encode("latin1")


_NDARRAY = "ndarray"
ADMITTED: dict[tuple[str, str], Any] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Function(_reconstruct) for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Function(_scalar) for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Function(_frombuffer) for core in ("core", "_core")},
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Function(_Dtype),
    ("collections", "OrderedDict"): _Function(dict),
    ("_codecs", "encode"): _Function(_encode),
    ("__builtin__", "bytes"): _Function(_no_bytes),
}
"""Module and name in the file → what is called in its place: the names of numpy 1 (`core`) and 2 (`_core`)."""
