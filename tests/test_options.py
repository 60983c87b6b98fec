"""Options as shells know them say the same as `key=value`."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from fusemix.config import IndexConfig, SearchConfig, TrainConfig, load_config
from fusemix.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5


@dataclass(frozen=True)
class Settings:
    name: str = "a"
    other: str | None = None
    mode: Literal["fast", "slow"] = "fast"
    batch_size: int = 1
    exact: bool = False
    words: list[str] = field(default_factory=list)
    inner: Inner = field(default_factory=Inner)
    table: dict[str, int] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (["--name", "b"], ["name=b"]),
        (["--name=b"], ["name=b"]),
        (["--batch-size", "3"], ["batch_size=3"]),
        (["--batch_size=3"], ["batch_size=3"]),
        (["--exact"], ["exact=true"]),
        (["--exact", "true"], ["exact=true"]),
        (["--exact", "false", "--name", "b"], ["name=b"]),
        (["--exact", "--name", "b"], ["exact=true", "name=b"]),
        (["--mode", "slow"], ["mode=slow"]),
        (["--other", "x"], ["other=x"]),
        (["--words", "one", "--words", "two"], ["words=[one,two]"]),
        (["--inner.rate", "0.25"], ["inner.rate=0.25"]),
        (["--table", "{a: 1}"], ["table={a: 1}"]),
    ],
)
def test_an_option_says_the_same_as_its_setting(options, settings):
    assert load_config(Settings, options) == load_config(Settings, settings) != Settings()


@pytest.mark.parametrize("value", ["a: b", "[1", "null", "7", "x=y", "c, d", "{", "~/photos", "", "%"])
def test_text_is_taken_as_it_stands(value):
    assert load_config(Settings, [f"--name={value}"]).name == value
    assert load_config(Settings, [f"--other={value}"]).other == value
    assert load_config(Settings, [f"--words={value}", "--words", "z"]).words == [value, "z"]


def test_options_win_over_files_and_settings(tmp_path):
    (tmp_path / "a.yaml").write_text("name: file\nbatch_size: 2\n")
    config = load_config(Settings, ["--name", "option", "name=setting", str(tmp_path / "a.yaml"), "batch_size=5"])
    assert (config.name, config.batch_size) == ("option", 5)


def test_words_may_be_anything_and_after_two_hyphens_even_look_like_options():
    config = load_config(Settings, ["a dog: x=y", "--exact", "--", "--name", "null"], "words")
    assert config.words == ["a dog: x=y", "--name", "null"]
    assert config.name == "a"
    assert config.exact


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--nmae", "b"],
            r"there is no option '--nmae'. Did you mean 'name'\? Options: --name, --other, --mode, --batch-s",
        ),
        (["--name"], r"^--name has no value. Write --name VALUE."),
        (["--name", "--exact"], r"^--name has no value"),
        (["--batch-size", "many"], r"batch_size=many: Value 'many' .* could not be converted to Integer"),
        (["--mode", "never"], r"never"),
        (["--exact=perhaps"], r"exact=perhaps"),
    ],
)
def test_a_wrong_option_is_a_message(options, message):
    with pytest.raises(ConfigError, match=message):
        load_config(Settings, options)


def test_commands_of_before_take_options_too(tmp_path):
    assert (
        load_config(
            TrainConfig, ["--train", "a", "--out", "b", "--holdout", "0.1", "encoders={text: [x], image: [y]}"]
        ).out
        == "b"
    )
    assert load_config(IndexConfig, ["--model", "m", "--data", "d", "--out", "o", "--overwrite"]).overwrite


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--index", "i"], r"nothing to search for. Write: fusemix search"),
        (["x"], r"the setting 'index' has no value"),
        (["x", "--index", "i", "--k", "0"], r"k is 0, but must lie between 1 and 1000"),
    ],
)
def test_a_search_needs_an_index_and_something_to_search_for(options, message):
    with pytest.raises(ConfigError, match=message):
        load_config(SearchConfig, options, "text")
