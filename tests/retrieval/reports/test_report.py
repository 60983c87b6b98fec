import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch.nn import functional as F

from fusemix.interfaces import Waveform
from fusemix.reports.page.data import Card, FoundItem, Shown
from fusemix.reports.retrieval.picture import draw_examples
from fusemix.reports.retrieval.report import FORMAT, VERSION, markdown, report_data, tables
from fusemix.retrieval.hubness import hubness
from fusemix.retrieval.intervals import Sampled, bootstrap_intervals
from fusemix.retrieval.metrics import flat, measure

NAMES = ("image_to_text", "text_to_image")
OWNERS = (np.arange(400), np.repeat(np.arange(400), 5))


@pytest.fixture(scope="module")
def directions():
    """400 pictures with five captions each, some near and some far."""
    generator = torch.Generator().manual_seed(0)
    left = F.normalize(torch.randn(400, 8, generator=generator), dim=1)
    right = F.normalize(left.repeat_interleave(5, dim=0) + 0.5 * torch.randn(2000, 8, generator=generator), dim=1)
    links = np.column_stack([OWNERS[1], np.arange(2000)])
    return measure(left, right, links, ("image", "text"), ks=[1, 5, 10])


def index_row(direction: str, factory: str, found: float) -> dict:
    return {
        "direction": direction,
        "factory": factory,
        "parameters": "nprobe=2",
        "exact_at_1": found,
        "exact_at_10": found / 2,
        "metrics": {"recall_at_1": 0.123, "recall_at_5": 0.234, "recall_at_10": 0.345},
        "build_sec": 1.25,
        "search_ms_per_query": 0.0123,
        "num_bytes": 45_600_000,
    }


