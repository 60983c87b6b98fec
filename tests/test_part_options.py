"""Options of parts, of every table and of users: texts stay as typed, wherever they are typed; a wrong type is said."""

from itertools import takewhile
from typing import Literal, get_origin

import pytest
import yaml

from fusemix import config
from fusemix.cli.loading import load_config
from fusemix.cli.parts import PARTS, parts_of
from fusemix.cli.table import COMMANDS
from fusemix.config import CacheConfig, ExportConfig, GenerateConfig, GenerationEvalConfig, IndexConfig, TrainConfig
from fusemix.errors import ConfigError
from fusemix.parts.kinds import LISTS, MAPPINGS, inside, is_text, kind_of, members, written

GIVEN = {
    CacheConfig: ["dataset=glyphs", "splits=all", "encoders.hog=hog", "out=o"],
    TrainConfig: ["train=t", "holdout=0.1", "encoders.image=a", "encoders.text=b", "out=o"],
    ExportConfig: ["model=m", "out=o"],
    IndexConfig: ["model=m", "data=d", "out=o"],
    GenerateConfig: ["rain", "model=m", "pipeline=p", "out=o"],
    GenerationEvalConfig: ["generated=g", "reference=r", "out=o"],
}
"""What each command that takes parts needs at least."""
PLACES = {
    (CacheConfig, "dataset"): "dataset",
    (CacheConfig, "encoders"): "encoders.e5",
    (TrainConfig, "adapter"): "adapter",
    (TrainConfig, "adapters"): "adapters.text",
    (TrainConfig, "loss"): "loss",
    (TrainConfig, "mixup"): "mixup",
    (TrainConfig, "optimizer"): "optimizer",
    (TrainConfig, "logger"): "logger",
    (ExportConfig, "encoders"): "encoders.e5",
    (IndexConfig, "encoders"): "encoders.e5",
    (GenerateConfig, "encoders"): "encoders.e5",
    (GenerationEvalConfig, "encoder"): "encoder",
    (GenerationEvalConfig, "encoders"): "encoders.e5",
}
LISTED = ((TrainConfig, "logger"),)
"""Settings that hold lists of parts."""
TEXT = "query: b "
TEXTS = {"a": "query: ", "b": "a: b", "c": " passage ", "d": "{x}", "e": "no"}
TEXTS |= {"f": "007", "g": "1e5", "h": "- a", "i": "#", "j": "it's"}


def made_up(
    *,
    a: str = "",
    b: str = "",
    c: str = "",
    d: str = "",
    e: str = "",
    f: str = "",
    g: str = "",
    h: str = "",
    i: str = "",
    j: str = "",
    size: int = 1,
    **given,
):
    """A part of a user's own, with an option for each of TEXTS."""


def parameters_of(registry, name):
    found = registry.signature(name).parameters.items()
    return {key: parameter for key, parameter in found if key not in registry.given}


def is_one_text(parameter):
    kind = kind_of(parameter)
    is_choice = any(get_origin(one) is Literal for one in members(kind))
    return is_text(kind) and not is_choice and not inside(kind, LISTS + MAPPINGS)


def cases():
    for (schema, key), where in PLACES.items():
        for name in PARTS[key].names():
            found = parameters_of(PARTS[key], name)
            if texts := [option for option, parameter in found.items() if is_one_text(parameter)]:
                yield schema, key, where, name, texts
        yield schema, key, where, f"{__name__}:made_up", [*TEXTS]


def needed(registry, name, options):
    """What else a part needs."""
    required = {key for key, p in parameters_of(registry, name).items() if p.default is p.empty} - {*options}
    required -= {key for key, p in parameters_of(registry, name).items() if p.kind is p.VAR_KEYWORD}
    return {key: {"image": "i", "caption": "c"} if key == "columns" else "x" for key in required}


def nested(where, content):
    for key in reversed(where.split(".")):
        content = {key: content}
    return content


def read(schema, where, arguments):
    given = [argument for argument in GIVEN[schema] if argument.partition("=")[0] != where]
    found = load_config(schema, [*given, *arguments], parts=PARTS)
    for key in where.split("."):
        found = found[key] if isinstance(found, dict) else getattr(found, key)
    return (found[0] if isinstance(found, list) else found).options


def test_these_are_all_commands_that_take_parts():
    schemas = [getattr(config, command.schema) for command in COMMANDS.values()]
    found = {(schema, key) for schema in schemas for key in parts_of(schema)}
    assert found == PLACES.keys()


@pytest.mark.parametrize(("schema", "key", "where", "name", "options"), [*cases()])
def test_an_option_that_is_a_text_is_what_was_typed(schema, key, where, name, options, tmp_path):
    more = needed(PARTS[key], name, options)
    begun = f"{where}={yaml.safe_dump({'name': name, 'options': more}, default_flow_style=True, width=999)}"
    file = tmp_path / "settings.yaml"
    given = {option: TEXTS[option] if ":" in name else TEXT for option in options}
    part = {"name": name, "options": more | given}
    file.write_text(yaml.safe_dump(nested(where, [part] if (schema, key) in LISTED else part), default_style='"'))
    ways = [
        [str(file)],
        [begun, *(f"{where}.options.{option}={text}" for option, text in given.items())],
        [begun, *(word for option, text in given.items() for word in (f"--{where}.options.{option}", text))],
    ]
    for arguments in ways:
        assert read(schema, where, arguments) == more | given, arguments


