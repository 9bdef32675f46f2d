"""Options that leave each other without effect are refused, in one line, before any work."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("drift {here} {here} --store {here}", "--store writes OUT_A as the reference and compares nothing"),
        ("drift {here} --store {here} --fail", "--store writes OUT_A as the reference and compares nothing"),
        ("evaluate none --corpus ravdess --root {here} --stress --compare {here}", "leave --compare out"),
        ("evaluate none --corpus ravdess --root {here} --only noise", "give --stress too"),
        ("evaluate none --corpus ravdess --root {here} --missing 0.3 --only noise", "give --stress too"),
        ("predict --text so --blur --model none", "give --render too"),
        ("data clean {here}/my.csv --trial 0.1 --cleaned {here}/b.csv", "leave --suspects and --cleaned out"),
        ("data clean {here}/my.csv --trial 0.1 --suspects {here}/b.csv", "leave --suspects and --cleaned out"),
    ],
)
def test_what_would_be_ignored_is_refused(run, tmp_path, arguments, told):
    code, out, err = run(*arguments.format(here=tmp_path).split())
    assert (code, out) == (2, "") and told in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
