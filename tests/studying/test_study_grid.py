"""A study's grid: every combination, tasks that jobs share, and mistakes that are told before anything is run."""

import itertools
from typing import Any

import pytest
import yaml

from fusemix.cli.for_studies import settings_for
from fusemix.cli.loading import load_config
from fusemix.cli.table import COMMANDS
from fusemix.config import StudyConfig, TrainConfig
from fusemix.config.recipes import recipes_of
from fusemix.config.studying import STAGES
from fusemix.errors import ConfigError
from fusemix.wiring.studying.grid import grid_of, points
from fusemix.wiring.studying.tasks import placed

SETTINGS: dict[str, Any] = {
    "out": "o",
    "cache": {"from": ["glyphs"]},
    "train": {"from": "glyphs", "train": "${latents}/train", "validation": "${cache}/validation"},
    "evaluate": {"model": "${train}", "latents": "${latents}/test"},
    "axes": {
        "rate": {"settings": ["train.optim.lr"], "values": [0.1, 0.01]},
        "depth": {"cases": {"flat": {}, "deep": {"evaluate.ks": [1, 2]}, "linear": {"train.adapter": "linear"}}},
        "seed": {"settings": ["train.seed", "evaluate.seed"], "values": [0, 1, 2]},
    },
}


def study(tmp_path, **changes: Any) -> StudyConfig:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({**SETTINGS, **changes}, sort_keys=False))
    return load_config(StudyConfig, [str(file)])


def refused(tmp_path, message, **changes):
    with pytest.raises(ConfigError, match=message):
        grid_of(study(tmp_path, **changes), settings_for)


def test_a_grid_is_every_combination_of_its_axes_the_last_one_fastest(tmp_path):
    grid = grid_of(study(tmp_path), settings_for)
    wanted = itertools.product([0.1, 0.01], ["flat", "deep", "linear"], [0, 1, 2])
    assert [tuple(job.axes.values()) for job in grid.jobs] == list(wanted)
    assert [tuple(point.axes.values()) for point in points({})] == [()], "without axes there is one job"


def test_jobs_share_the_tasks_that_they_agree_in(tmp_path):
    grid = grid_of(study(tmp_path), settings_for)
    of_stage = {stage: {job.tasks[stage] for job in grid.jobs} for stage in ("cache", "train", "evaluate")}
    assert {stage: len(names) for stage, names in of_stage.items()} == {"cache": 1, "train": 12, "evaluate": 18}
    assert len(grid.tasks) == 31
    order = list(grid.tasks)
    assert all(order.index(read) < order.index(name) for name, task in grid.tasks.items() for read in task.reads)


def test_each_job_has_the_settings_of_its_point(tmp_path):
    grid = grid_of(study(tmp_path), settings_for)
    job = next(job for job in grid.jobs if tuple(job.axes.values()) == (0.01, "linear", 2))
    settings = placed(grid.tasks[job.tasks["train"]].settings, lambda task: f"/{task}")
    file = tmp_path / "train.yaml"
    file.write_text(yaml.safe_dump({**settings, "out": "o"}))
    found = load_config(TrainConfig, [str(file)])
    assert (found.optim.lr, found.optim.batch_size, found.seed) == (0.01, 256, 2)
    assert (found.adapter.name, found.adapter.options) == ("linear", {}), "no options of the recipe's other adapter"
    assert (found.train, found.validation) == (f"/{job.tasks['cache']}/train", f"/{job.tasks['cache']}/validation")


def test_a_task_is_known_by_what_it_does_and_not_by_how_that_is_said(tmp_path):
    first = grid_of(study(tmp_path), settings_for)
    said = {
        **SETTINGS["train"],
        "seed": 0,
        "optim": {"lr": 0.7},
        "embedding_dim": 256,
    }  # defaults, and what an axis sets
    second = grid_of(study(tmp_path, train=said, out="elsewhere"), settings_for)
    assert first.tasks.keys() == second.tasks.keys()
    third = grid_of(study(tmp_path, cache={"from": ["glyphs"], "dtype": "float32"}), settings_for)
    assert not first.tasks.keys() & third.tasks.keys(), "what reads another cache is another task"


def test_latents_that_are_there_take_the_place_of_caching(tmp_path):
    grid = grid_of(study(tmp_path, latents="my/latents"), settings_for)
    assert {task.stage for task in grid.tasks.values()} == {"train", "evaluate"}
    assert next(iter(grid.tasks.values())).settings["train"] == "my/latents/train"