def wrong():
    for (schema, key), where in PLACES.items():
        for name in PARTS[key].names():
            found = parameters_of(PARTS[key], name)
            numbers = [option for option, parameter in found.items() if kind_of(parameter) in (int, float, bool)]
            if numbers and (schema, key) not in LISTED:
                yield schema, where, name, numbers[0], needed(PARTS[key], name, numbers)
        if (schema, key) not in LISTED:
            yield schema, where, f"{__name__}:made_up", "size", {}


@pytest.mark.parametrize(("schema", "where", "name", "option", "more"), [*wrong()])
def test_an_option_of_another_type_is_one_sentence_with_its_full_name(schema, where, name, option, more):
    begun = f"{where}={yaml.safe_dump({'name': name, 'options': more}, default_flow_style=True, width=999)}"
    with pytest.raises(ConfigError) as caught:
        read(schema, where, [begun, f"{where}.options.{option}=much"])
    assert str(caught.value).startswith(f"{where}.options.{option} is 'much', but must be ")
    assert str(caught.value).count(".") == where.count(".") + 3


def test_what_can_mean_only_one_thing_is_taken(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("dataset: glyphs\nsplits: all\nencoders: {a: hog, b: {name: hog}}\nout: o\n")
    read_in = load_config(CacheConfig, [str(file)], parts=PARTS)
    assert (read_in.dataset.name, read_in.splits, read_in.encoders["a"]) == ("glyphs", ["all"], read_in.encoders["b"])
    long = ["mixup.name=none", "adapter.name=linear", "encoders={image: [a], text: [b, c]}", "preprocess=[l2]"]
    short = ["mixup=none", "--adapter", "linear", "encoders.image=a", "encoders.text=[b,c]", "preprocess=l2"]
    begun = ["train=t", "holdout=0.1", "out=o"]
    assert load_config(TrainConfig, [*begun, *short], parts=PARTS) == load_config(TrainConfig, [*begun, *long])
    assert load_config(ExportConfig, ["model=m", "out=o", "encoders.image=hog", "reports=r"], parts=PARTS) == (
        load_config(ExportConfig, ["model=m", "out=o", "encoders={image: {name: hog}}", "reports=[r]"])
    )
    options = "dataset={name: wavcaps, options: {clips: c, annotations: a, sources: SoundBible}}"
    assert load_config(CacheConfig, [*GIVEN[CacheConfig], options], parts=PARTS).dataset.options["sources"] == [
        "SoundBible"
    ]


def test_a_part_that_a_file_names_by_one_word_takes_options_from_elsewhere(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("adapter: gated\n")
    adapter = load_config(
        TrainConfig, [str(file), *GIVEN[TrainConfig], "adapter.options.expansion=3"], parts=PARTS
    ).adapter
    assert (adapter.name, adapter.options) == ("gated", {"expansion": 3})


def test_a_part_named_by_one_word_replaces_another_with_its_options(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("adapter: {name: gated, options: {expansion: 2}}\n")
    for way in (["adapter=linear"], ["--adapter", "linear"]):
        adapter = load_config(TrainConfig, [str(file), *GIVEN[TrainConfig], *way], parts=PARTS).adapter
        assert (adapter.name, adapter.options) == ("linear", {})


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("mixup=nnoe", "mixup: no mixup is called 'nnoe'. Did you mean 'none'?"),
        ("mixup=null", "mixup is null, but must be the name of a part, or {name: NAME, options: {…}}."),
        ("adapter=[linear]", "adapter is ['linear'], but must be the name of a part"),
        ("optim=fast", "optim is 'fast', but must be a mapping of lr, min_lr, weight_decay"),
        ("loss.options.bias=1", "loss: loss 'info_nce': it has no option 'bias'. Its options: label_smoothing."),
        ("adapter.options.input_dim=1", "adapter: adapter 'residual_mlp': 'input_dim' is set by fusemix itself"),
        ("encoders.image=null", "encoders.image is null, but must be a list of texts."),
    ],
)
def test_what_is_no_part_or_no_option_of_it_is_said(argument, message):
    with pytest.raises(ConfigError) as caught:
        load_config(TrainConfig, [*GIVEN[TrainConfig], argument], parts=PARTS)
    assert str(caught.value).startswith(message)


def test_help_names_every_part_with_its_options():
    from fusemix.cli.help import help_text

    for command, about in COMMANDS.items():
        text = help_text(command)
        assert max(map(len, text.splitlines())) <= 80
        for registry in parts_of(getattr(config, about.schema)).values():
            for name in registry.names():
                lines = text[text.rindex(f"\n  {name}: ") :].splitlines()[2:]
                mine = "\n".join(takewhile(lambda line: line.startswith("      "), lines))
                for option, parameter in parameters_of(registry, name).items():
                    assert f"      {option}: {written(kind_of(parameter))}" in mine
