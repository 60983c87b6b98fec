import json

import numpy as np
import pytest
from PIL import Image
from report_samples import CAPTIONS, IMAGES, drawn_ranks, report_content, sample_report, write_report
from scipy.stats import permutation_test

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, OutputError, RunError
from fusemix.reports.comparison.picture import COLOURS, draw_comparison, look
from fusemix.reports.reading import read_reports, run_names
from fusemix.reports.retrieval.report import VERSION
from fusemix.tables import latex_text

HOSTILE = r"a_b 100% {x} \input{y} $z$ #1 & ~ ^ <b> [q] | `r` *s*"


def run_compare(*arguments: object) -> dict:
    return json.loads(run_command("compare", [str(argument) for argument in arguments]).read_text())


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
    folders = [sample_report(tmp_path / f"run_{seed}", seed=seed, hardness=4 + seed) for seed in range(3)]
    made = run_compare(*folders, f"out={tmp_path / 'out'}")
    assert [found["run"] for found in made["comparisons"]] == ["run_1", "run_2"]
    for key in made["comparisons"][0]["differences"]:
        parts = [found["differences"][key] for found in made["comparisons"]]
        least = min(range(2), key=lambda place: parts[place]["p"])
        assert parts[least]["p_holm"] == pytest.approx(min(1.0, 2 * parts[least]["p"]))
        assert all(part["p"] <= part["p_holm"] <= 1 for part in parts)
    assert "p (Holm) is corrected for the number of runs" in " ".join(capsys.readouterr().out.split())
    assert "p (Holm)" in (tmp_path / "out" / "compare.md").read_text()


OTHER_ITEMS = [
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
]


def test_other_items_are_named_as_the_reason_and_get_no_p(tmp_path, capsys):
    folders = [sample_report(tmp_path / name, seed=seed) for seed, name in enumerate("abcdef")]
    for folder, (changes, _) in zip(folders[1:], OTHER_ITEMS, strict=True):
        content = json.loads((folder / "report.json").read_text())
        (folder / "report.json").write_text(json.dumps(content | {"data": content["data"] | changes}))
    made = run_compare(*folders, f"out={tmp_path / 'out'}")["comparisons"]
    shown = " ".join(capsys.readouterr().out.split())
    text = (tmp_path / "out" / "compare.md").read_text().replace("\\", "")
    assert "Differences" not in shown
    for name, found, (_, reason) in zip("bcdef", made, OTHER_ITEMS, strict=True):
        assert reason in "; ".join(found["reasons"])
        assert (found["is_comparable"], found["differences"]) == (False, {})
        assert f"{name} cannot be compared with a, and gets no p-value: {reason}" in shown
        assert f"{name} †" in shown
        assert latex_text(reason) == reason.replace("_", r"\_")
        assert f"{name} cannot be compared with a: {reason}" in text


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
    page = (tmp_path / "out" / "compare.html").read_text()
    assert page.count('class="number best"') == 8, "all six recalls and both MRRs, of the best that can be compared"
    assert "elsewhere cannot be compared with plain" in page
    assert "**" not in shown["plain"]
    assert "**" not in shown["elsewhere"]
    assert shown["elsewhere"].count(" 100.0 ") == 6


def test_the_plot_shows_every_run_in_a_colour_or_sign_of_its_own(tmp_path):
    """More runs than there are colours."""
    count = len(COLOURS) + 1
    reports = read_reports([str(sample_report(tmp_path / f"_run${seed}$", seed=seed)) for seed in range(count)])
    files = [tmp_path / "compare.png", tmp_path / "compare.svg"]
    assert not draw_comparison(files, reports, run_names(reports), [True] * count)
    width, height = Image.open(files[0]).size
    assert width > 1000
    assert height > 500
    svg = files[1].read_text()
    drawn = {colour for colour in COLOURS if f"stroke: {colour}" in svg}
    assert drawn >= {look(place)[0] for place in range(count)}
    assert len({look(place) for place in range(count)}) == count


def test_equal_reports_give_equal_bytes(tmp_path):
    a, b = (sample_report(tmp_path / f"_run${seed}$", seed=seed) for seed in range(2))
    out = tmp_path / "out"
    names = ("compare.svg", "compare.png", "compare.json", "compare.md", "compare.html")
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
    assert ">MRR</td>" in (tmp_path / "out" / "compare.html").read_text()
    assert "–" in capsys.readouterr().out