@pytest.mark.parametrize("path", recipes_of(StudyConfig).values(), ids=lambda path: path.stem)
def test_every_shipped_study_is_a_grid_over_three_seeds(path, tmp_path):
    config = load_config(StudyConfig, [str(path), f"out={tmp_path / 'o'}"])
    assert len(config.axes["seed"].values) == 3
    if missing := [STAGES[stage] for stage in config.stages() if STAGES[stage] not in COMMANDS]:
        with pytest.raises(ConfigError, match=rf"^{missing[0]}: this fusemix has no command"):
            grid_of(config, settings_for)
        return
    grid = grid_of(config, settings_for)
    assert len({tuple(job.tasks.values()) for job in grid.jobs}) == len(grid.jobs), "no axis changes nothing"
    elsewhere = load_config(StudyConfig, [str(path), "latents=l"]) if path.stem != "quality" else config
    assert len(grid_of(elsewhere, settings_for).jobs) == len(grid.jobs)


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        (r"^axes\.a: there is no setting 'optim\.lrr'\. Did you mean 'optim\.lr'", {"settings": ["train.optim.lrr"]}),
        (r"^axes\.a: seed is 'x', but must be a whole number", {"settings": ["train.seed"], "values": ["x"]}),
        (r"^axes\.a: 'trian\.seed' begins with no stage\. Did you mean 'train'", {"settings": ["trian.seed"]}),
        (r"^axes\.a changes select\.size, and there is no stage select", {"settings": ["select.size"]}),
        (r"^axes\.a: give either settings and values", {"values": []}),
        (r"^axes\.a: give either settings and values", {"cases": {"a": {}}}),
        (r"^axes\.a\.values holds '1' twice", {"values": [1, 1]}),
        (r"^axes\.a: out is what a study sets itself", {"settings": ["train.out"]}),
        (r"^train: no adapter is called 'liner'|no adapter is called 'liner'", {"settings": ["train.adapter"],
                                                                               "values": ["liner"]}),
        (r"^train: seed is -1, but must .*\. So it is for a=-1\.$", {"settings": ["train.seed"], "values": [-1]}),
    ],
)  # fmt: skip
def test_a_mistake_in_an_axis_is_told_before_anything_is_run(message, changes, tmp_path):
    axis = {"settings": ["train.seed"], "values": [1], **changes}
    refused(tmp_path, message, axes={"a": axis})


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        (r"^train: there is no setting 'optim\.lrr'\. Did you mean", {"train": {"optim": {"lrr": 1}}}),
        (r"^train: there is no config file glyph, .* Did you mean 'glyphs'", {"train": {"from": ["glyph"]}}),
        (r"^train\.from is 3, but must be names of recipes", {"train": {"from": 3}}),
        (r"^train: \$\{trian\} stands for nothing here\.", {"train": {"from": "glyphs", "train": "${trian}"}}),
        (r"^evaluate: the setting 'model' has no value", {"evaluate": {"latents": "l"}}),
        (r"^x is 'rat', which is no axis\. Did you mean 'rate'", {"x": "rat"}),
        (r"^x is 'depth', and axes\.depth holds something else than numbers", {"x": "depth"}),
        (r"^x and seeds are both 'seed'", {"x": "seed"}),
        (r"^seeds is 'seeds', which is no axis\. Did you mean 'seed'", {"seeds": "seeds"}),
        (r"^measures names 'mmr', which is no figure of these reports\. Did you mean 'mrr'", {"measures": ["mmr"]}),
        (r"recall_at_7'.* evaluate\.ks says how deep recall looks", {"measures": ["recall_at_7"]}),
        (r"^measures names no figure", {"measures": []}),
        (r"^a study needs settings of one stage", {"train": {}, "evaluate": {}, "cache": {}, "axes": {}}),
        (r"^axes\.b and axes\.a both change train\.seed", {"axes": {
            name: {"settings": ["train.seed"], "values": [1]} for name in "ab"}}),
        (r"^axes\.a changes cache\.dtype, and latents=l takes the place", {"latents": "l", "axes": {
            "a": {"settings": ["cache.dtype"], "values": ["float32"]}}}),
    ],
)  # fmt: skip
def test_a_mistake_in_a_study_is_told_before_anything_is_run(message, changes, tmp_path):
    refused(tmp_path, message, **changes)
