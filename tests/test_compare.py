import json
import re
import sys

import numpy as np
import pytest
from PIL import Image
from report_samples import CAPTIONS, IMAGES, drawn_ranks, figures, report_content, sample_report, write_report
from scipy.stats import permutation_test

from fusemix import cli
from fusemix.commands import compare, report
from fusemix.errors import ConfigError, RunError
from fusemix.retrieval.reports.comparison_picture import COLOURS, look
from fusemix.retrieval.reports.paper_tables import escaped
from fusemix.retrieval.reports.report import VERSION

HOSTILE = r"a_b 100% {x} \input{y} $z$ #1 & ~ ^ <b> [q] | `r` *s*"


def run_compare(*arguments: object) -> dict:
    return json.loads(compare.main([str(argument) for argument in arguments]).read_text())


def test_two_runs_on_the_same_items_are_compared_with_interval_and_p(tmp_path, capsys):
    a, b = sample_report(tmp_path / "a", seed=1), sample_report(tmp_path / "b", seed=2, hardness=3.0)
    made = run_compare(a, b, f"out={tmp_path / 'out'}")
    assert (made["format"], made["version"], made["first"]) == ("fusemix.comparison", 1, "a")
    assert [run["name"] for run in made["runs"]] == ["a", "b"]
    found = made["comparisons"][0]
    assert (found["run"], found["is_comparable"], found["reasons"]) == ("b", True, [])
    metrics = [run["metrics"] for run in made["runs"]]
    for key, difference in found["differences"].items():
        assert difference["difference"] == pytest.approx(metrics[1][key] - metrics[0][key])
        assert difference["interval"][0] <= difference["difference"] <= difference["interval"][1]
        assert 0 < difference["p"] == difference["p_holm"] <= 1
        assert difference["num_items"] == IMAGES
    assert {f"{d}/{m}" for d in ("image_to_text", "text_to_image") for m in ("recall_at_10", "mrr")} <= set(
        found["differences"]
    )
    shown = capsys.readouterr().out
    text = (tmp_path / "out" / "compare.md").read_text()
    for key, value in metrics[1].items():
        if "/recall_at_" in key:
            assert f" {100 * value:.1f} " in shown
            assert f"{100 * value:.1f}" in text
    p = f"{found['differences']['text_to_image/recall_at_1']['p']:.4f}"
    assert p in shown
    assert p in text
    assert "Holm" not in shown, "one comparison needs no correction"


def test_captions_of_one_picture_are_flipped_together(tmp_path):
    """scipy's test on the sums of each picture, where queries of the second report stand in another order."""
    a, b = sample_report(tmp_path / "a", seed=1), sample_report(tmp_path / "b", seed=2)
    lines = (b / "queries.jsonl").read_text().splitlines()
    (b / "queries.jsonl").write_text("\n".join(lines[::-1]))
    found = run_compare(a, b, f"out={tmp_path / 'out'}")["comparisons"][0]["differences"]["text_to_image/mrr"]
    sums = [(1 / drawn_ranks(s)["text_to_image"]).reshape(IMAGES, CAPTIONS).sum(axis=1) for s in (1, 2)]
    by_scipy = permutation_test(
        sums, lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=3000, rng=np.random.default_rng(0)
    )
    assert found["p"] == pytest.approx(by_scipy.pvalue, abs=0.05)
    assert 0.02 < found["p"] < 0.98


