"""`emofuse demo` and the script beside it: what they offer, and how they fail."""

from __future__ import annotations

import ast
import importlib.util
import socket

import pytest

from emofuse.cli import main
from emofuse.errors import EmofuseError


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit) as left:
        main(["demo", "--help"])
    said = capsys.readouterr().out
    assert not left.value.code
    options = ("--model", "--host", "--port", "--share", "--feedback", "--minutes", "--megabytes", "--waiting", "--asr")
    assert [option for option in options if option not in said] == []


def test_without_gradio_it_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(SystemExit) as left:
        main(["demo"])
    assert left.value.code == 2 and "pip install 'emofuse[demo]'" in capsys.readouterr().err


def test_a_port_that_is_taken_or_a_host_that_is_another_machine_is_one_sentence(pipeline):
    from emofuse.demo.server import free_port, serve

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EmofuseError, match=f"port {port}: Address already in use; name a free --port"):
            serve(pipeline, port=port)
    assert free_port("127.0.0.1", port) == port
    with pytest.raises(EmofuseError, match="a --host of this machine"):
        free_port("192.0.2.1", None)


def test_the_script_imports_only_what_is_public(repository):
    tree = ast.parse((repository / "demo" / "app.py").read_text(encoding="utf-8"))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == {"__future__", "sys", "emofuse", "emofuse.demo.server"}
