"""Every number among the settings has a range, and what lies outside is refused by name before anything starts."""

import dataclasses
import re
from typing import get_args, get_type_hints

import pytest

from fusemix.cli.loading import load_config
from fusemix.config import (
    CacheConfig,
    EmbeddingsExportConfig,
    EvalConfig,
    ExportConfig,
    GenerationEvalConfig,
    ImportConfig,
    IndexConfig,
    SearchConfig,
    SelectConfig,
    ServeConfig,
    TrainConfig,
    ZeroShotConfig,
)
from fusemix.errors import ConfigError
from fusemix.parts.kinds import members

GIVEN = {
    CacheConfig: ["dataset.name=glyphs", "splits=[train]", "encoders.hog.name=hog", "out=o"],
    TrainConfig: ["train=a", "validation=b", "encoders.image=[x]", "encoders.text=[y]", "out=o"],
    EvalConfig: ["model=r", "latents=l", "out=o"],
    ZeroShotConfig: ["model=r", "latents=l", "out=o"],
    GenerationEvalConfig: ["generated=g", "reference=r", "out=o"],
    IndexConfig: ["model=m", "data=d", "out=o"],
    SearchConfig: ["index=i", "text=[a]"],
    SelectConfig: ["latents=l", "size=1", "out=o"],
    ServeConfig: ["index=i"],
    EmbeddingsExportConfig: ["latents=l", "model=r", "out=o"],
    ImportConfig: ["latents=s", "modality=m", "vectors=v", "ids=i"],
    ExportConfig: ["model=m", "out=o"],
}
"""What each needs at least."""


def numbers(schema: type) -> list[str]:
    kinds = get_type_hints(schema)
    return [name for name, kind in kinds.items() if {int, float} & {kind, *get_args(kind)} and "list" not in str(kind)]


NUMBERS = [(schema, name) for schema in GIVEN for name in numbers(schema) if schema is not TrainConfig]
"""Those of training are tried value by value in the tests of training."""


@pytest.mark.parametrize(("schema", "name"), NUMBERS, ids=lambda value: getattr(value, "__name__", value))
def test_no_number_takes_just_anything(schema, name):
    """Named in the message, without what OmegaConf has to say of its own insides."""
    for value in ("-1", "-0.5", "nan", ".nan", "inf", "-inf", "1e400", "many", "[1]", "{a: 1}", "true", "1:30"):
        with pytest.raises(ConfigError, match=name) as caught:
            load_config(schema, [*GIVEN[schema], f"{name}={value}"])
        assert len(str(caught.value).splitlines()) <= 3
    if get_type_hints(schema)[name] is not float:
        with pytest.raises(ConfigError, match=name):
            load_config(schema, [*GIVEN[schema], f"{name}={10**30}"])


@pytest.mark.parametrize("schema", GIVEN, ids=lambda schema: schema.__name__)
def test_a_text_that_is_needed_is_not_empty_and_words_are_known(schema):
    for field in dataclasses.fields(schema):
        if members(field.type) == (str,) and field.default is dataclasses.MISSING:
            for value in ("", "''", "' '", "null"):
                with pytest.raises(ConfigError, match=field.name):
                    load_config(schema, [*GIVEN[schema], f"{field.name}={value}"])
    for argument in ("nope=1", "+out=1") if schema is not SearchConfig else ():  # where it would be a text
        with pytest.raises(ConfigError, match=re.escape(f"{argument}: there is no setting '{argument[:-2]}'")):
            load_config(schema, [*GIVEN[schema], argument])


@pytest.mark.parametrize(
    ("schema", "argument", "message"),
    [
        (EvalConfig, "ks=[1,5,1]", "ks holds 1 twice."),
        (EvalConfig, "ks=[-1]", "ks must hold whole numbers from 1 upwards"),
        (EvalConfig, "seed=4294967296", "seed is 4294967296, but must lie between 0 and 4294967295."),
        (CacheConfig, "splits=[train,test,train]", "splits holds 'train' twice."),
        (CacheConfig, "splits=['']", "splits: '' becomes a folder"),
        (CacheConfig, "splits=[..]", "splits: '..' becomes a folder"),
        (CacheConfig, "splits=[a/b]", "splits: 'a/b' becomes a folder, so it must be a word without '/'."),
        (CacheConfig, "batch_size=some", "batch_size is 'some', but must be a whole number or auto."),
        (CacheConfig, "num_workers=5000", "num_workers is 5000, but must lie between 0 and 1024."),
    ],
)
def test_lists_and_words_have_their_rules(schema, argument, message):
    with pytest.raises(ConfigError) as caught:
        load_config(schema, [*GIVEN[schema], argument])
    assert message in str(caught.value)
    slices = load_config(CacheConfig, [*GIVEN[CacheConfig], "splits=['train[:10%]', 2024, été]"])
    assert slices.splits == ["train[:10%]", "2024", "été"]
