"""The line that says what to type next names folders that are there, and settings that the command has."""

import shlex

from latent_samples import learnable_set

from fusemix.cli.called import run_command
from fusemix.cli.loading import load_config
from fusemix.commands.next_step import after_caching, after_evaluating, after_training
from fusemix.config import EvalConfig, IndexConfig, TrainConfig


def typed(line, command):
    assert line.startswith(f"next: fusemix {command} ")
    return shlex.split(line)[3:]


def test_after_caching_comes_training_where_there_is_something_to_train_on(tmp_path):
    modalities = {"dino": "image", "e5": "text", "minilm": "text"}
    out = tmp_path / "my photos"
    assert after_caching(str(out), modalities) is None
    for split in ("train", "validation"):
        learnable_set(out, split)
        config = load_config(TrainConfig, typed(after_caching(str(out), modalities), "train"))
        assert (config.train, config.out) == (str(out / "train"), "runs/my photos")
        assert config.encoders == {"image": ["dino"], "text": ["e5", "minilm"]}
        assert (config.recipe, config.holdout) == ("auto", 0.0)
        assert config.validation == (None if split == "train" else str(out / "validation"))
    assert after_caching(str(out), {"dino": "image"}) is None, "there is nothing to align with"


def test_what_is_named_after_caching_trains_unchanged_wherever_one_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    learnable_set(tmp_path / "latents", "train")
    learnable_set(tmp_path / "latents", "validation", num_left=40, seed=1)
    line = typed(after_caching(str(tmp_path / "latents"), {"eyes": "image", "words": "text"}), "train")
    run_command("train", [*line, f"out={tmp_path / 'run'}", "dry_run=true", "compute.accelerator=cpu"])
    said = " ".join(capsys.readouterr().out.split())
    assert "recipe=auto takes closed_form" in said and "256 pairs of made_up/train" in said


def test_without_validation_it_is_as_short_and_holds_out_a_part(tmp_path, capsys):
    learnable_set(tmp_path, "train")
    line = typed(after_caching(str(tmp_path), {"eyes": "image", "words": "text"}), "train")
    run_command("train", [*line, f"out={tmp_path / 'run'}", "dry_run=true", "compute.accelerator=cpu"])
    assert "10 % of the pairs are held out" in " ".join(capsys.readouterr().out.split())


def test_after_training_comes_evaluation_on_the_test_set_beside_it(tmp_path):
    assert "latents=A_SET_NOT_TRAINED_ON" in after_training("runs/a", [tmp_path / "train"])
    (tmp_path / "test").mkdir()
    (tmp_path / "test/set.json").touch()
    config = load_config(EvalConfig, typed(after_training("runs/a", [tmp_path / "train"]), "eval_retrieval"))
    assert (config.model, config.latents, config.out) == ("runs/a", str(tmp_path / "test"), "reports/a")


def test_after_evaluation_comes_an_index_to_search():
    config = load_config(IndexConfig, typed(after_evaluating("runs/a", "latents/a/test"), "index"))
    assert (config.model, config.latents, config.out) == ("runs/a", "latents/a/test", "indexes/a")
