"""The tool of agents: its schema, its answers, what it refuses, and the same over MCP."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from emofuse.agent.tool import call, schema
from emofuse.errors import DataError, MediaError
from emofuse.pipeline.pipeline import Pipeline


@pytest.fixture
def pipeline(tiny_model) -> Pipeline:
    return Pipeline(tiny_model, "tiny")


def test_the_schema_says_what_may_be_asked():
    found = schema()
    assert found["name"] == "predict_emotion" and "not what a person feels" in found["description"]
    assert set(found["input_schema"]["properties"]) == {"text", "speaker", "context", "file"}
    assert found["input_schema"]["additionalProperties"] is False
    json.dumps(found)


def test_an_answer_is_what_a_call_of_the_pipeline_says(pipeline):
    asked = {"text": "this is great", "speaker": "ann", "context": ["ben: i am so sad"]}
    found = call(pipeline, asked)
    overall = pipeline(text="this is great", speaker="ann", context=["ben: i am so sad"]).overall
    assert found["emotion"] == overall.top[0] and found["probability"] == pytest.approx(overall.top[1], abs=1e-4)
    assert found["measures"]["joy"] == pytest.approx(overall.emotions["joy"], abs=1e-4)
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "nothing was asked about"),
        ({"text": 3}, "text: .* see the schema"),
        ({"text": "x", "mood": "y"}, "mood: Extra inputs"),
        ({"text": "x" * 20_001}, "at most 20000 characters"),
    ],
)
def test_other_arguments_are_refused(pipeline, asked, said):
    with pytest.raises(DataError, match=said):
        call(pipeline, asked)


def test_files_are_those_of_the_shared_folder(pipeline, tmp_path, repository):
    shared, secret = tmp_path / "shared", tmp_path / "secret.txt"
    shared.mkdir()
    secret.write_text("i am so happy")
    (shared / "said.txt").write_text("this is great")
    (shared / "link.txt").symlink_to(secret)
    assert call(pipeline, {"file": "said.txt"}, shared)["emotion"]
    for name in ("../secret.txt", str(secret), "link.txt", "nowhere.txt", "."):
        with pytest.raises(MediaError, match="there is no file"):
            call(pipeline, {"file": name}, shared)
    with pytest.raises(MediaError, match="no folder of files is shared"):
        call(pipeline, {"file": "said.txt"})


@pytest.mark.slow
def test_over_mcp_the_answer_is_the_same(pipeline, in_loop):
    mcp = pytest.importorskip("mcp")
    from emofuse.agent.mcp import server

    async def ask() -> tuple[list, object, object]:
        async with mcp.Client(server(pipeline)) as client:
            tools = await client.list_tools()
            good = await client.call_tool("predict_emotion", {"text": "this is great"})
            bad = await client.call_tool("predict_emotion", {})
            return tools.tools, good, bad

    tools, good, bad = in_loop(ask())
    assert [tool.name for tool in tools] == ["predict_emotion"]
    properties = tools[0].input_schema["properties"]
    assert set(properties) == set(schema()["input_schema"]["properties"])
    assert "as they were said" in properties["text"]["description"]
    assert json.loads(good.content[0].text) == call(pipeline, {"text": "this is great"})
    assert bad.is_error and "nothing was asked about" in bad.content[0].text


@pytest.mark.slow
def test_the_command_prints_the_schema(repository: Path):
    found = subprocess.run(
        [sys.executable, "-m", "emofuse", "mcp", "--schema"], cwd=repository, capture_output=True, text=True, check=True
    )
    assert json.loads(found.stdout) == schema()