def test_more_runs_are_compared_with_the_first_and_corrected(tmp_path, capsys):
    folders = [sample_report(tmp_path / f"run_{seed}", seed=seed, hardness=4 + seed) for seed in range(4)]
    made = run_compare(*folders, f"out={tmp_path / 'out'}")
    assert [found["run"] for found in made["comparisons"]] == ["run_1", "run_2", "run_3"]
    for key in made["comparisons"][0]["differences"]:
        parts = [found["differences"][key] for found in made["comparisons"]]
        least = min(range(3), key=lambda place: parts[place]["p"])
        assert parts[least]["p_holm"] == pytest.approx(min(1.0, 3 * parts[least]["p"]))
        assert all(part["p"] <= part["p_holm"] <= 1 for part in parts)
    assert "p (Holm) is corrected for the number of runs" in " ".join(capsys.readouterr().out.split())
    assert "p (Holm)" in (tmp_path / "out" / "compare.md").read_text()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"name": "photos/validation", "sha256": {"left": "x", "right": "b" * 64, "links": "y"}},
            "it was measured on photos/validation, the first on photos/test (left items and links differ)",
        ),
        (
            {"sha256": {"left": "a" * 64, "right": "x", "links": "y"}},
            "its right items and links are not those of the first, though both are called photos/test",
        ),
        (
            {"sha256": {"left": "x", "right": "x", "links": "y"}},
            "its left items, right items and links are not those of the first",
        ),
        ({"sha256": None}, "it does not say which items were measured"),
        ({"sha256": {"left": "a" * 64}}, "it does not say which items were measured"),
    ],
)
def test_other_items_are_named_as_the_reason_and_get_no_p(tmp_path, capsys, changes, reason):
    a, b = sample_report(tmp_path / "a"), sample_report(tmp_path / "b", seed=1)
    content = json.loads((b / "report.json").read_text())
    (b / "report.json").write_text(json.dumps(content | {"data": content["data"] | changes}))
    found = run_compare(a, b, f"out={tmp_path / 'out'}")["comparisons"][0]
    assert reason in "; ".join(found["reasons"])
    assert (found["is_comparable"], found["differences"]) == (False, {})
    shown = " ".join(capsys.readouterr().out.split())
    assert f"b cannot be compared with a, and gets no p-value: {reason}" in shown
    assert "Differences" not in shown
    assert "b †" in shown
    assert escaped(reason) == reason.replace("_", r"\_")
    assert reason in (tmp_path / "out" / "compare.md").read_text().replace("\\", "")


def test_another_protocol_and_other_counts_are_reasons_too(tmp_path):
    a, b, c = (sample_report(tmp_path / name, seed=place) for place, name in enumerate("abc"))
    content = json.loads((b / "report.json").read_text())
    content["protocol"] = {"name": "five_folds", "folds": 5}
    (b / "report.json").write_text(json.dumps(content))
    content = json.loads((c / "report.json").read_text())
    content["counts"]["text_to_image"]["gallery"] = 39
    (c / "report.json").write_text(json.dumps(content))
    by_protocol, by_counts = run_compare(a, b, c, f"out={tmp_path / 'out'}")["comparisons"]
    assert by_protocol["reasons"] == ["it was measured by the protocol five_folds, the first by whole_split"]
    assert by_counts["reasons"] == ["text to image is 200 queries in 39 items, in the first 200 queries in 40 items"]


def test_other_queries_behind_the_same_counts_are_found_out(tmp_path):
    a, b = sample_report(tmp_path / "a"), sample_report(tmp_path / "b", seed=1)
    file = b / "queries.jsonl"
    file.write_text(file.read_text().replace('"000.jpg#3"', '"else"'))
    found = run_compare(a, b, f"out={tmp_path / 'out'}")["comparisons"][0]
    assert found["reasons"] == ["text to image has 1 queries that the first has not, and lacks 1 of its queries"]
    assert found["differences"] == {}


