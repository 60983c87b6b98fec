"""The evaluation command on a small run: its files, what stands beside the figures, and several processes."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from evaluation_world import CAPTIONS, World, broken_run, evaluated, settings, write_latents
from PIL import Image

from fusemix.cli.called import run_command
from fusemix.reports.reading import read_queries, read_report

ROOT = Path(__file__).parents[1]
NAMES = ("image_to_text", "text_to_image")


@pytest.fixture(scope="module")
def world(evaluation_world) -> World:
    return evaluation_world


@pytest.fixture(scope="module")
def folder(world, tmp_path_factory) -> Path:
    """A report with everything that can stand in one."""
    out = tmp_path_factory.mktemp("reports") / "all"
    train = world.sets / "train"
    beside = [
        f"baselines.CCA.train={train}",
        "baselines.clip.encoders={image: [clip], text: [clip_text]}",
        f"bank={train}",
        "indexes={'IVF4,Flat': nprobe=4, PQ4x4: ''}",
        "num_examples=2",
    ]
    return run_command("eval_retrieval", settings(world, out, *beside)).parent


@pytest.fixture(scope="module")
def plain(world, tmp_path_factory) -> Path:
    """A report of the model alone."""
    out = tmp_path_factory.mktemp("plain") / "report"
    evaluated(world, out, "num_examples=1")
    return out


@pytest.fixture(scope="module")
def report(folder) -> dict:
    return json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def lines(folder) -> dict[str, list[dict]]:
    """Direction -> lines of queries.jsonl."""
    found = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
    return {name: [line for line in found if line["direction"] == name] for name in NAMES}


def other(report: dict, name: str) -> dict:
    return next(each for each in report["others"] if each["name"] == name)


def sizes(report: dict, name: str) -> dict[str, int]:
    """Counts that the data decide; how many scores tie is decided by the last bits of a processor's sums."""
    return {key: count for key, count in report["counts"][name].items() if key != "tied_queries"}


# One story


def test_the_command_leaves_all_its_files(folder):
    assert {path.name for path in folder.iterdir()} == {
        "report.html",
        "report.json",
        "report.md",
        "queries.jsonl",
        "examples.png",
    }
    assert Image.open(folder / "examples.png").width > 500


def test_figures_of_the_report_are_those_of_the_queries(report, lines):
    for name in NAMES:
        ranks = np.array([line["rank"] for line in lines[name]])
        figures = {key.partition("/")[2]: value for key, value in report["metrics"].items() if key.startswith(name)}
        assert len(ranks) == report["counts"][name]["queries"]
        for k in (1, 5, 10):
            assert figures[f"recall_at_{k}"] == pytest.approx((ranks <= k).mean())
        assert figures["mrr"] == pytest.approx((1 / ranks).mean())
        assert figures["median_rank"] == np.median(ranks)
        assert figures["mean_rank"] == pytest.approx(ranks.mean())
        for line in lines[name]:
            first = next((place for place, linked in enumerate(line["is_linked"], 1) if linked), None)
            assert line["rank"] == first or (first is None and line["rank"] > 10)
    assert 0.1 < report["metrics"]["mean_recall"] < 1, "neither chance nor so easy that every figure is the same"


def test_queries_say_what_is_linked_and_whom_they_belong_to(lines):
    for line in lines["image_to_text"]:
        place = int(line["query"].removeprefix("picture-"))
        own = {f"text-{CAPTIONS * place + number}" for number in range(CAPTIONS)}
        assert line["is_linked"] == [found in own for found in line["found"]]
        assert line["first_linked"] in own
        assert line["left_item"] == line["query"]
    for line in lines["text_to_image"]:
        picture = f"picture-{int(line['query'].removeprefix('text-')) // CAPTIONS}"
        assert line["left_item"] == line["first_linked"] == picture
        assert line["is_linked"] == [found == picture for found in line["found"]]


def test_markdown_and_page_show_the_figures_of_the_report(folder, report):
    text, page = (folder / "report.md").read_text(), (folder / "report.html").read_text()
    for name in NAMES:
        for metric in ("recall_at_1", "recall_at_5", "recall_at_10"):
            figure = f"{100 * report['metrics'][f'{name}/{metric}']:.1f}"
            assert figure in text
            assert figure in page
    for each in report["others"]:
        for shown in (text, page):
            assert each["name"] in shown
            assert f"{100 * each['metrics']['image_to_text/recall_at_1']:.1f}" in shown
    assert "PQ4x4" in text
    assert "PQ4x4" in page
    assert "picture-" in page, "what cannot be shown any more is shown by its id"


