"""Recipes by name: those of configs/, in a checkout and in a wheel."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from fusemix.cli import completion
from fusemix.cli.help import help_text
from fusemix.cli.loading import load_config
from fusemix.config import CacheConfig, EvalConfig, IndexConfig, StudyConfig, TrainConfig, ZeroShotConfig
from fusemix.config.recipes import recipes_of, summary_of_recipe
from fusemix.errors import ConfigError

ROOT = Path(__file__).parents[1]
DATA = ["train=a", "holdout=0.1", "encoders={image: a, text: b}", "out=o"]
SCRIPT = """
from fusemix.cli.loading import load_config
from fusemix.config import CacheConfig, TrainConfig
import fusemix, sys
print(fusemix.__file__, load_config(CacheConfig, ["flickr30k"]).dataset.name)
named = ["recipe=few_pairs", "train=a", "encoders={image: a, text: b}", "out=o"]
print(load_config(TrainConfig, named).optim.batch_size)
"""


def test_every_file_of_configs_is_a_recipe_of_one_command():
    named = [
        path
        for schema in (CacheConfig, TrainConfig, EvalConfig, ZeroShotConfig, StudyConfig)
        for path in recipes_of(schema).values()
    ]
    assert sorted(named) == sorted((ROOT / "configs").rglob("*.yaml"))
    assert set(recipes_of(TrainConfig)) >= {"recommended", "few_pairs", "aligned"}
    assert "paper/encoders" in recipes_of(CacheConfig)
    assert list(recipes_of(ZeroShotConfig)) == ["esc50_zero_shot"]
    assert recipes_of(IndexConfig) == {}


def test_a_recipe_by_name_is_the_file_of_that_name():
    by_name, by_path = (
        load_config(TrainConfig, [one, *DATA]) for one in ("few_pairs", str(ROOT / "configs/train/few_pairs.yaml"))
    )
    assert by_name == by_path
    config = load_config(CacheConfig, ["coco", "paper/encoders", "out=elsewhere"])
    stated = yaml.safe_load((ROOT / "configs/cache/paper/encoders.yaml").read_text())
    assert {name: part.name for name, part in config.encoders.items()} == {
        name: part["name"] for name, part in stated["encoders"].items()
    }
    assert (config.dataset.name, config.out) == ("coco", "elsewhere")


def test_a_file_of_that_name_and_a_setting_win_over_a_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config(TrainConfig, ["recommended", *DATA]).temperature == 0.03
    assert load_config(TrainConfig, ["recommended", *DATA, "temperature=0.2"]).temperature == 0.2
    (tmp_path / "recommended").write_text("temperature: 0.1\n")
    assert load_config(TrainConfig, ["recommended", *DATA]).temperature == 0.1


@pytest.mark.parametrize(
    ("schema", "word", "meant"),
    [
        (TrainConfig, "recomended", "'recommended'"),
        (TrainConfig, "configs/train/few_pair.yaml", "'few_pairs'"),
        (CacheConfig, "paper/encoder", "'paper/encoders'"),
    ],
)
def test_a_word_that_is_neither_is_answered_with_the_nearest_recipe(schema, word, meant):
    with pytest.raises(ConfigError) as error:
        load_config(schema, [word])
    assert f"no config file {word}, and no recipe of that name. Did you mean {meant}?" in str(error.value)


def test_help_and_completion_know_the_recipes_of_a_command():
    said = " ".join(help_text("train", ["recipes"]).split())
    assert "recommended: What we recommend from ten thousand pairs up" in said
    for name, path in recipes_of(TrainConfig).items():
        assert f"{name}: {summary_of_recipe(path)}" in said
        assert summary_of_recipe(path)
    assert "recipes" not in help_text("index")
    assert {"recommended", "few_pairs", "optim.lr="} <= set(completion.words_of(TrainConfig))
    assert "coco" not in completion.words_of(TrainConfig)
    assert {"auto", "few_pairs", "recommended"} <= set(dict(completion.values_of(TrainConfig))["recipe"])


def test_a_wheel_carries_all_recipes_and_finds_them(tmp_path):
    source = tmp_path / "source"
    for name in ("fusemix", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", tmp_path, source], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    recipes = {f"fusemix/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")}
    assert recipes <= names
    assert "fusemix/py.typed" in names
    assert not [name for name in names if name.startswith(("configs", "tests", "tools"))]
    # In a process of its own, which knows nothing of the checkout.
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(tmp_path / "site" / "fusemix" / "__init__.py"), "flickr30k", "auto"]
