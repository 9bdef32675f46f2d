"""What a command reads is never what it writes, however the name is spelled."""

from __future__ import annotations

from pathlib import Path


def test_an_evaluation_is_not_written_over_the_one_it_is_compared_with(run, tmp_path, monkeypatch):
    (tmp_path / "earlier").mkdir()
    monkeypatch.chdir(tmp_path)
    on = ("--corpus", "manifest", "--root", tmp_path / "my.csv", "--compare", tmp_path / "earlier")
    for same in (tmp_path / "earlier", Path("earlier"), Path("earlier/../earlier/")):
        code, out, err = run("evaluate", tmp_path / "no model", *on, "--out", same)
        assert (code, out) == (2, "") and f"cannot write {str(same)!r}: it is also an input; name another folder" in err


def test_rules_their_lexicon_acts_and_labels_are_inputs(run, sample, tmp_path):
    rules, words, acts, labels = (tmp_path / name for name in ("rules.yaml", "words.csv", "acts.yaml", "labels.csv"))
    rules.write_text("lexicon: words.csv\n")
    words.write_text("word,emotion\nfine,joy\n")
    acts.write_text("acts: []\n")
    labels.write_text("label,text\nrelieved,phew\n")
    (tmp_path / "table.csv").write_text("comment\nso sad\n")
    (tmp_path / "link.json").symlink_to(acts)
    table = (tmp_path / "table.csv", "--text-column", "comment")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for command, *arguments in (
        ("predict", sample, "--rules", rules, "--json", rules),
        ("predict", sample, "--rules", rules, "--seconds", words),
        ("predict", sample, "--rules", words, "--csv", words),
        ("predict", sample, "--acts", acts, "--json", tmp_path / "link.json"),
        ("predict", sample, "--labels", labels, "--csv", labels),
        ("predict", *table, "--labels", labels, "--csv", labels),
        ("predict", *table, "--rules", rules, "--csv", words),
        ("explain", sample, "--rules", rules, "--html", words),
    ):
        code, out, err = run(command, *arguments, "--model", tmp_path / "no model")
        assert (code, out) == (2, "") and "it is also an input; name another file" in err, (arguments, err)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