@pytest.fixture
def parts(directions):
    """All that a report is made of."""
    sampled = [Sampled(d.name, d.values, owners) for d, owners in zip(directions, OWNERS, strict=True)]
    figures = {name: value / 2 for name, value in flat(directions).items()}
    figures |= {"recall_sum": 1.234, "mean_recall": 0.2}
    return {
        "protocol": {"name": "plain", "about": "All items of the latent set.", "folds": 1},
        "intervals": bootstrap_intervals(sampled, seed=0, draws=50),
        "hubs": {name: hubness(np.arange(60).reshape(6, 10) // 2, 400) for name in NAMES},
        "others": [
            {"name": "CCA | plain", "kind": "baseline", "about": "A linear map.", "metrics": figures},
            {"name": "inverted softmax", "kind": "correction", "about": "Looks at all queries.", "metrics": figures},
        ],
        "indexes": [index_row(name, factory, 0.876) for name in NAMES for factory in ("IVF16,Flat", "HNSW32")],
        "widths": [{"dim": 32, "precision": "int8", "num_bytes": 1032, "metrics": figures}],
        "data": {
            "name": "made_up/test",
            "revision": "1",
            "num_unusable": 3,
            "encoders": {"image": ["dino"], "text": ["bge"]},
        },
        "model": {"run": "runs/a", "checkpoint": "best", "epoch": 4, "train": "made_up/tr", "validation": "made_up/va"},
        "seen": [{"set": "made_up/tr", "use": "trained on", "shared": {"image": [3, 40]}, "note": "3 of 40 <b>|*"}],
        "environment": {"python": "3"},
    }


@pytest.fixture
def report(directions, parts):
    return report_data(directions, **parts)


def printed(report: dict, width: int = 120) -> list[str]:
    """Each table as a terminal shows it."""
    shown = []
    for table in tables(report):
        console = Console(width=width, file=io.StringIO(), record=True)
        console.print(table)
        shown.append(console.export_text())
    return shown


def test_the_report_holds_every_figure_with_interval_chance_and_counts(report):
    assert json.loads(json.dumps(report)) == report
    assert (report["format"], report["version"]) == (FORMAT, VERSION) == ("fusemix.report", 2)
    per_query = ["recall_at_1", "recall_at_5", "recall_at_10", "mrr", "map_at_10", "ndcg_at_10", "mean_rank"]
    names = {f"{direction}/{metric}" for direction in NAMES for metric in [*per_query, "median_rank"]}
    assert report["metrics"].keys() == report["intervals"].keys() == names | {"recall_sum", "mean_recall"}
    for name, (low, high) in report["intervals"].items():
        assert low <= report["metrics"][name] <= high, name
    assert report["chance"]["text_to_image/recall_at_1"] == pytest.approx(1 / 400)
    assert report["counts"]["image_to_text"] == {
        "queries": 400,
        "gallery": 2000,
        "links": 2000,
        "tied_queries": 0,
        "without_link": 0,
    }
    assert report["hubness"].keys() == report["counts"].keys()
    assert report["metrics"]["recall_sum"] == pytest.approx(6 * report["metrics"]["mean_recall"])


def test_every_metric_and_every_figure_beside_it_is_defined(report):
    metrics = {"recall_at_k" if "recall_at" in key else key.rpartition("/")[2] for key in report["metrics"]}
    hubs = set(report["hubness"]["text_to_image"])
    indexes = {key for key in report["indexes"][0] if key.startswith("exact_at")}
    assert metrics | hubs | indexes <= report["definitions"].keys()


def test_markdown_and_tables_show_the_figures_of_the_report(report):
    text, (first, *_) = markdown(report, "examples.png"), printed(report)
    for direction in NAMES:
        for metric in ("recall_at_1", "recall_at_5", "recall_at_10"):
            figure = f"{100 * report['metrics'][f'{direction}/{metric}']:.1f}"
            low, high = report["intervals"][f"{direction}/{metric}"]
            for shown in (text, first):
                assert figure in shown
                assert f"{100 * low:.0f}–{100 * high:.0f}" in shown
                assert f"{100 * report['chance'][f'{direction}/{metric}']:.1f}" in shown
        for metric in ("mrr", "map_at_10", "ndcg_at_10"):
            assert f"{report['metrics'][f'{direction}/{metric}']:.3f}" in text
        mean_rank = f"{report['metrics'][f'{direction}/mean_rank']:.1f}"
        assert mean_rank in text
        assert mean_rank in first
    assert f"Sum of recalls {100 * report['metrics']['recall_sum']:.1f}" in text
    assert "(examples.png)" in text
    assert "sample queries" not in markdown(report, None)
    for words in ("protocol plain: All items", "could not be used: 3", "made_up/va", "image: dino", "epoch 4"):
        assert words in text


def test_the_first_table_fits_into_80_columns(report):
    shown = printed(report, 80)[0]
    assert "…" not in shown
    assert all(header in shown for header in ("R@1", "R@5", "R@10", "median", "mean", "queries", "gallery", "ties"))
    assert all(len(line.rstrip()) <= 80 for line in shown.splitlines())


def test_baselines_and_corrections_stand_below_the_model(report):
    _, beside, *_ = printed(report)
    names = [line.strip().split("  ")[0] for line in beside.splitlines() if line.strip()]
    assert names[-3:] == ["this model", "CCA | plain", "inverted softmax"]
    text = markdown(report, None)
    row = next(line for line in text.splitlines() if line.startswith("| CCA"))
    assert row.startswith("| CCA \\| plain | "), "a bar in a name must not begin a column"
    assert row.endswith("| 123.4 |")
    assert "- **inverted softmax**: Looks at all queries." in text


def test_indexes_have_a_table_for_each_direction(report):
    shown, text = printed(report), markdown(report, None)
    assert len(shown) == 5
    for direction, table in zip(("image to text", "text to image"), shown[2:4], strict=True):
        assert f"Indexes against exact search, {direction}" in table
        assert f"## Indexes against exact search, {direction}" in text
        line = next(line for line in table.splitlines() if "IVF16" in line)
        assert line.split() == [
            "IVF16,Flat",
            "nprobe=2",
            "87.6",
            "43.8",
            "12.3",
            "23.4",
            "34.5",
            "1.25",
            "0.012",
            "45.6",
        ]


def test_widths_have_a_table_with_both_directions_and_the_sum(report):
    table, text = printed(report)[-1], markdown(report, None)
    recalls = [f"{50 * report['metrics'][f'{name}/recall_at_{k}']:.1f}" for name in NAMES for k in (1, 5, 10)]
    line = next(line for line in table.splitlines() if "int8" in line)
    assert line.split() == ["32", "int8", "1,032", *recalls, "123.4"]
    assert f"| {' | '.join(['32 int8', '1,032', *recalls, '123.4'])} |" in text
    assert "## Fewer numbers, and bytes in their place" in text
    assert all(len(line.rstrip()) <= 80 for line in table.splitlines())


def test_without_anything_beside_it_there_is_one_table(directions, parts):
    bare = report_data(directions, **{**parts, "others": [], "indexes": [], "widths": []})
    assert len(printed(bare)) == 1
    assert "Beside it" not in markdown(bare, None)
    assert "Indexes" not in markdown(bare, None)


def test_what_was_trained_on_stands_under_the_title_and_is_no_markup(directions, parts):
    assert markdown(report_data(directions, **parts), None).splitlines()[2] == r"> **3 of 40 \<b\>\|\***"
    assert "> **" not in markdown(report_data(directions, **{**parts, "seen": []}), None)


def test_every_row_of_a_markdown_table_has_the_columns_of_its_header(report):
    width = None
    for line in markdown(report, None).splitlines():
        if not line.startswith("|"):
            width = None
            continue
        columns = line.replace("\\|", "").count("|")
        assert width in (None, columns), line
        width = columns


def test_the_picture_takes_pictures_sounds_and_texts(tmp_path):
    picture = Shown("a.png", Image.new("RGB", (40, 30), "red"), "")
    sound = Shown("b.wav", Waveform(np.sin(np.arange(8000) / 9).astype(np.float32), 8000), "")
    text = Shown("c", "a caption with $ signs and _ under^scores", "")
    cards = [
        Card("best", picture, 1, [FoundItem(text, 0.5, True), FoundItem(sound, 0.4, False)]),
        Card("worst", text, 2, [FoundItem(picture, 0.9, False), FoundItem(picture, 0.1, True)]),
    ]
    draw_examples(tmp_path / "examples.png", cards, "title")
    drawn = np.asarray(Image.open(tmp_path / "examples.png").convert("RGB"))
    green, red = (drawn == (0x1A, 0x8F, 0x3C)).all(axis=2), (drawn == (255, 0, 0)).all(axis=2)
    assert green.sum() > 100, "linked items have a green frame"
    assert red.sum() > 1000, "the picture itself is drawn"
