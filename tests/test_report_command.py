import re
import sys

import numpy as np
import pytest
from report_samples import drawn_ranks, figures, report_content, sample_report, write_report

from fusemix.cli import run as cli
from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, RunError
from fusemix.reports.retrieval.report import VERSION
from fusemix.tables import latex_text

HOSTILE = r"a_b 100% {x} \input{y} $z$ #1 & ~ ^ <b> [q] | `r` *s*"


def _tabular(latex: str) -> list[list[str]]:
    """Rows of the tabular, after a strict look at the whole; cells as they are written."""
    assert latex.isascii() or "é" in latex
    bare = re.sub(r"\\[\\{}$&#%_]", "", latex.replace("\\\\", ""))
    depth = 0
    for letter in bare:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0, "a brace is closed that was not opened"
    assert depth == 0, "a brace stays open"
    text = re.search(r"\\caption\{(.*)\}\n", bare)
    assert text
    assert not set('$&#%_^~<>|"`[]') & set(text[1].replace("{[}", "").replace("{]}", "")), "an unescaped special"
    environments = re.findall(r"\\(begin|end)\{(\w+)\}", latex)
    assert environments == [("begin", "table"), ("begin", "tabular"), ("end", "tabular"), ("end", "table")]
    body = latex.partition(r"\toprule")[2].partition(r"\bottomrule")[0]
    columns = re.search(r"\\begin\{tabular\}\{(l(r+))\}", latex)
    assert columns
    rows = []
    for line in body.strip().splitlines():
        if line.startswith((r"\midrule", r"\cmidrule")):
            continue
        assert line.endswith(r" \\")
        cells = re.split(r"(?<!\\)&", line.removesuffix(r" \\"))
        spans = [int(found[1]) if (found := re.search(r"\\multicolumn\{(\d+)\}", cell)) else 1 for cell in cells]
        assert sum(spans) == len(columns[1])
        for cell in cells:
            assert not re.search(r"(?<!\\)[$#%_^~<>|\"`]", cell)
        rows.append([cell.strip() for cell in cells])
    return rows


def _report_output(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    run_command("report", [str(argument) for argument in arguments])
    return capsys.readouterr().out


def test_latex_has_a_row_for_each_run_with_figures_of_both_directions(tmp_path, capsys):
    a, b = sample_report(tmp_path / "a", seed=1), sample_report(tmp_path / "b_2", seed=2, hardness=2.0)
    latex = _report_output(capsys, "--format", "latex", a, b)
    assert latex == _report_output(capsys, a, b, "--format=latex")
    rows = _tabular(latex)
    assert rows[0] == ["", r"\multicolumn{3}{c}{image to text}", r"\multicolumn{3}{c}{text to image}", ""]
    assert rows[1] == ["Run", *["R@1", "R@5", "R@10"] * 2, "Sum"]
    assert [row[0] for row in rows[2:]] == ["a", r"b\_2"]
    metrics = figures(drawn_ranks(2, 2.0))
    keys = [key for key in metrics if "/recall_at_" in key]
    expected = [f"{100 * metrics[key]:.1f}" for key in [*keys, "recall_sum"]]
    assert [re.sub(r"\\textbf\{(.*)\}", r"\1", cell) for cell in rows[3][1:]] == expected
    assert all(r"\textbf" in cell for cell in rows[3][1:]), "the easier run is the better one in every column"
    caption = latex.partition(r"\caption{")[2].partition("\n")[0]
    for part in ("photos, split test", r"whole\_split", "40 queries in a gallery of 200", "a hit rate", "ranks after"):
        assert part in caption


def test_baselines_stand_above_a_rule_and_shared_ones_once(tmp_path, capsys):
    shared = {"name": "CCA", "kind": "baseline", "about": "", "metrics": figures(drawn_ranks(7, 30.0))}
    correction = {"name": "CSLS", "kind": "correction", "about": "", "metrics": figures(drawn_ranks(8))}
    own = [
        {"name": "linear", "kind": "baseline", "about": "", "metrics": figures(drawn_ranks(seed))} for seed in (3, 4)
    ]
    a, b = (sample_report(tmp_path / n, others=[shared, correction, o]) for n, o in zip("ab", own, strict=True))
    latex = _report_output(capsys, "--format=latex", a, b)
    assert [row[0] for row in _tabular(latex)[2:]] == ["CCA", "linear (a)", "linear (b)", "a", "b"]
    body = latex.partition(r"Sum \\")[2]
    assert re.findall(r"^(\\midrule|\w[\w ()]*) ?", body, flags=re.MULTILINE) == [
        "\\midrule",
        "CCA ",
        "linear (a) ",
        "linear (b) ",
        "\\midrule",
        "a ",
        "b ",
    ]


def test_names_with_specials_do_not_break_the_table(tmp_path, capsys):
    ranks = drawn_ranks(0)
    content = report_content(ranks)
    content["data"] |= {"dataset": HOSTILE, "split": '"été"'}
    content["others"] = [{"name": HOSTILE, "kind": "baseline", "about": "", "metrics": figures(ranks)}]
    folder = write_report(tmp_path / HOSTILE.replace("/", ""), content, ranks)
    rows = _tabular(_report_output(capsys, "--format=latex", folder))
    name = (
        r"a\_b 100\% \{x\} \textbackslash{}input\{y\} \$z\$ \#1 \& \textasciitilde{} \textasciicircum{} "
        r"\textless{}b\textgreater{} {[}q{]} \textbar{} \char96{}r\char96{} {*}s{*}"
    )
    assert rows[2][0] == rows[3][0] == name
    markdown = _report_output(capsys, folder)
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in markdown.splitlines() if line.startswith("|")]
    assert {len(row) for row in cells} == {8}
    assert r"\<b\>" in cells[3][0]


