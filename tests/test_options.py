"""Options as shells know them say the same as `key=value`."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from fusemix.cli.loading import load_config
from fusemix.config import IndexConfig, SearchConfig, TrainConfig
from fusemix.config.shapes import BARE
from fusemix.errors import ConfigError
from fusemix.parts.kinds import Location


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
    ks: list[int] = field(default_factory=list)
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
        (["--words", "[one, two]"], ["words=[one,two]"]),
        (["--words", "[one]", "--words=[two,three]"], ["words=[one,two,three]"]),
        (["--words", "one"], ["words=one"]),
        (["--ks", "[1,5]"], ["ks=[1,5]"]),
        (["--ks", "1", "--ks", "5"], ["ks=[1,5]"]),
        (["--ks=1"], ["ks=1"]),
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


@dataclass(frozen=True)
class Spoken:
    words: list[str] = field(default_factory=list, metadata=BARE)
    index: str = "i"
    k: int = 10
    exact: bool = False


@dataclass(frozen=True)
class Paths:
    reports: list[Location] = field(default_factory=list, metadata=BARE)
    out: Location = "o"


@dataclass(frozen=True)
class OnePath:
    latents: Location = field(metadata=BARE)
    out: Location = "o"


def test_a_bare_word_may_stand_for_a_setting_that_is_one(tmp_path):
    assert load_config(OnePath, ["a", "out=c"]) == OnePath("a", "c")
    assert load_config(OnePath, ["latents=a"]) == load_config(OnePath, ["--latents", "a"]) == OnePath("a")
    for words in (["a", "b"], ["latents=a", "b"], ["--latents", "a", "b"]):
        with pytest.raises(ConfigError, match=r"^latents is one, but was given 2: a, b\.$"):
            load_config(OnePath, words)
    with pytest.raises(ConfigError, match="latents"):
        load_config(OnePath, [])


def test_words_may_be_anything_and_after_two_hyphens_even_look_like_options():
    config = load_config(Spoken, ["a dog: x=y", "--exact", "--", "--index", "null"])
    assert config.words == ["a dog: x=y", "--index", "null"]
    assert config.index == "i"
    assert config.exact


@pytest.mark.parametrize("k", [["-k", "3"], ["-k=3"], ["-k3"], ["--k", "3"], ["--k=3"], ["k=3"]])
def test_an_option_of_one_letter_is_no_word(k):
    assert load_config(Spoken, ["dog", *k]) == load_config(Spoken, [*k, "dog"]) == Spoken(["dog"], k=3)


@pytest.mark.parametrize(
    ("bare", "texts"),
    [
        (["dog"], ["dog"]),
        (["a", "dog", "leaping", "high"], ["a dog leaping high"]),
        (["a", "dog", "--k", "10", "leaping"], ["a dog leaping"]),
        (["a dog"], ["a dog"]),
        (["a dog", "at night"], ["a dog", "at night"]),
        (["a dog", "night"], ["a dog", "night"]),
        (["--words", "dog", "--words", "night"], ["dog", "night"]),
        (["--words", "[dog, night]"], ["[dog, night]"]),
        (["x=y"], ["x=y"]),
        (["--", "k=3", "-5"], ["k=3 -5"]),
        (["-"], ["-"]),
    ],
)
def test_single_words_are_one_text_and_quoted_ones_each_their_own(bare, texts):
    assert load_config(Spoken, bare) == Spoken(texts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["dog", "-q", "3"],
            r"^there is no option '-q'\..* What begins with a hyphen and is no option goes b",
        ),
        (["dog", "-index", "x"], r"^there is no option '-index'\. Did you mean 'index'\?"),
        (["dog", "--idx", "x"], r"^there is no option '--idx'\. Did you mean 'index'\?"),
        (["dog", "-k"], r"^-k has no value"),
        (["-5"], r"^there is no option '-5'"),
        (["dog", "-kk"], r"^k is 'k', but must be a whole number"),
    ],
)
def test_a_flag_is_never_taken_for_a_word(options, message):
    with pytest.raises(ConfigError, match=message):
        load_config(Spoken, options)


def test_paths_stand_each_for_itself_and_settings_among_them_are_settings(tmp_path, monkeypatch):
    assert load_config(Paths, ["a", "b", "out=c"]) == Paths(["a", "b"], "c")
    with pytest.raises(ConfigError, match=r"^oot=c: there is no setting 'oot'\. Did you mean 'out'\?"):
        load_config(Paths, ["a", "oot=c"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lr=3").mkdir()
    assert load_config(Paths, ["lr=3", "runs/lr=3"]) == Paths(["lr=3", "runs/lr=3"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--nmae", "b"],
            r"there is no option '--nmae'. Did you mean 'name'\? Options: --name, --other, --mode, --batch-s",
        ),
        (["--name"], r"^--name has no value. Write --name VALUE."),
        (["--name", "--exact"], r"^--name has no value"),
        (["--batch-size", "many"], r"^batch_size is 'many', but must be a whole number\.$"),
        (["--mode", "never"], r"^mode is 'never', but must be fast or slow\.$"),
        (["--exact=perhaps"], r"^exact is 'perhaps', but must be true or false\.$"),
        (["--ks", "[1, two]"], r"^ks is \[1, 'two'\], but must be a list of whole numbers\.$"),
        (["--rate", "2"], r"^there is no option '--rate'\. Did you mean 'inner\.rate'\?"),
        (["rate=2"], r"^rate=2: there is no setting 'rate'\. Did you mean 'inner\.rate'\?"),
        (["--size", "2"], r"Did you mean 'batch_size'\?"),
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
        load_config(SearchConfig, options)
