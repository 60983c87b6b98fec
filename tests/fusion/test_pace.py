"""`auto` fits batch, epochs and validations to a set, and a number that was given stays."""

import functools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from latent_samples import pair_set, write_store
from training import arguments

from fusemix.cli.called import run_command
from fusemix.cli.loading import load_config
from fusemix.config import AutoConfig, OptimConfig, TrainConfig
from fusemix.fusion.checkpoints import about, read_checkpoint
from fusemix.latents.set_writer import write_set
from fusemix.latents.sets import LatentSet
from fusemix.latents.training_sets import TrainingSet
from fusemix.wiring.training.pace import batch_of, batches_of, fitted, pace_of, paced

CONFIGS = Path(__file__).parents[2] / "configs" / "train"
DATA = ["train=t", "validation=v", "encoders={image: [a], text: [b]}", "out=o"]
AUTO = OptimConfig(batch_size="auto", max_epochs="auto", validate_every="auto")


def recipe(name: str) -> OptimConfig:
    return load_config(TrainConfig, [str(CONFIGS / f"{name}.yaml"), *DATA]).optim


@pytest.fixture(scope="module")
def captioned(tmp_path_factory):
    """Pictures with five captions each, as a training set."""

    @functools.cache
    def folder_of(pictures: int, captions: int) -> Path:
        folder = tmp_path_factory.mktemp("set") / str(pictures)
        links = np.column_stack([np.repeat(np.arange(pictures), captions), np.arange(pictures * captions)])
        pairs = pair_set(links)
        write_set(folder, pairs, {})
        for items, slug in zip(pairs.sides, ("eyes", "words"), strict=True):
            write_store(folder, items, slug, shard_size=10_000, latents=np.ones((len(items), 2), dtype=np.float32))
        return folder

    def make(pictures: int, captions: int = 5) -> TrainingSet:
        opened = LatentSet(folder_of(pictures, captions), {"image": ["eyes"], "text": ["words"]})
        return TrainingSet("", opened, validation=None, holdout=0.0, weight=1.0, links_per_item=None, seed=0)

    return make


@pytest.mark.parametrize(
    ("name", "pictures", "captions", "batch", "epochs", "every"),
    [  # those of docs/recipes.md, and the first set that a newcomer tried
        ("few_pairs", 1_000, 1, 248, 200, 10),
        ("few_pairs", 476, 5, 112, 60, 3),
    ],
)
def test_recipes_take_the_sizes_that_they_were_measured_with(captioned, name, pictures, captions, batch, epochs, every):
    training_set, optim = captioned(pictures, captions), recipe(name)
    size = batch_of(optim, training_set, parts=2, num_processes=1)
    training_set.deal(2 * size)
    assert pace_of(optim, {"": size}, training_set.num_batches) == (batch, epochs, every, {})