def test_the_best_comparable_figure_is_bold(tmp_path):
    ranks = drawn_ranks(0)
    better = {key: np.maximum(1, value // 2) for key, value in ranks.items()}
    best = {key: np.ones_like(value) for key, value in ranks.items()}
    write_report(tmp_path / "plain", report_content(ranks), ranks)
    write_report(tmp_path / "better", report_content(better), better)
    elsewhere = report_content(best)
    elsewhere["data"]["sha256"]["left"] = "x"
    write_report(tmp_path / "elsewhere", elsewhere, best)
    run_compare(*(tmp_path / name for name in ("plain", "better", "elsewhere")), f"out={tmp_path / 'out'}")
    rows = (tmp_path / "out" / "compare.md").read_text().splitlines()
    shown = {
        name: next(row for row in rows if row.startswith(f"| {name} ")) for name in ("plain", "better", "elsewhere")
    }
    assert shown["better"].count("**") == 14, "all six recalls and their sum"
    assert "**" not in shown["plain"]
    assert "**" not in shown["elsewhere"]
    assert shown["elsewhere"].count(" 100.0 ") == 6


@pytest.mark.parametrize("count", [2, 9])
def test_the_plot_shows_every_run_in_a_colour_or_sign_of_its_own(tmp_path, count, capsys):
    folders = [sample_report(tmp_path / f"_run${seed}$", seed=seed) for seed in range(count)]
    out = tmp_path / "out"
    run_compare(*folders, f"out={out}")
    width, height = Image.open(out / "compare.png").size
    assert width > 1000
    assert height > 500
    svg = (out / "compare.svg").read_text()
    drawn = {colour for colour in COLOURS if f"stroke: {colour}" in svg}
    assert drawn >= {look(place)[0] for place in range(count)}
    assert len({look(place) for place in range(count)}) == count


def test_equal_reports_give_equal_bytes(tmp_path):
    a, b, out = sample_report(tmp_path / "a"), sample_report(tmp_path / "b", seed=1), tmp_path / "out"
    names = ("compare.svg", "compare.png", "compare.json", "compare.md")
    run_compare(a, b, f"out={out}")
    once = [(out / name).read_bytes() for name in names]
    run_compare(a, b, f"out={out}")
    assert [(out / name).read_bytes() for name in names] == once


def test_reports_without_intervals_or_mrr_are_compared_all_the_same(tmp_path, capsys):
    folders = [sample_report(tmp_path / name, seed=place) for place, name in enumerate("ab")]
    for folder in folders:
        content = json.loads((folder / "report.json").read_text())
        content["intervals"] = {}
        content["metrics"] = {key: value for key, value in content["metrics"].items() if "/recall_at" in key}
        (folder / "report.json").write_text(json.dumps(content))
    found = run_compare(*folders, f"out={tmp_path / 'out'}")["comparisons"][0]
    assert "text_to_image/mrr" in found["differences"]
    assert "–" in capsys.readouterr().out


def test_compare_takes_at_least_two_reports_and_out_alone(tmp_path):
    a = str(sample_report(tmp_path / "a"))
    with pytest.raises(ConfigError, match="compare needs at least two reports: fusemix compare reports/first"):
        compare.main([a])
    with pytest.raises(ConfigError, match=r"compare has no setting 'ks=1'\. It takes paths of reports, and out=FOLDER"):
        compare.main([a, "ks=1"])
    with pytest.raises(ConfigError, match="compare has no setting '--out'"):
        compare.main([a, "--out"])
    with pytest.raises(ConfigError, match="out= names no folder"):
        compare.main([a, "out="])
    broken = sample_report(tmp_path / "b", version=VERSION - 1)
    with pytest.raises(RunError, match=f"is of version {VERSION - 1}, and this fusemix reads version {VERSION}"):
        compare.main([a, str(broken)])


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
    report.main([str(argument) for argument in arguments])
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
        r"\textless{}b\textgreater{} {[}q{]} \textbar{} \char96{}r\char96{} *s*"
    )
    assert rows[2][0] == rows[3][0] == name
    markdown = _report_output(capsys, folder)
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in markdown.splitlines() if line.startswith("|")]
    assert {len(row) for row in cells} == {8}
    assert r"\<b\>" in cells[3][0]


def test_escaping_leaves_one_line_and_no_command_of_the_name():
    assert escaped("a\n b\t\\begin{x}") == r"a b \textbackslash{}begin\{x\}"
    assert escaped("†–é") == r"\textdagger{}--é"


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
    with pytest.raises(
        ConfigError, match=r"there is no format 'latx'\. Did you mean 'latex'\? Known: markdown, latex\."
    ):
        report.main(["--format", "latx", a])
    with pytest.raises(ConfigError, match=r"there is no format ''\. Known: markdown, latex"):
        report.main([a, "--format"])
    with pytest.raises(ConfigError, match=r"report has no option '--fromat'\. Did you mean '--format'\?"):
        report.main(["--fromat=latex", a])
    with pytest.raises(ConfigError, match="report needs at least one report: fusemix report --format latex reports/"):
        report.main(["--format=latex"])
    with pytest.raises(RunError, match=f"is of version {VERSION - 1}, and this fusemix reads version {VERSION}"):
        report.main([str(sample_report(tmp_path / "old", version=VERSION - 1))])