def test_a_query_that_found_nothing_right_is_shown_what_it_should_have_found_with_its_rank(folder, lines):
    page = (folder / "report.html").read_text()
    missed = [line for name in NAMES for line in lines[name] if not any(line["is_linked"][:5])]
    for block in (shown := re.findall(r'beyond">.*?</li>', page, re.S)):
        (rank,) = re.findall(r'"place">rank ([\d,]+)<', block)
        assert any(f">{line['first_linked']}<" in block and f"{line['rank']:,}" == rank for line in missed)
    assert shown
    cards = re.findall(r'<article class="card".*?</article>', page, re.S)
    assert all("✓ linked" in card for card in cards), "each card shows something that is right"


def test_the_report_is_read_back_by_what_compares_and_prints(folder, report):
    read = read_report(folder)
    assert read.data == report
    assert read.ks == [1, 5, 10]
    queries = read_queries(read)
    assert {name: len(found.ids) for name, found in queries.items()} == {
        name: report["counts"][name]["queries"] for name in NAMES
    }


def test_items_without_link_are_in_the_gallery_and_counted(report):
    """Two pictures could not be encoded, and their captions are still there to be found."""
    captions = 60 * CAPTIONS
    assert sizes(report, "image_to_text") == {
        "queries": 58,
        "gallery": captions,
        "links": 58 * CAPTIONS,
        "without_link": 0,
    }
    assert sizes(report, "text_to_image") == {
        "queries": 58 * CAPTIONS,
        "gallery": 58,
        "links": 58 * CAPTIONS,
        "without_link": 2 * CAPTIONS,
    }
    assert report["data"]["num_unusable"] == 2


def test_every_figure_has_an_interval_around_it(report):
    assert report["intervals"].keys() == report["metrics"].keys()
    for name, (low, high) in report["intervals"].items():
        assert low <= report["metrics"][name] <= high


