"""`recipe=`: by name, and `auto`, which looks at the data; and what is held out where no validation is given."""

import io
import shutil
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from latent_samples import learnable_set, pair_set, write_store
from torch.nn import functional as F
from training import arguments, recalls

from fusemix.api.settings import settings_of as from_python
from fusemix.cli.called import run_command
from fusemix.cli.loading import load_config
from fusemix.config import OptimConfig, PartConfig, TrainConfig, recipes
from fusemix.config.recipes import holdout_for, recipe_for
from fusemix.errors import ConfigError
from fusemix.fusion.checkpoints import about, read_checkpoint
from fusemix.latents.set_writer import write_set
from fusemix.models.given_latents import GivenLatents
from fusemix.wiring.caching.arrays import write_arrays
from fusemix.wiring.training.recipe import chosen_recipe, found_first

SMALL = ["adapter.options.hidden_dim=8", "optim.auto.epochs=1", "optim.auto.steps=1", "compute=cpu"]
"""Fewer steps and numbers than the recipes have."""
DATA = ["train=a", "encoders={image: a, text: b}", "out=o"]


def given(make_set, out: Path, *more: str) -> list[str]:
    """600 pairs, and a quick run."""
    train = make_set("train", num_left=300)
    return [f"train={train}", "encoders={image: [eyes], text: [words]}", f"out={out}", *SMALL, *more]


def settings_of(run: Path) -> dict:
    return yaml.safe_load((run / "config.yaml").read_text())


@pytest.fixture(scope="module")
def made_by_auto(tmp_path_factory) -> tuple[Path, str]:
    """A run of `recipe=auto`, and what it said; whoever changes it copies it first."""
    folder = tmp_path_factory.mktemp("auto")
    with redirect_stdout(io.StringIO()) as printed:
        run_command("train", given(partial(learnable_set, folder), folder / "run", "recipe=auto", "seed=4"))
    return folder / "run", " ".join(printed.getvalue().split())


def said(capsys) -> str:
    return " ".join(capsys.readouterr().out.split())


def square_set(folder: Path, noise: float, *, turned: bool, num: int = 200, dim: int = 12) -> Path:
    """Pairs of one width: of one space, or of two, one of which is the other turned."""
    generator = np.random.default_rng(0)
    pairs = pair_set(np.column_stack([np.arange(num)] * 2), folder.name)
    write_set(folder, pairs, {"name": "made_up.module:factory", "options": {}})
    latents = generator.standard_normal((num, dim)).astype(np.float32)
    other = latents + noise * generator.standard_normal((num, dim)).astype(np.float32)
    if turned:
        other = other @ np.linalg.qr(generator.standard_normal((dim, dim)))[0].astype(np.float32)
    write_store(folder, pairs.left, "eyes", latents)
    write_store(folder, pairs.right, "words", other)
    return folder


@pytest.fixture
def with_aligned(tmp_path, monkeypatch) -> None:
    """Recipes, with one for pairs that are aligned already."""
    shutil.copytree(Path(recipes.__file__).parents[2] / "configs", tmp_path / "configs")
    (tmp_path / "configs/train/aligned.yaml").write_text("# For an aligned pair.\nadapter: linear\nmixup: none\n")
    monkeypatch.setattr(recipes, "_configs", lambda: tmp_path / "configs")


def test_a_named_recipe_stands_below_all_that_is_given_wherever_it_is_named(tmp_path):
    by_word = load_config(TrainConfig, ["few_pairs", *DATA, "seed=3", "temperature=0.2"])
    file = tmp_path / "mine.yaml"
    file.write_text("recipe: few_pairs\ntemperature: 0.2\n")
    for how in (["recipe=few_pairs", "temperature=0.2"], ["--recipe", "few_pairs", "temperature=0.2"], [str(file)]):
        found = load_config(TrainConfig, [*how, *DATA, "seed=3"])
        assert found.recipe == "few_pairs"
        assert {**vars(found), "recipe": None} == vars(by_word)
    again = load_config(TrainConfig, ["temperature=0.2", f"recipe={file}", *DATA])
    assert again.temperature == 0.2 and again.structure.weight == 0, "a file is taken as it stands"


