"""What a visitor hands in is in no log: neither words nor names of files, whatever goes wrong."""

from __future__ import annotations

import ast

import pytest

from emofuse.demo.answers import _where

SECRETS = ("my secret words", "/tmp/visitor/clip.mp4")
WRITING = ("debug", "info", "warning", "error", "exception", "critical", "log")
SAFE = {"type(error).__name__", "type(failed).__name__", "_where(failed)"}
"""What may be put into a line of the log."""


def test_an_error_is_known_by_its_kind_and_place():
    def read(words: str, path: str) -> None:
        raise ValueError(f"{path}: cannot read {words!r}")

    with pytest.raises(ValueError, match="secret") as failed:
        read(*SECRETS)
    told = _where(failed.value)
    assert told.startswith("ValueError in ") and "read, line " in told
    assert not any(secret in told for secret in SECRETS)


def test_every_line_of_the_log_holds_kinds_of_errors_alone(repository):
    lines = 0
    for path in sorted((repository / "emofuse").rglob("*.py")):
        source = path.read_text("utf-8")
        for node in ast.walk(ast.parse(source)) if "getLogger" in source else ():
            call = node.func if isinstance(node, ast.Call) else None
            if not isinstance(call, ast.Attribute) or ast.unparse(call.value) not in ("log", "logger", "logging"):
                continue
            if call.attr not in WRITING:
                continue
            assert call.attr in ("error", "warning"), f"{path.name}: {call.attr} may print what an error says"
            assert not node.keywords and {ast.unparse(given) for given in node.args[1:]} <= SAFE, ast.unparse(node)
            lines += 1
    assert lines >= 2
