"""The best epoch is chosen on pairs that are not trained on, wherever the folders lie and however they are spelled."""

import json
import shutil

import pytest
from training import arguments

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError


@pytest.mark.parametrize("way", ["itself", "dots", "relative", "link", "copy", "renamed"])
def test_the_training_set_is_refused_as_validation_by_what_it_holds(make_set, tmp_path, monkeypatch, way):
    folder = make_set("train")
    monkeypatch.chdir(tmp_path)
    spelled = {"dots": f"{folder}/../train/", "relative": "train"}.get(way, str(tmp_path / way))
    if way == "itself":
        spelled = str(folder)
    elif way == "link":
        (tmp_path / way).symlink_to(folder)
    elif way in ("copy", "renamed"):
        shutil.copytree(folder, tmp_path / way)
    if way == "renamed":
        about = json.loads((tmp_path / way / "set.json").read_text())
        (tmp_path / way / "set.json").write_text(json.dumps({**about, "split": "validation", "dataset": "another"}))
    with pytest.raises(ConfigError, match="holds the pairs of .*train, and these are trained on"):
        run_command("train", arguments(make_set, tmp_path / "run", validation=spelled))
    assert not (tmp_path / "run").exists()


def test_a_set_beside_the_first_is_no_validation_either(make_set, tmp_path):
    more = make_set("more", seed=7)
    also = f"{{more: {{train: {more}}}}}"
    with pytest.raises(ConfigError, match="validation is .*more, which holds the pairs of .*more"):
        run_command("train", arguments(make_set, tmp_path / "run", validation=more, also=also))
    also = f"{{more: {{train: {more}, validation: {tmp_path / 'train'}}}}}"
    with pytest.raises(ConfigError, match="validation is .*train, which holds the pairs of .*train"):
        run_command("train", arguments(make_set, tmp_path / "run", also=also))


def test_items_that_are_trained_on_are_counted(make_set, tmp_path, capsys):
    settings = {"optim__max_epochs": 1}
    # Of one seed, and 12 numbers a row: the pictures of a smaller set are the first of the larger one.
    part = make_set("part", captions=1, num_left=40)
    run_command("train", arguments(make_set, tmp_path / "run", validation=part, **settings))
    said = capsys.readouterr().out.replace("\n", "")
    assert f"40 of 40 image items and 0 of 40 text items of {part} are in {tmp_path / 'train'}, too" in said