def test_a_settings_object_takes_from_its_recipe_what_is_at_its_default():
    made = TrainConfig(
        recipe="few_pairs",
        train="a",
        encoders={"image": ["a"], "text": ["b"]},
        out="o",
        mixup=PartConfig(name="noise"),
        optim=OptimConfig(lr=0.5),
    )
    found = from_python(TrainConfig, [made], {"seed": 2}, "train")
    wanted = load_config(TrainConfig, ["recipe=few_pairs", *DATA, "mixup=noise", "optim.lr=0.5", "seed=2"])
    assert found == wanted
    assert found.optim.batch_size == "auto" and found.structure.weight > 0


@pytest.mark.parametrize("word", ["few_pair", "atuo", "nothing at all"])
def test_a_recipe_that_does_not_exist_is_answered_with_the_nearest_and_the_list(word):
    with pytest.raises(ConfigError) as error:
        load_config(TrainConfig, [*DATA, f"recipe={word}"])
    said_once = str(error.value)
    assert f"recipe={word}: there is no config file {word}, and no recipe of that name" in said_once
    nearest = {"few_pair": "few_pairs", "atuo": "auto"}.get(word)
    assert (f"Did you mean {nearest!r}?" in said_once) == bool(nearest)
    assert "Recipes: auto, " in said_once and "recommended" in said_once


def test_the_number_of_pairs_says_which_recipe_and_how_much_is_held_out():
    found = [recipe_for(count) for count in (1, 599, 600, 9_999, 10_000)]
    assert found == ["closed_form", "closed_form", "few_pairs", "few_pairs", "recommended"]
    assert [holdout_for(count) for count in (9_999, 10_000)] == [0.1, 0.05]


def test_auto_is_the_run_of_the_recipe_that_it_chooses_and_says_why(make_set, made_by_auto, capsys):
    run, told = made_by_auto
    assert "recipe=auto takes few_pairs: 600 pairs are fewer than 10,000" in told
    assert "no validation is given, so 10 % of the pairs are held out to choose on: holdout=0.1" in told
    assert (settings_of(run)["recipe"], settings_of(run)["holdout"]) == ("few_pairs", 0.1)
    assert settings_of(run)["structure"]["weight"] == load_config(TrainConfig, ["few_pairs", *DATA]).structure.weight
    assert "recipe" not in about(read_checkpoint(run / "checkpoints/last.ckpt"))["config"]
    for same in (["recipe=auto"], ["recipe=few_pairs"], ["few_pairs", "holdout=0.1"]):
        run_command("train", given(make_set, run, "seed=4", *same))
        assert "is trained already" in said(capsys), same


def test_a_few_hundred_pairs_are_solved_for_and_what_does_not_go_with_that_is_named(make_set, tmp_path, capsys):
    words = [f"train={make_set('train')}", "encoders={image: [eyes], text: [words]}", "compute=cpu", "recipe=auto"]
    run_command("train", [*words, f"out={tmp_path / 'run'}"])
    told = said(capsys)
    assert (
        "recipe=auto takes closed_form: 256 pairs are fewer than 600" in told and "closed form with left_ridge" in told
    )
    assert max(recalls(tmp_path / "run")) > 0.8
    with pytest.raises(ConfigError) as error:
        run_command("train", [*words, f"out={tmp_path / 'other'}", "adapter.options.hidden_dim=8"])
    message = str(error.value)
    assert "takes closed_form: 256 pairs are fewer than 600, and it does not go with these settings: adapter" in message
    assert "no option 'hidden_dim'" in message and "name another recipe" in message


def test_a_run_of_auto_goes_on_where_it_was_left(make_set, made_by_auto, tmp_path, capsys):
    run = shutil.copytree(made_by_auto[0], tmp_path / "run")
    run_command("train", given(make_set, run, "recipe=auto", "seed=4", "optim.max_epochs=2"))
    assert f"going on from {run / 'checkpoints/last.ckpt'}" in said(capsys)


