"""A text stays the text that was typed, wherever it was typed; and numbers stay numbers."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from fusemix.cli.loading import load_config
from fusemix.cli.parts import PARTS
from fusemix.config import CacheConfig, EvalConfig, ImportConfig, TrainConfig, to_plain
from fusemix.errors import ConfigError
from fusemix.parts.registry import Registry

LOOK_ALIKES = [
    "2024_01",
    "007",
    "no",
    "Off",
    "yes",
    "1:30",
    "3.10",
    "1e5",
    "0x10",
    "0o7",
    "2024-01-01",
    "True",
    ".5",
    "1.",
]
"""Texts that yaml takes for something else."""
BOMB = "out: o\na0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))


@dataclass(frozen=True)
class Part:
    name: str = "made_up"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    out: str
    run: str | None = None
    rate: float = 0.5
    size: int = 1
    either: int | str = "auto"
    flag: bool = False
    words: list[str] = field(default_factory=list)
    ks: list[int] = field(default_factory=list)
    table: dict[str, list[str]] = field(default_factory=dict)
    part: Part = field(default_factory=Part)
    parts: dict[str, list[Part]] = field(default_factory=dict)


def made_up(
    *, folder: str = "f", revision: str | None = None, names: list[str] | None = None, rate: float = 1.0, size: int = 1,
    shares: dict[str, float] | None = None, prefix="", anything=None,
) -> None:  # fmt: skip
    """A part, of which only the types matter."""


REGISTRY = Registry("part", {"made_up": f"{__name__}:made_up"})


def loaded(*arguments, schema=Settings):
    return load_config(schema, arguments, parts={"part": REGISTRY, "parts": REGISTRY})


def freely(text=None, *, folder: str | None = None, rate: float = 1.0, exact=False, level=None, no=None) -> None:
    """A part that says nothing of some of its options."""


def written(folder, text):
    (folder / "settings.yaml").write_text(text, encoding="utf-8")
    return str(folder / "settings.yaml")


@pytest.mark.parametrize(
    "text", [*LOOK_ALIKES, "a b", "a: b", "[a", "{x}", "*x", "&a b", "%d", "@x", "- a", "ü €", "a=b", "a #b"]
)
def test_a_text_is_what_was_typed(text):
    assert loaded(f"out={text}").out == loaded("--out", text).out == text
    assert loaded("out=o", f"run={text}").run == loaded("out=o", "--run", text).run == text
    assert load_config(Settings, ["out=o", f"part.name={text}"]).part.name == text


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_a_text_of_yaml_is_what_was_typed(text, tmp_path):
    lines = f"out: {text}\nrun: {text}  # a comment\nwords: [{text}, a]\ntable: {{{text}: [{text}]}}\n"
    read = loaded(written(tmp_path, lines))
    assert (read.out, read.run, read.words, read.table) == (text, text, [text, "a"], {text: [text]})
    assert (
        loaded("out=o", f"words=[{text}, a]", f"table={{{text}: [{text}]}}")
        == loaded("out=o", f"table.{text}=[{text}]", f"words=[{text},a]")
        if "." not in text
        else True
    )


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_options_of_a_part_are_what_its_factory_takes(text, tmp_path):
    options = f"folder: {text}, revision: {text}, names: [{text}], prefix: {text}, shares: {{{text}: 1}}"
    options += ", rate: 1e-3, size: 010"
    texts = {"folder": text, "revision": text, "names": [text], "prefix": text, "shares": {text: 1}}
    expected = texts | {"rate": 0.001, "size": 10}
    assert loaded("out=o", f"part.options={{{options}}}").part.options == expected
    file = written(
        tmp_path, f"out: o\npart: {{options: {{{options}}}}}\nparts: {{x: [{{name: made_up, options: {{{options}}}}}]}}"
    )
    assert loaded(file).part.options == expected
    assert loaded(file).parts["x"][0].options == expected
    assert loaded(file, f"part.options.folder={text}").part.options == expected
    assert loaded("out=o", f"part.options.folder={text}").part.options == {"folder": text}


def test_the_name_of_a_part_may_come_from_elsewhere_than_its_options(tmp_path):
    file = written(tmp_path, "out: o\npart: {name: made_up}\n")
    assert loaded(file, "part.options.folder=2024_01").part.options == {"folder": "2024_01"}
    assert loaded("part.options.folder=a: b", file).part.options == {"folder": "a: b"}
    free = loaded(
        "out=o", f"part={{name: {__name__}:freely, options: {{folder: 2024_01, rate: 5, exact: true, level: 1e-3}}}}"
    )
    assert free.part.options == {"folder": "2024_01", "rate": 5, "exact": True, "level": 0.001}


def test_an_option_that_may_be_a_text_or_more_is_what_was_typed(tmp_path):
    given = ["dataset.name=image_classes", "dataset.options.folder=no", "splits=[a]", "encoders.a.name=hog", "out=o"]
    for value, expected in (
        ("{007: dark red, no: 1e5}", {"007": "dark red", "no": "1e5"}),
        ("1e5", "1e5"),
        ("names: a.json", "names: a.json"),
    ):
        more = (
            [] if value.startswith("names") else [written(tmp_path, f"dataset: {{options: {{class_names: {value}}}}}")]
        )
        for argument in (f"dataset.options.class_names={value}", *more):
            config = load_config(CacheConfig, [*given, argument], parts=PARTS)
            assert config.dataset.options["class_names"] == (expected if value[0] != "n" else {"names": "a.json"})
    templates = load_config(CacheConfig, [*given, "dataset.options.templates=['no {}', 'a {}']"], parts=PARTS)
    assert templates.dataset.options["templates"] == ["no {}", "a {}"]
    with pytest.raises(ConfigError, match="while parsing a flow"):
        load_config(CacheConfig, [*given, "dataset.options.templates=[a {}, b"], parts=PARTS)


def test_nothing_where_nothing_may_be_and_quotes_make_a_text(tmp_path):
    for word in ("null", "~", ""):
        assert loaded("out=o", f"run={word}").run is None
        assert loaded("out=o", f"part={{name: made_up, options: {{revision: {word}}}}}").part.options == {
            "revision": None
        }
        with pytest.raises(ConfigError, match="out"):
            loaded(f"out={word}")
    for quoted in ("'null'", '"null"'):
        assert loaded(f"out={quoted}").out == loaded("out=o", f"run={quoted}").run == "null"
        assert loaded(written(tmp_path, f"out: {quoted}\n")).out == "null"
    assert loaded("out='a b'").out == loaded('out="a b"').out == "a b"
    assert loaded("out='a' b").out == "'a' b"
    assert loaded(written(tmp_path, "out: !!str 5\n")).out == "5"


@pytest.mark.parametrize("text", ["${x}", "\\${x}", "costs ${5", "???", "\\???"])
def test_a_text_is_no_reference_to_another_setting(text):
    config = load_config(Settings, ["--out", text, f"run={text}", "--words", text])
    assert (config.out, config.run, config.words) == (text, text, [text])
    assert loaded(f"out={text}").out == text


def test_numbers_and_truth_values_are_read_as_before(tmp_path):
    lines = "out: o\nrate: 1e-3\nsize: 1_000\nflag: yes\nks: [1, 5]\neither: 8\n"
    assert loaded(written(tmp_path, lines)) == Settings("o", None, 0.001, 1000, 8, True, ks=[1, 5])
    assert loaded("out=o", "rate=1e-3", "size=1_000", "flag=on", "ks=[1,5]", "either=8") == loaded(
        written(tmp_path, lines)
    )
    assert loaded("out=o", "size=010").size == 10, "not eight, as yaml has it"
    assert loaded("out=o", "either=auto").either == "auto"
    with pytest.raises(ConfigError, match=r"^size is '1:30', but must be a whole number\.$"):
        loaded("out=o", "size=1:30")


def test_files_with_anchors_merges_and_marks_are_read(tmp_path):
    lines = "\ufeffout: &it 007\nrun: *it\npart: &p {name: x}\nparts: {y: [{<<: *p, options: {no: 1}}]}\n"
    read = load_config(Settings, [written(tmp_path, lines)])
    assert (read.out, read.run, read.parts["y"][0]) == ("007", "007", Part("x", {"no": 1}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("out: a\nout: b\n", "the key 'out' is there twice"),
        ("out: a\ntable: {007: [a], 007: [b]}\n", "the key '007' is there twice"),
        ("[out]: a\n", "a key is no single word"),
        ("- out\n", "settings are a mapping"),
        ("just words\n", "settings are a mapping"),
        ("out: &a [*a]\n", "an alias stands within itself"),
        (BOMB, "its aliases grow without end"),
        ("out: [a, b]\n", r"out is \['a', 'b'\], but must be a text"),
        ("out: {a: b}\n", "out is {'a': 'b'}, but must be a text"),
        ("out: 'a\n", "while scanning a quoted scalar"),
    ],
)
def test_what_is_no_setting_is_refused_by_the_name_of_its_file(tmp_path, text, message):
    with pytest.raises(ConfigError, match=r"settings\.yaml: [^$]*(" + message + ")"):
        loaded(written(tmp_path, text))


def test_words_that_differ_as_texts_are_different_keys(tmp_path):
    assert loaded(written(tmp_path, "out: o\ntable: {7: [a], 007: [b], no: [c], off: [d]}\n")).table == {
        "7": ["a"], "007": ["b"], "no": ["c"], "off": ["d"]
    }  # fmt: skip


def test_settings_of_the_stages_keep_their_texts(tmp_path):
    cache = ["dataset.name=image_captions", "dataset.options={folder: 2024, captions: 1e5, fractions: {train: 1}}"]
    config = load_config(CacheConfig, [*cache, "splits=[2024,no]", "encoders.007.name=hog", "out=2024_01"], parts=PARTS)
    assert config.dataset.options == {"folder": "2024", "captions": "1e5", "fractions": {"train": 1}}
    assert (config.splits, list(config.encoders), config.out) == (["2024", "no"], ["007"], "2024_01")
    train = ["train=007", "holdout=0.1", "encoders={image: [007], text: [no]}", "compute.devices=2", "out=1:30"]
    assert load_config(TrainConfig, train).encoders == {"image": ["007"], "text": ["no"]}
    assert load_config(EvalConfig, ["model=1", "latents=2", "out=3", "indexes={Flat: }"]).indexes == {"Flat": ""}
    note = [
        "latents=s",
        "modality=m",
        "vectors=l",
        "ids=i",
        "made_by={model: m, revision: 3.10, commit: 0012, width: 512}",
    ]
    assert load_config(ImportConfig, note).made_by == {"model": "m", "revision": "3.10", "commit": "0012", "width": 512}


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_settings_written_to_yaml_are_read_back_the_same(text, tmp_path):
    options = f"{{images: {text}, annotations: {text}}}"
    config = load_config(CacheConfig, [f"dataset={{name: coco, options: {options}}}", f"splits=[{text}]",
                                       "encoders.a.name=hog", f"out={text}"], parts=PARTS)  # fmt: skip
    file = written(tmp_path, yaml.safe_dump(to_plain(config)))
    assert load_config(CacheConfig, [file], parts=PARTS) == config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folder": None}, "'folder' is None, but must be a text."),
        ({"folder": "f", "rate": "much"}, "'rate' is 'much', but must be a number."),
        ({"folder": "f", "size": 1.5}, "'size' is 1.5, but must be a whole number."),
        ({"folder": "f", "names": "a", "rate": "b"}, "'names' is 'a', but must be a list of texts or null. 'rate' is "),
        ({"folder": "f", "size": True}, "'size' is True, but must be a whole number."),
        ({"folder": "f", "shares": {"a": "b"}}, "'shares' is {'a': 'b'}, but must be a mapping of numbers or null."),
        ({"folder": {"a": 1}}, "'folder' is {'a': 1}, but must be a text."),
    ],
)  # fmt: skip
def test_an_option_of_another_type_is_one_sentence(options, message):
    with pytest.raises(ConfigError) as caught:
        REGISTRY.build("made_up", options)
    assert message in str(caught.value)