def test_escaping_leaves_one_line_and_no_command_of_the_name():
    assert latex_text("a\n b\t\\begin{x}") == r"a b \textbackslash{}begin\{x\}"
    assert latex_text("†–é") == r"\textdagger{}--é"


def test_a_report_of_other_items_is_marked_and_never_the_best(tmp_path, capsys):
    ranks = drawn_ranks(0)
    best = {key: np.ones_like(value) for key, value in ranks.items()}
    a = write_report(tmp_path / "a", report_content(ranks), ranks)
    elsewhere = report_content(best)
    elsewhere["data"] |= {"name": "photos/dev", "sha256": {"left": "x", "right": "y", "links": "z"}}
    b = write_report(tmp_path / "b", elsewhere, best)
    latex = _report_output(capsys, "--format=latex", a, b)
    assert _tabular(latex)[3] == [r"b \textdagger{}", *["100.0"] * 6, "600.0"]
    assert r"\textbf" not in latex
    assert r"\textdagger{} b cannot be compared with a: it was measured on photos/dev" in latex


def test_markdown_is_the_default_and_holds_the_same_figures(tmp_path, capsys):
    a = sample_report(tmp_path / "a", seed=1)
    text = _report_output(capsys, a)
    assert text == _report_output(capsys, "--format=markdown", a)
    rows = _tabular(_report_output(capsys, "--format=latex", a))
    assert f"| {' | '.join(rows[2])} |" in text


def test_report_prints_the_table_alone_and_errors_elsewhere(tmp_path, capsys, monkeypatch):
    folder = sample_report(tmp_path / "a")
    monkeypatch.setattr(sys, "argv", ["fusemix", "report", "--format=latex", str(folder)])
    cli.run()
    done = capsys.readouterr()
    assert done.out.startswith("\\begin{table}\n")
    assert done.out.endswith("\\end{table}\n")
    assert done.err == ""
    monkeypatch.setattr(sys, "argv", ["fusemix", "report", str(tmp_path / "b")])
    with pytest.raises(SystemExit, match="2"):
        cli.run()
    done = capsys.readouterr()
    assert done.out == ""
    assert done.err.startswith(f"fusemix: there is no {tmp_path / 'b'}.")


def test_report_answers_an_unknown_format_with_the_known_ones(tmp_path):
    a = str(sample_report(tmp_path / "a"))
    with pytest.raises(ConfigError, match=r"^format is 'latx', but must be markdown or latex\.$"):
        run_command("report", ["--format", "latx", a])
    with pytest.raises(ConfigError, match="--format has no value"):
        run_command("report", [a, "--format"])
    with pytest.raises(ConfigError, match=r"no option '--fromat=latex'\. Did you mean 'format'\?"):
        run_command("report", ["--fromat=latex", a])
    with pytest.raises(ConfigError, match="report needs at least one report: fusemix report --format latex reports/"):
        run_command("report", ["--format=latex"])
    with pytest.raises(RunError, match=f"is of version {VERSION - 1}, and this fusemix reads version {VERSION}"):
        run_command("report", [str(sample_report(tmp_path / "old", version=VERSION - 1))])