def test_a_rehearsal_says_what_auto_chooses(make_set, tmp_path, capsys):
    run_command("train", given(make_set, tmp_path / "run", "recipe=auto", "dry_run=true"))
    assert "recipe=auto takes few_pairs" in said(capsys)
    assert not (tmp_path / "run").exists()


def test_of_several_sets_the_closed_form_is_left_out_and_all_pairs_count(make_set, tmp_path, capsys):
    more = make_set("more", seed=5)
    run_command("train", given(make_set, tmp_path / "run", "recipe=auto", f"also.more.train={more}"))
    told = said(capsys)
    assert "takes few_pairs: 856 pairs are fewer than 10,000; of several sets no closed form can be made" in told
    assert settings_of(tmp_path / "run")["closed_form"]["share"] == 0
    with pytest.raises(ConfigError, match="the closed form solves for two modalities"):
        run_command(
            "train",
            given(make_set, tmp_path / "other", "recipe=auto", f"also.more.train={more}", "closed_form.share=0.5"),
        )


def test_plain_settings_hold_out_a_part_too(make_set, tmp_path, capsys):
    words = [one for one in arguments(make_set, tmp_path / "run", optim__max_epochs=1) if "validation" not in one]
    run_command("train", words)
    assert "held out to choose on: holdout=0.1" in said(capsys)
    run_command("train", [*words, "holdout=0.1"])
    assert "is trained already" in said(capsys)
    assert "held out to choose on" not in said(capsys)


def test_a_file_that_is_the_recipe_is_not_written_over(make_set, made_by_auto):
    run, _ = made_by_auto
    with pytest.raises(ConfigError, match="overwrite=true would discard .*config.yaml, which these settings are read"):
        run_command("train", given(make_set, run, f"recipe={run / 'config.yaml'}", "overwrite=true"))
    assert (run / "checkpoints/last.ckpt").is_file()


@pytest.mark.parametrize(
    ("noise", "turned", "is_taken"), [(0.3, False, True), (0.3, True, False), (50.0, False, False)]
)
def test_a_pair_that_finds_each_other_as_it_is_is_kept_where_it_is(tmp_path, with_aligned, noise, turned, is_taken):
    folder = square_set(tmp_path / "train", noise, turned=turned)
    config = load_config(TrainConfig, [f"train={folder}", "encoders={image: eyes, text: words}", "out=o"])
    chosen = chosen_recipe(config)
    assert (chosen.name == "aligned") == is_taken
    assert ("find each other first, so both sides share a space" in chosen.told) == is_taken


@pytest.mark.parametrize(("num", "name"), [(9_999, "few_pairs"), (10_000, "recommended")])
def test_the_recipe_of_a_set_goes_by_its_number_of_pairs(tmp_path, num, name):
    rows = np.random.default_rng(0).standard_normal((num, 4)).astype(np.float32)
    sides = {"image": GivenLatents("images", rows), "audio": GivenLatents("audio", rows[:, :3])}
    folder = write_arrays(tmp_path / "train", sides, np.column_stack([np.arange(num)] * 2))
    words = [f"train={folder}", "encoders={image: given, audio: given}", "out=o"]
    assert chosen_recipe(load_config(TrainConfig, words)).name == name


def test_sides_of_two_widths_share_no_space(make_set, with_aligned):
    words = [f"train={make_set('train')}", "encoders={image: eyes, text: words}", "out=o"]
    assert chosen_recipe(load_config(TrainConfig, words)).name == "closed_form"


def test_the_share_of_pairs_that_find_each_other_is_that_of_a_slow_loop():
    generator = torch.Generator().manual_seed(0)
    left = F.normalize(torch.randn(30, 5, generator=generator), dim=1)
    right = F.normalize(left + 0.5 * torch.randn(30, 5, generator=generator), dim=1)
    hits = 0
    for one, other in ((left, right), (right, left)):
        for i in range(30):
            hits += max(range(30), key=lambda j: float(one[i] @ other[j])) == i
    assert 0 < hits < 60
    assert found_first(left, right) == pytest.approx(hits / 60)