@pytest.mark.parametrize(
    ("name", "pairs", "epochs", "every"), [("few_pairs", 5_000, 60, 3), ("recommended", 30_000, 20, 1)]
)
def test_recipes_take_the_epochs_that_they_were_measured_with(name, pairs, epochs, every):
    batch = recipe(name).auto.batch_size
    assert pace_of(recipe(name), {"": batch}, pairs // (2 * batch)) == (batch, epochs, every, {})


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("pictures", [12, 13, 50, 476])
def test_a_batch_of_auto_can_be_filled_and_shared_and_an_epoch_has_several(captioned, pictures, processes, parts):
    training_set = captioned(pictures)
    size = batch_of(AUTO, training_set, parts, processes)
    assert size % processes == 0
    assert size >= max(2, processes)
    training_set.deal(size * parts)  # raises where it cannot be filled
    assert training_set.num_batches >= 2


@pytest.mark.parametrize("pictures", [64, 476, 1_000])
def test_the_batch_of_auto_is_the_same_for_one_two_four_and_eight_processes(captioned, pictures):
    training_set = captioned(pictures, 2)
    assert len({batch_of(recipe("few_pairs"), training_set, 2, processes) for processes in (1, 2, 4, 8)}) == 1


@pytest.mark.parametrize("given", [{}, {"batch_size": 7}, {"max_epochs": 3}, {"validate_every": 5}])
def test_what_was_given_stays_as_it_is(captioned, given):
    optim = OptimConfig(**{"batch_size": "auto", "max_epochs": "auto", "validate_every": "auto", **given})
    training_set = captioned(50)
    size = batch_of(optim, training_set, parts=2, num_processes=1)
    training_set.deal(2 * size)
    pace = pace_of(optim, {"": size}, training_set.num_batches)
    assert given.items() <= pace._asdict().items()
    assert 1 <= pace.validate_every <= pace.max_epochs
    config = replace(load_config(TrainConfig, DATA), optim=optim)
    told = dict(setting.split("=") for setting in fitted(config, pace))
    assert told.keys() == {f"optim.{name}" for name in pace.of_optim if name not in given}


@pytest.mark.parametrize(
    ("optim", "given", "batches"),
    [("auto", "auto", (232, 24)), ("auto", 16, (232, 16)), (40, "auto", (40, 40)), (40, 16, (40, 16))],
)
def test_each_set_has_a_batch_of_its_own(captioned, optim, given, batches):
    first, other = captioned(476), captioned(50)
    other.name = "more"
    also = f"also={{more: {{train: m, batch_size: {given}}}}}"
    config = load_config(TrainConfig, [*DATA, also, f"optim={{batch_size: {optim}, max_epochs: 1}}"])
    found = batches_of(config, [first, other], parts=1, num_processes=1)
    assert found == {"": batches[0], "more": batches[1]}
    pace = pace_of(config.optim, found, 5)
    kept = paced(config, pace)
    assert (kept.optim.batch_size, kept.also["more"].batch_size) == (
        batches[0],
        "auto" if batches[0] == batches[1] else batches[1],
    )
    assert batches_of(kept, [first, other], parts=1, num_processes=1) == found  # and so when the run goes on
    names = [setting.split("=")[0] for setting in fitted(config, pace)]
    assert ("also.more.batch_size" in names) == (optim == given == "auto")


@pytest.mark.parametrize("steps_in_epoch", [1, 2, 9, 280, 281, 10_000])
def test_a_small_set_is_passed_over_until_there_are_enough_steps(steps_in_epoch):
    auto = AutoConfig(epochs=20, steps=280, validations=20)
    epochs = pace_of(OptimConfig(max_epochs="auto", auto=auto), {"": 2}, steps_in_epoch).max_epochs
    assert epochs >= 20
    assert epochs * steps_in_epoch >= 280
    assert epochs == 20 or (epochs - 1) * steps_in_epoch < 280


def test_a_run_says_what_auto_came_to_and_keeps_the_numbers(make_set, tmp_path, capsys):
    auto = {"optim__batch_size": "auto", "optim__max_epochs": "auto", "optim__validate_every": "auto"}
    sizes = ["optim.auto.batch_size=1000", "optim.auto.epochs=2", "optim.auto.steps=9", "optim.auto.validations=2"]
    typed = arguments(make_set, tmp_path / "run", **auto)
    run_command("train", [*typed, *sizes])
    told = "optim.batch_size=32 optim.max_epochs=3 optim.validate_every=1"
    said = " ".join(capsys.readouterr().out.split())
    assert told in said
    assert re.search("31 negatives .* 128 image and 256 text items", said)
    numbers = about(read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt"))["config"]["optim"]
    assert (numbers["batch_size"], numbers["max_epochs"], numbers["validate_every"]) == (32, 3, 1)
    # The numbers that were told make the same run; so does the file of settings that lies in it.
    run_command("train", [*(one for one in typed if "=auto" not in one), *told.split()])
    run_command("train", [str(tmp_path / "run" / "config.yaml")])
    assert capsys.readouterr().out.count("is trained already") == 2