def test_the_same_command_gives_the_same_report_and_another_seed_other_intervals(world, plain, tmp_path):
    one, again = read_report(plain).data, evaluated(world, tmp_path / "again", "num_examples=1")
    assert one == again
    for name in ("queries.jsonl", "report.md", "report.html"):
        assert (plain / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    reseeded = evaluated(world, tmp_path / "reseeded", "seed=1")
    assert reseeded["metrics"] == one["metrics"]
    assert reseeded["intervals"] != one["intervals"]
    assert not (tmp_path / "reseeded" / "examples.png").exists(), "no examples leave no picture"
    assert "examples.png" not in (tmp_path / "reseeded" / "report.md").read_text()


# Beside the figures


def test_a_linear_map_fitted_on_a_training_set_beats_chance_by_far(report):
    cca = other(report, "CCA")
    assert cca["kind"] == "baseline"
    assert "canonical correlation analysis of eyes and words, fitted on made_up/train" in cca["about"]
    for name in NAMES:
        assert cca["metrics"][f"{name}/recall_at_1"] > 0.3 > 5 * report["chance"][f"{name}/recall_at_1"]
    assert cca["metrics"].keys() == report["metrics"].keys()


def test_encoders_that_share_a_space_are_compared_as_they_are(report):
    clip = other(report, "clip")
    assert clip["about"] == "Latents of clip and clip_text as they are."
    assert clip["metrics"]["image_to_text/recall_at_1"] == clip["metrics"]["text_to_image/recall_at_1"] == 1.0
    assert clip["metrics"]["recall_sum"] == pytest.approx(6)


def test_corrections_stand_beside_and_change_nothing_above(plain, report):
    assert [(each["name"], each["kind"]) for each in report["others"]][2:] == [
        ("inverted softmax", "correction"),
        ("query bank", "correction"),
        ("hub constants", "correction"),
    ]
    without_bank = read_report(plain).data
    assert [each["name"] for each in without_bank["others"]] == ["inverted softmax", "hub constants"]
    for part in ("metrics", "intervals", "counts", "hubness"):
        assert without_bank[part] == report[part]
    for each in report["others"]:
        assert each["metrics"] != report["metrics"]


def test_corrections_can_be_left_out_and_nothing_else_changes(world, folder, report, tmp_path, capsys):
    plain = evaluated(world, tmp_path / "report", "corrections=false")
    assert plain["others"] == []
    for part in ("metrics", "intervals", "counts", "hubness"):
        assert plain[part] == report[part]
    text = (tmp_path / "report" / "report.md").read_text()
    assert "**inverted softmax**" not in text
    assert "## Beside it" not in text
    assert run_command("compare", [str(folder), str(tmp_path / "report"), f"out={tmp_path / 'both'}"]).exists()
    capsys.readouterr()
    run_command("report", [str(tmp_path / "report")])
    assert f"{100 * plain['metrics']['image_to_text/recall_at_1']:.1f}" in capsys.readouterr().out


def test_an_index_that_looks_everywhere_has_the_recall_of_the_model(report):
    assert [(row["direction"], row["factory"]) for row in report["indexes"]] == [
        (name, factory) for name in NAMES for factory in ("IVF4,Flat", "PQ4x4")
    ]
    for row in report["indexes"]:
        if row["factory"] == "IVF4,Flat":
            assert row["exact_at_1"] == row["exact_at_10"] == 1.0
            for metric, value in row["metrics"].items():
                assert value == pytest.approx(report["metrics"][f"{row['direction']}/{metric}"])
        else:
            assert row["exact_at_10"] < 1.0


def test_folds_are_measured_one_by_one(world, report, tmp_path):
    folds = ["protocol=coco_1k", "allow_other_counts=true", "ks=[1,5]"]
    in_folds = evaluated(world, tmp_path / "folds", *folds, f"baselines.CCA.train={world.sets / 'train'}")
    assert in_folds["protocol"]["folds"] == 5
    assert in_folds["counts"]["text_to_image"]["gallery"] == 58 // 5
    assert in_folds["counts"]["image_to_text"]["queries"] == 58
    whole = sum(report["metrics"][f"{name}/recall_at_{k}"] for name in NAMES for k in (1, 5))
    assert in_folds["metrics"]["recall_sum"] > whole, "galleries are smaller"
    assert set(read_queries(read_report(tmp_path / "folds"))) == set(NAMES)
    assert other(in_folds, "CCA")["metrics"].keys() == in_folds["metrics"].keys()


# Several processes


SCRIPT = ROOT / "eval_retrieval.py"


@pytest.fixture(scope="module")
def large(world, tmp_path_factory) -> tuple[Path, Path]:
    """More items than one process ranks or embeds at a time, and no multiple of that; and the report of one process."""
    folder = tmp_path_factory.mktemp("large")
    sets = write_latents(folder / "sets", 1_101, 7, captions=8, lost=1)
    evaluated(world, folder / "report", f"bank={world.sets / 'validation'}", test=sets)
    return sets, folder / "report"


@pytest.mark.parametrize("are_started", [True, False], ids=["started", "starting"])
def test_two_processes_give_the_report_of_one(world, large, tmp_path, programs, are_started):
    """Where others start the processes, and where the first one starts them."""
    beside = [f"bank={world.sets / 'validation'}", "compute.devices=2"]
    command = [SCRIPT, *settings(world, tmp_path / "two", *beside, test=large[0])]
    every = programs.run_together(2, *command) if are_started else [programs.run(*command)]
    assert [done.returncode for done in every] == [0] * len(every), every[0].stderr
    assert "".join(done.stdout for done in every).count("Retrieval on ") == 1, "one process speaks"
    one, two = read_report(large[1]).data, read_report(tmp_path / "two").data
    assert sizes(two, "text_to_image") == {"queries": 8_800, "gallery": 1_100, "links": 8_800, "without_link": 8}
    for part in one.keys() - {"environment"}:
        assert two[part] == one[part], part
    assert (large[1] / "queries.jsonl").read_bytes() == (tmp_path / "two" / "queries.jsonl").read_bytes()


def test_a_model_that_gives_nan_is_one_message_of_several_processes_too(world, tmp_path, programs):
    astray = World(broken_run(world, tmp_path / "run"), world.sets)
    both = programs.run_together(2, SCRIPT, *settings(astray, tmp_path / "report", "compute.devices=2"))
    said = "".join(done.stderr for done in both)
    assert both[0].returncode == 2
    assert len(re.findall("the model gives NaN or infinity", said)) == 1, said
    assert "Traceback" not in said
    assert not (tmp_path / "report").exists()
