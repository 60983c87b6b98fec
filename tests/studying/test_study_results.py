"""Figures of a study over its seeds, as numbers, tables and pictures."""

import csv
import io
import itertools

import numpy as np
import pytest

from fusemix.reports.study.picture import draw_study, layout_of, study_figure
from fusemix.reports.study.results import JobResult, columns_of, results_data, results_in, rows_of, spread
from fusemix.reports.study.tables import table_csv, table_markdown

SIZES, ADAPTERS, SEEDS = (100, 1000, 10_000), ("linear", "wide $x$"), (0, 1, 2)
COLUMNS = ["recall_sum", "a_to_b/recall_at_1", "b_to_a/recall_at_1"]


@pytest.fixture
def jobs():
    rng = np.random.default_rng(0)
    return [
        JobResult(
            {"size": size, "adapter": adapter, "seed": seed},
            "done",
            {"a_to_b/recall_at_1": rng.random(), "b_to_a/recall_at_1": rng.random(), "recall_sum": 6 * rng.random()},
            {"train": 1.0},
            {"train": "train-x/run"},
        )
        for size, adapter, seed in itertools.product(SIZES, ADAPTERS, SEEDS)
    ]


def test_the_spread_of_seeds_is_the_standard_deviation_of_a_sample(jobs):
    rows = rows_of(jobs, "seed", COLUMNS)
    assert [tuple(row.axes.values()) for row in rows] == list(itertools.product(SIZES, ADAPTERS))
    for number, row in enumerate(rows):
        for column in COLUMNS:
            values = [job.figures[column] for job in jobs[3 * number : 3 * number + 3]]
            assert row.figures[column].mean == pytest.approx(np.mean(values))
            assert row.figures[column].sd == pytest.approx(np.std(values, ddof=1))
    assert spread([0.5]) == (0.5, None), "of one seed nothing is known"


def test_without_an_axis_of_seeds_each_job_is_a_point(jobs):
    assert [row.num_seeds for row in rows_of(jobs, "nothing", COLUMNS)] == [1] * len(jobs)


def test_jobs_that_are_not_done_are_no_seeds(jobs):
    jobs[1] = jobs[1]._replace(state="failed", figures={}, error="train-x: it broke")
    row = rows_of(jobs, "seed", COLUMNS)[0]
    assert row.num_seeds == 2
    assert row.figures["recall_sum"].mean == pytest.approx(
        np.mean([jobs[0].figures["recall_sum"], jobs[2].figures["recall_sum"]])
    )
    text = table_markdown("s", rows_of(jobs, "seed", COLUMNS), COLUMNS, jobs, None)
    assert "1 of 18 jobs: failed." in text
    assert "seed=1: train-x: it broke" in text


def test_a_measure_stands_for_both_directions_or_for_one(jobs):
    figures = [job.figures for job in jobs]
    assert columns_of(["recall_sum", "recall_at_1"], figures) == COLUMNS
    assert columns_of(["b_to_a/recall_at_1", "recall_at_1"], figures) == [COLUMNS[2], COLUMNS[1]]
    assert columns_of(["recall_at_1"], []) == []
    depths = [f"{way}/recall_at_{k}" for way in ("a_to_b", "b_to_a") for k in (1, 5, 10)]
    assert columns_of(["recall"], [dict.fromkeys(depths, 0.5)]) == [depths[place] for place in (0, 3, 1, 4, 2, 5)]


def test_what_is_written_is_read_back(jobs):
    rows = rows_of(jobs, "seed", COLUMNS)
    data = results_data(jobs, rows, "seed", ["recall_sum"])
    assert results_in(data) == jobs
    table = list(csv.DictReader(io.StringIO(table_csv(rows, COLUMNS))))
    assert [float(row["recall_sum sd"]) for row in table] == [row.figures["recall_sum"].sd for row in rows]
    text = table_markdown("s", rows, COLUMNS, jobs, "study.png")
    found = rows[0].figures["recall_sum"]
    assert f"{100 * found.mean:.1f} ± {100 * found.sd:.1f}" in text


def test_axes_are_drawn_along_in_colours_and_in_rows():
    assert layout_of(["size", "adapter", "mixup"], "size") == ("size", "adapter", ("mixup",))
    assert layout_of(["adapter", "size"], None) == ("adapter", "size", ())
    assert layout_of([], None) == (None, None, ())


def test_numbers_over_decades_are_drawn_by_logarithms_with_a_band_of_the_spread(jobs):
    rows = rows_of(jobs, "seed", COLUMNS)
    figure = study_figure(rows, COLUMNS, "size")
    assert [axes.get_xscale() for axes in figure.axes] == ["log"] * 3
    lines, band = figure.axes[0].lines, figure.axes[0].collections[0]
    means = [100 * row.figures["recall_sum"].mean for row in rows if row.axes["adapter"] == "linear"]
    np.testing.assert_allclose(lines[0].get_ydata(), means)
    low = band.get_paths()[0].vertices[:, 1].min()
    sds = [100 * row.figures["recall_sum"].sd for row in rows if row.axes["adapter"] == "linear"]
    assert low == pytest.approx(min(np.subtract(means, sds)))
    near = [row._replace(axes={"size": place + 1}) for place, row in enumerate(rows[:3])]
    assert study_figure(near, COLUMNS, "size").axes[0].get_xscale() == "linear"


def test_cases_are_bars_and_a_picture_is_the_same_twice(jobs, tmp_path):
    rows = rows_of(jobs, "seed", COLUMNS)
    for name in ("a.png", "b.png", "a.svg", "b.svg"):
        assert draw_study([tmp_path / name], rows, COLUMNS, None) == ""
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    one = [rows[0]._replace(axes={})]
    assert len(study_figure(one, COLUMNS[:1], None).axes[0].patches) == 1
    many = [row._replace(axes={**row.axes, "mixup": word}) for row in rows for word in ("none", "noise")]
    assert len(study_figure(many, COLUMNS, "size").axes) == 6
