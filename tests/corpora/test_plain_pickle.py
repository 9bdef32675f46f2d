"""Pickles that other people made: plain arrays are read as they are, and nothing else in them is run."""

from __future__ import annotations

import collections
import functools
import operator
import os
import pickle
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.corpora.plain_pickle import read_plain_pickle
from emofuse.errors import DataError
from tests.mmsa import write

PLAIN = {
    "floats": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big end": np.arange(3, dtype=">i4"),
    "empty": np.zeros((0, 3)),
    "truths": np.array([True, False]),
    "texts": np.array(["so", "happy"]),
    "objects": np.array(["so", None, 1.5], dtype=object),
    "scalar": np.float64(3),
    "text": np.str_("abc"),
    "list": [1, 2.5, "a", None, (True, b"bytes", b"")],
    "ordered": collections.OrderedDict(a=1),
}


def same(one: Any, two: Any) -> bool:
    if isinstance(one, np.ndarray):
        alike = one.shape == two.shape and one.dtype.newbyteorder("=") == two.dtype.newbyteorder("=")
        return alike and one.tolist() == two.tolist()
    return one == two


@pytest.mark.parametrize(("protocol", "numpy"), [(2, 2), (3, 2), (4, 1), (4, 2), (5, 1), (5, 2)])
def test_plain_values_come_back_whole(tmp_path: Path, protocol: int, numpy: int):
    path = write(tmp_path / "f.pkl", PLAIN, protocol, numpy)
    assert (b"numpy.core" in path.read_bytes()) == (numpy == 1)
    found = read_plain_pickle(path)
    assert found.keys() == PLAIN.keys()
    for key, value in PLAIN.items():
        assert same(value, found[key]), key


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *given: Any) -> None:
        self.what = function, given

    def __reduce__(self) -> Any:
        return self.what


class Own:
    """A class of one's own."""


COMMAND = "touch ran"
HOSTILE: dict[str, Any] = {
    f"{os.system.__module__}.system": Call(os.system, COMMAND),
    "subprocess.Popen": Call(subprocess.Popen, ["touch", "ran"]),
    "builtins.eval": Call(eval, "open('ran', 'w')"),
    "builtins.exec": Call(exec, "open('ran', 'w')"),
    "builtins.getattr": Call(getattr, "said", "upper"),
    "builtins.__import__": Call(__import__, "os"),
    "builtins.bytearray": Call(bytearray, 10),
    "functools.partial": functools.partial(os.system, COMMAND),
    "operator.attrgetter": operator.attrgetter("system"),
    "numpy.load": Call(np.load, "f.npy"),
    "numpy.fromfile": Call(np.fromfile, "/etc/hostname"),
    f"{__name__}.Own": Own(),
    "pathlib": Path("ran"),
}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("within", ["alone", "in a dictionary", "in an array of objects"])
def test_whatever_else_is_asked_for_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, within: str, protocol: int
):
    monkeypatch.chdir(tmp_path)
    hidden = np.empty(1, object)
    hidden[0] = HOSTILE[name]
    value = {"alone": HOSTILE[name], "in a dictionary": {"train": [HOSTILE[name]]}, "in an array of objects": hidden}
    path = tmp_path / "f.pkl"
    path.write_bytes(pickle.dumps(value[within], protocol, fix_imports=False))
    with pytest.raises(DataError, match=rf"is refused: it asks for {re.escape(name)}.*Reading a pickle runs"):
        read_plain_pickle(path)
    assert not (tmp_path / "ran").exists()


POINTERS = np.arange(4, dtype=np.uint64).tobytes()
"""Where no object is."""


class Array:
    """Pickles as an array of a type and a content that numpy itself would not write."""

    def __init__(self, code: Any, content: Any, shape: tuple[int, ...] = (4,), *, order: str = "|", fields: Any = None):
        self.code, self.content, self.shape, self.order, self.fields = code, content, shape, order, fields

    def __reduce__(self) -> Any:
        reconstruct = np.zeros(1).__reduce__()[0]
        dtype = Dtype(self.code, (3, self.order, None, None, self.fields, -1, -1, 0))
        return reconstruct, (np.ndarray, (0,), b"b"), (1, self.shape, dtype, False, self.content)


class Dtype:
    def __init__(self, code: Any, state: tuple[Any, ...]) -> None:
        self.code, self.state = code, state

    def __reduce__(self) -> Any:
        return np.dtype, (self.code, False, True), self.state


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (Array("O8", POINTERS), "objects made of bytes"),
        (Array("V8", POINTERS), "an array of type 'V8'"),
        (Array("f8", POINTERS, fields={"a": ("O8", 0)}), "an array of records"),
        (Array([("a", "O8")], POINTERS), "an array of type"),
        (Array("u8", POINTERS, (-2, -2)), "an array of shape"),
        (Array("u8", POINTERS, order="?"), "an array of records"),
        (Array("u8", [1, 2, 3, 4]), "objects made of bytes"),
        (Array("S0", b"", (10**12,)), "elements without a size"),
    ],
)
def test_forged_arrays_are_refused(tmp_path: Path, array: Array, why: str):
    (tmp_path / "f.pkl").write_bytes(pickle.dumps(array, 4))
    with pytest.raises(DataError, match=why):
        read_plain_pickle(tmp_path / "f.pkl")


def test_a_function_cannot_be_changed(tmp_path: Path):
    program = b"cnumpy._core.multiarray\n_reconstruct\n}\x8c\x04callK\x01sb."
    (tmp_path / "f.pkl").write_bytes(b"\x80\x04" + program)
    with pytest.raises(DataError, match="a change to a function"):
        read_plain_pickle(tmp_path / "f.pkl")
    path = write(tmp_path / "g.pkl", PLAIN, 4)
    assert same(read_plain_pickle(path)["floats"], PLAIN["floats"])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        b"\x80\x04N",
        pickle.dumps(PLAIN, 4)[:-40],
        pickle.dumps(Array("u8", POINTERS, (10**15,)), 4),
        pickle.dumps(Array("u8", POINTERS[:-3]), 4),
        pickle.dumps(Array("O8", [1], (200_000,)), 4),
        pickle.dumps(Array("O8", [1, 2], (1, 1)), 4),
    ],
)
def test_a_damaged_file_says_so(tmp_path: Path, content: bytes):
    (tmp_path / "f.pkl").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a pickle"):
        read_plain_pickle(tmp_path / "f.pkl")


def test_a_persistent_object_is_refused(tmp_path: Path):
    (tmp_path / "f.pkl").write_bytes(b"Psecret\n.")
    with pytest.raises(DataError, match="'secret' outside the file"):
        read_plain_pickle(tmp_path / "f.pkl")
