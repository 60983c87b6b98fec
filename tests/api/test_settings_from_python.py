"""Settings as Python values: objects, files, mappings and keywords, of which nothing is lost."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusemix.api.settings import settings_of
from fusemix.config import OptimConfig, PartConfig, SearchConfig, TrainConfig
from fusemix.errors import ConfigError

NEEDED = {"train": "a", "holdout": 0.1, "encoders": {"image": ["x"], "text": ["y"]}, "out": "o"}
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: text.strip() and not text.startswith("~")
)


def made(*given_, **keywords):
    return settings_of(TrainConfig, given_, keywords, "train")


@settings(max_examples=40)
@given(TEXTS)
def test_a_text_stays_that_text_whatever_yaml_would_read_in_it(text):
    config = made(NEEDED, train=text, out=text, encoders={"image": [text], "text": ["y", text]})
    assert (config.train, config.out, config.encoders["image"], config.encoders["text"]) == (
        text,
        text,
        [text],
        ["y", text],
    )


@pytest.mark.parametrize("text", ["no", "null", "1e3", "007", "a=b", "[x]", "{x: y}", "# x", " x ", "${x}", "???", "'"])
def test_words_that_mean_something_elsewhere_are_texts_and_paths_here(text):
    config = settings_of(SearchConfig, [], {"index": Path(text), "text": [text, f"{text}2"], "json": True}, "search")
    assert (config.index, config.text, config.json) == (text, [text, f"{text}2"], True)


@settings(max_examples=20)
@given(st.floats(1e-12, 1.0))
def test_numbers_keep_their_last_bit(number):
    assert made(NEEDED, **{"optim.lr": number, "optim.min_lr": 0.0}).optim.lr == number
    assert made(NEEDED, optim={"lr": np.float64(number), "min_lr": 0}).optim.lr == number


def test_keywords_win_over_files_and_mappings_and_nested_names_meet(tmp_path):
    file = tmp_path / "a=b.yaml"
    file.write_text(
        "optim: {lr: 0.5, max_epochs: 7, min_lr: 0}\nadapter: {name: bottleneck, options: {hidden_dim: 8}}\n"
    )
    config = made(NEEDED, file, {"optim": {"max_epochs": 8}}, **{"optim.warmup_steps": 3}, adapter="linear")
    assert (config.optim.lr, config.optim.max_epochs, config.optim.warmup_steps) == (0.5, 8, 3)
    assert config.adapter == PartConfig(name="linear")


def test_a_settings_object_is_taken_as_it_is_and_may_be_changed_by_keywords():
    config = made(NEEDED, structure={"weight": 3}, mixup="none")
    assert made(config) == config
    assert made(config, seed=5, optim={"lr": 0.25}) == replace(config, seed=5, optim=OptimConfig(lr=0.25))


def test_a_recipe_is_known_by_its_name():
    assert made("few_pairs", NEEDED).structure.weight == 30
    with pytest.raises(ConfigError, match="no recipe of that name. Did you mean 'few_pairs'"):
        made("few_pair", NEEDED)


def test_what_is_a_number_may_stand_where_a_text_is_wanted():
    assert made(NEEDED, compute={"devices": 2}).compute.devices == "2"


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"optm": {"lr": 1}}, "train: there is no setting 'optm'. Did you mean 'optim"),
        ({"optim.lrr": 1}, r"there is no setting 'optim\.lrr'. Did you mean 'optim\.lr'"),
        ({"optim.lr": "much"}, r"optim\.lr is 'much', but must be a number"),
        ({"embedding_dim": 1.5}, "embedding_dim is 1.5, but must be a whole number"),
        ({"compile": 1}, "compile is 1, but must be true or false"),
        ({"adapter": {"name": "linear", "options": {"depth": 2}}}, "it has no option 'depth'"),
        ({"optim": {"lr": object()}}, r"optim\.lr is a object, and settings are texts"),
        ({"out": None}, "out is null, but must be a text"),
        ({"optim.lr": -1.0}, r"optim\.lr"),
    ],
)
def test_mistakes_are_named(keywords, message):
    with pytest.raises(ConfigError, match=message):
        made(NEEDED, **keywords)


def test_what_is_no_settings_at_all_is_refused_by_its_kind(tmp_path):
    with pytest.raises(ConfigError, match="train takes a TrainConfig, paths of yaml files, and keywords; not a int"):
        made(5)
    with pytest.raises(ConfigError, match=r"there is no config file .*nothing\.yaml"):
        made(tmp_path / "nothing.yaml")
    with pytest.raises(ConfigError, match="'out' has no value"):
        made({name: value for name, value in NEEDED.items() if name != "out"})
