"""The mutation score: what is drawn, what counts as killed, and the table."""

from __future__ import annotations

import json

import pytest

from benchmarks import mutation


def test_a_sample_depends_on_the_seed_alone() -> None:
    names = [f"emofuse.a.x_f__mutmut_{i}" for i in range(50)]
    assert mutation.drawn(names, 10, 3) == mutation.drawn(names[::-1], 10, 3) != mutation.drawn(names, 10, 4)
    assert len(set(mutation.drawn(names, 10, 3))) == 10
    assert mutation.drawn(names, 80, 0) == sorted(names)


def test_results_are_read_from_all_modules(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutation, "MUTANTS", tmp_path)
    for module, codes in (("a", {"emofuse.a.x_f__mutmut_1": 1}), ("b", {"emofuse.b.x_g__mutmut_1": None})):
        (tmp_path / module).mkdir()
        (tmp_path / module / "m.py.meta").write_text(json.dumps({"exit_code_by_key": codes}))
    assert mutation.results() == {"emofuse.a.x_f__mutmut_1": 1, "emofuse.b.x_g__mutmut_1": None}
    (tmp_path / "mutmut-stats.json").write_text(
        json.dumps({"tests_by_mangled_function_name": {"emofuse.a.x_f": ["t"], "emofuse.b.x_g": []}})
    )
    assert mutation._tested(list(mutation.results())) == ["emofuse.a.x_f__mutmut_1"]


def test_the_table_counts_by_module_and_names_survivors(capsys: pytest.CaptureFixture[str]) -> None:
    killed = {f"emofuse.a.x_f__mutmut_{i}": i < 3 for i in range(4)} | {"emofuse.b.xǁTǁg__mutmut_1": True}
    assert mutation.report(killed, 100) == 0.8
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["emofuse.a", "3", "of", "4", "75%"], ["emofuse.b", "1", "of", "1", "100%"],
    ]  # fmt: skip
    assert lines[2].split() == ["all", "4", "of", "5", "80%", "±", "34%,", "of", "100", "mutants"]
    assert lines[3:] == ["survived: emofuse.a.x_f__mutmut_3"]


def test_a_survivor_is_not_killed_and_whatever_stops_a_run_is() -> None:
    assert {0, 5, 33, None}.isdisjoint(mutation.KILLED)
    assert {1, 36, -9} <= mutation.KILLED
