"""The image and what runs beside it: what they name is there. A daemon is not needed; CI builds where one is."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from emofuse.pipeline.drift import Reference


@pytest.fixture
def dockerfile(repository: Path) -> str:
    """Its instructions, each on one line."""
    text = (repository / "Dockerfile").read_text().replace("\\\n", " ")
    return "\n".join(line for line in text.splitlines() if line and not line.startswith("#"))


def test_the_image_runs_a_command_that_is_there_and_nobody_as_root(dockerfile):
    from typer.main import get_command

    from emofuse.cli.app import app

    entry = json.loads(dockerfile.partition("ENTRYPOINT ")[2])
    assert entry[0] == "emofuse"
    serve = get_command(app).commands["serve"]  # pyright: ignore[reportAttributeAccessIssue]
    found = serve.make_context("serve", entry[2:])
    assert found.params["host"] == "0.0.0.0" and found.params["state"] == Path("/var/lib/emofuse")
    user = dockerfile.index("\nUSER emofuse")
    assert dockerfile.index("useradd") < user < dockerfile.index("ENTRYPOINT") and "/readyz" in dockerfile
    assert "SIGTERM" in dockerfile and f"EXPOSE {found.params['port']}" in dockerfile


def test_the_image_installs_extras_that_are_there(dockerfile, repository):
    extras = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (asked,) = re.findall(r'"\.\[([a-z,]+)\]"', dockerfile)
    assert set(asked.split(",")) <= extras.keys() and {"serve", "demo"} <= set(asked.split(","))


def test_readme_lists_every_extra_and_no_other(repository):
    extras = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    table = (repository / "README.md").read_text("utf-8").partition("| extra | brings |")[2].partition("\n\n")[0]
    listed = [name for row in table.splitlines()[2:] for name in re.findall(r"`([a-z]+)`", row.split("|")[1])]
    assert sorted(listed) == sorted(extras)


def test_all_that_the_wheel_is_made_of_goes_into_the_image(repository):
    kept = [line[1:] for line in (repository / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [*wheel["packages"], *wheel["force-include"], "pyproject.toml", project["project"]["readme"], "LICENSE"]
    assert all(any(fnmatch(path, pattern) for pattern in kept) for path in needed)


def test_what_compose_mounts_and_scrapes_is_there(repository):
    services = yaml.safe_load((repository / "compose.yaml").read_text())["services"]
    for volume in services["prometheus"]["volumes"]:
        assert (repository / volume.partition(":")[0]).is_file()
    scraped = yaml.safe_load((repository / "deploy" / "prometheus.yml").read_text())
    (target,) = scraped["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target.partition(":")[0] in services and target.endswith(":8000")
    assert services["emofuse"]["read_only"] and services["emofuse"]["cap_drop"] == ["ALL"]


def test_alert_rules_and_docs_ask_for_metrics_that_are_there(repository):
    from emofuse.serve.monitor import Monitor

    reference = Reference.of([{"valence": 0.1, "present": "text"}] * 5)
    monitor = Monitor(["text"], reference, 10)
    assert monitor.drift is not None
    monitor.drift.add({"valence": 0.1, "present": "text"})
    monitor.requested("/v1/analyze", 200, 0.1)
    known = set(re.findall(r"^(emofuse_\w+)", monitor.text().decode(), re.M))
    rules = yaml.safe_load((repository / "deploy" / "alerts.yml").read_text())["groups"][0]["rules"]
    asked = {name for rule in rules for name in re.findall(r"emofuse_\w+", rule["expr"])}
    assert asked and asked <= known
    docs = (repository / "docs" / "service.md").read_text()
    assert set(re.findall(r"emofuse_drift\w+", docs)) <= known


def test_the_docs_name_options_and_routes_that_are_there(repository):
    from typer.main import get_command

    from emofuse.cli.app import app

    docs = (repository / "docs" / "service.md").read_text()
    commands = get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    options = {o for c in ("serve", "drift") for p in commands[c].params for o in (*p.opts, *p.secondary_opts)}
    for line in re.findall(r"^emofuse (?:serve|drift) .*$", docs, re.M):
        words = shlex.split(line.partition("#")[0])
        assert {word for word in words if word.startswith("--")} <= options, line
    assert {*re.findall(r"`(--[a-z-]+)", docs)} <= options