def test_compare_takes_at_least_two_reports_and_out_alone(tmp_path):
    a = str(sample_report(tmp_path / "a"))
    with pytest.raises(ConfigError, match="compare needs at least two reports: fusemix compare reports/first"):
        run_command("compare", [a])
    with pytest.raises(ConfigError, match=r"there is no setting 'ks'\. Settings: reports, out, overwrite, wait_sec\."):
        run_command("compare", [a, "ks=1"])
    with pytest.raises(ConfigError, match="--out has no value"):
        run_command("compare", [a, "--out"])
    with pytest.raises(ConfigError, match="out= names no folder"):
        run_command("compare", [a, "out="])
    broken = sample_report(tmp_path / "b", version=VERSION - 1)
    with pytest.raises(RunError, match=f"is of version {VERSION - 1}, and this fusemix reads version {VERSION}"):
        run_command("compare", [a, str(broken)])


def test_a_table_of_somebody_else_is_not_written_over(tmp_path):
    reports = [sample_report(tmp_path / name, seed=seed) for seed, name in enumerate("ab")]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "compare.md").write_text("mine")
    with pytest.raises(OutputError, match=r"holds compare\.md, which would be written over"):
        run_compare(*reports, f"out={tmp_path / 'out'}")
    assert (tmp_path / "out" / "compare.md").read_text() == "mine"


def test_the_same_reports_are_compared_again_and_others_only_by_overwriting(tmp_path):
    a, b, c = (sample_report(tmp_path / name, seed=place) for place, name in enumerate("abc"))
    out = f"out={tmp_path / 'out'}"
    run_compare(a, b, out)
    (tmp_path / "elsewhere").mkdir()
    moved = [path.rename(tmp_path / "elsewhere" / path.name) for path in (a, b)]
    made = run_compare(*moved, out)
    with pytest.raises(OutputError, match=r"holds a comparison that differs (.*\n)*  runs: on disk \['a', 'b'\], now"):
        run_compare(moved[0], c, out)
    content = json.loads((moved[1] / "report.json").read_text())
    content["model"]["checkpoint"] = "last"
    (moved[1] / "report.json").write_text(json.dumps(content))
    with pytest.raises(
        OutputError, match=r"  reports\[1\]\.model\.checkpoint: on disk 'best', now 'last'\nChoose another out"
    ):
        run_compare(*moved, out)
    assert json.loads((tmp_path / "out" / "compare.json").read_text()) == made
    replaced = run_compare(moved[0], c, out, "overwrite=true")
    assert [run["name"] for run in replaced["runs"]] == ["a", "c"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "elsewhere", "out"]
    with pytest.raises(ConfigError, match="overwrite is 'maybe', but must be true or false"):
        run_compare(moved[0], c, out, "overwrite=maybe")


def test_figures_on_items_that_were_trained_on_are_told_first(tmp_path, capsys):
    note = "40 of 40 image items that are measured here were trained on (photos/train). Figures are meaningless"
    seen = [{"set": "photos/train", "use": "trained on", "shared": {"image": [40, 40]}, "note": note}]
    a, b = sample_report(tmp_path / "a"), sample_report(tmp_path / "b", seed=1, seen=seen)
    made = run_compare(a, b, f"out={tmp_path / 'out'}")
    assert [run["seen"] for run in made["runs"]] == [[], [note]]
    assert " ".join(capsys.readouterr().out.split()).startswith(f"b: {note}")
    assert (tmp_path / "out" / "compare.md").read_text().splitlines()[2] == f"> **b: {note}**"
    run_command("report", [str(a), str(b)])
    assert note in capsys.readouterr().out


def test_figures_with_hubs_corrected_are_told_from_plain_ones(tmp_path, capsys):
    a, b = sample_report(tmp_path / "a"), sample_report(tmp_path / "b", seed=1, is_corrected=True)
    run_compare(a, b, f"out={tmp_path / 'out'}")
    note = "b: figures are those with hubs corrected"
    assert " ".join(capsys.readouterr().out.split()).startswith(note)
    assert note in (tmp_path / "out" / "compare.md").read_text()
    assert note in (tmp_path / "out" / "compare.html").read_text()
    run_command("report", [str(a), str(b)])
    assert note in capsys.readouterr().out
