from pathlib import Path

import pytest
import yaml

from fusemix.cli.loading import load_config
from fusemix.config import CacheConfig, EvalConfig, StudyConfig, TrainConfig, ZeroShotConfig, to_plain
from fusemix.datasets import DATASETS
from fusemix.encoders import ENCODERS
from fusemix.errors import ConfigError
from fusemix.fusion.adapters import ADAPTERS
from fusemix.fusion.losses import LOSSES
from fusemix.fusion.mixup import MIXUPS

CONFIGS = Path(__file__).parents[1] / "configs"
SCHEMAS = {"cache": CacheConfig, "train": TrainConfig, "eval": EvalConfig, "study": StudyConfig}
ZERO_SHOT = "_zero_shot"
"""How the files end that are of another schema than their folder's."""
RECIPES = ("recommended", "few_pairs", "aligned", "closed_form", "three")
"""Settings without data."""
SHIPPED = sorted(CONFIGS.glob("*/*.yaml"))
TRAIN = ["train=a", "validation=b", "encoders.image=[x]", "encoders.text=[y]", "out=o"]
CACHE = ["dataset.name=glyphs", "splits=[train]", "encoders.hog.name=hog", "out=o"]


def schema_of(path):
    return ZeroShotConfig if path.stem.endswith(ZERO_SHOT) else SCHEMAS[path.parent.name]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_shipped_config_fits_its_schema_and_names_real_parts(path):
    data = TRAIN if path.stem in RECIPES else []
    config = load_config(schema_of(path), [str(path), *data])
    if isinstance(config, CacheConfig):
        DATASETS.complete(config.dataset.name, config.dataset.options, split=config.splits[0])
        for part in config.encoders.values():
            ENCODERS.complete(part.name, part.options)
    if isinstance(config, TrainConfig):
        ADAPTERS.complete(config.adapter.name, config.adapter.options, input_dim=4, output_dim=2)
        LOSSES.complete(config.loss.name, config.loss.options)
        MIXUPS.complete(config.mixup.name, config.mixup.options)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_shipped_config_says_what_it_is_for_and_repeats_no_default(path):
    text = path.read_text()
    assert text.startswith("# ")
    given = yaml.safe_load(text)
    defaults = {f.name: f.default for f in schema_of(path).__dataclass_fields__.values()}
    assert not [key for key, value in given.items() if defaults.get(key) == value]


def test_later_files_win_and_the_command_line_wins_over_files(tmp_path):
    (tmp_path / "a.yaml").write_text("seed: 1\noptim: {lr: 0.5, batch_size: 8}\n")
    (tmp_path / "b.yaml").write_text("optim: {lr: 0.25}\n")
    files = [str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]
    config = load_config(TrainConfig, ["seed=3", *files, *TRAIN])
    assert (config.seed, config.optim.lr, config.optim.batch_size) == (3, 0.25, 8)


def test_values_may_hold_equal_signs_and_plus_signs():
    config = load_config(CacheConfig, [*CACHE, "encoders.a.name=m:f", "encoders.a.options.pooling=cls+mean", "out=a=b"])
    assert config.encoders["a"].options == {"pooling": "cls+mean"}
    assert config.out == "a=b"


@pytest.mark.parametrize(
    ("schema", "arguments", "message"),
    [
        (
            TrainConfig,
            [*TRAIN, "optim.lrr=1"],
            r"1: there is no setting 'optim\.lrr'\. Did you mean 'optim\.lr'",
        ),
        (
            TrainConfig,
            [*TRAIN, "optim.batch_size=many"],
            "optim.batch_size is 'many', but must be a whole",
        ),
        (
            TrainConfig,
            [*TRAIN, "adapters.imgae.name=linear"],
            "adapters.imgae: encoders names only image, text. Did you mean 'image'?",
        ),
        (TrainConfig, [*TRAIN, "optim.batch_size=1"], "optim.batch_size is 1, but must lie between 2 and 1000000000"),
        (TrainConfig, [*TRAIN, "optim.max_epochs=0"], "optim.max_epochs is 0, but must lie between 1 and 1000000000"),
        (TrainConfig, [*TRAIN, "embedding_dim=0"], "embedding_dim is 0"),
        (TrainConfig, [*TRAIN, "temperature=2"], "temperature is 2, but must lie between 0.001 and 0.5"),
        (TrainConfig, [*TRAIN, "structure.weight=-1"], "structure.weight is -1.0"),
        (
            TrainConfig,
            [*TRAIN, "resume=true", "init_from=runs/a"],
            "resume continues the same run, with nothing changed",
        ),
        (TrainConfig, [*TRAIN, "resume=true", "overwrite=true"], "give only one of them"),
        (TrainConfig, [*TRAIN, "warm_start=true", "method=csa"], "neither init_from nor method=csa goes with it"),
        (
            TrainConfig,
            [*TRAIN, "method=csa", "init_from=runs/a"],
            "none of init_from, closed_form.share and regression.weight goes with it",
        ),
        (TrainConfig, [*TRAIN, "also.more.train=a", "warm_start=true"], "the closed form solves for two modalities"),
        (
            TrainConfig,
            [*TRAIN, "optim.validate_every=101"],
            "optim.validate_every is 101, but must lie between 1 and 100",
        ),
        (TrainConfig, [*TRAIN, "closed_form.share=1.5"], "closed_form.share is 1.5, but must lie between"),
        (
            TrainConfig,
            [*TRAIN, "also.more={train: a, validation: b, holdout: 0.1}"],
            "also.more: give validation or holdout, not both",
        ),
        (TrainConfig, [*TRAIN, "holdout=0.7", "validation=null"], "holdout is 0.7"),
        (TrainConfig, [*TRAIN, "holdout=0.1"], "give either validation=FOLDER or a holdout"),
        (TrainConfig, [*TRAIN, "resume=true", "overwrite=true"], "give only one of them"),
        (TrainConfig, [*TRAIN[:2], "encoders.image=[x]", "out=o"], "encoders needs two modalities"),
        (TrainConfig, TRAIN[1:], "the setting 'train' has no value"),
        (CacheConfig, [*CACHE, "dtype=float8"], "dtype is 'float8', but must be float16 or float32"),
        (CacheConfig, [*CACHE, "splits=[]"], "splits is empty"),
        (CacheConfig, [*CACHE, "batch_size=0"], "batch_size is 0, but must lie between 1 and"),
        (CacheConfig, [*CACHE, "shard_size=0"], "shard_size is 0, but must lie between 1 and"),
        (CacheConfig, [*CACHE, "num_workers=-1"], "num_workers is -1, but must lie between 0 and"),
        (CacheConfig, [*CACHE, "max_bad_fraction=2"], "max_bad_fraction is 2.0, but must lie between 0.0 and 1.0"),
        (CacheConfig, [*CACHE[:2], "out=o"], "the setting 'encoders' has no value"),
        (CacheConfig, [*CACHE[:2], "encoders={}", "out=o"], "encoders is empty"),
        (CacheConfig, [*CACHE, "encoders.a/b.name=hog"], "encoders.a/b: a name becomes a folder"),
        (CacheConfig, ["no.yaml"], "there is no config file no.yaml"),
        (
            EvalConfig,
            ["model=r", "latents=l", "out=o", "ks=[0]"],
            r"ks must hold whole numbers from 1 upwards, not \[0\]",
        ),
        (ZeroShotConfig, ["latents=l", "out=o"], "give either model=FOLDER, .* or model=null with encoders"),
        (ZeroShotConfig, ["model=r", "encoders.image=[x]", "latents=l", "out=o"], "give either model=FOLDER"),
        (EvalConfig, ["model=r", "latents=l", "out=o", "num_examples=-1"], "num_examples is -1"),
        (
            EvalConfig,
            ["model=r", "latents=l", "out=o", "checkpoint=newest"],
            "is 'newest', but must be best or last",
        ),
    ],
)
def test_each_mistake_has_its_message(schema, arguments, message):
    with pytest.raises(ConfigError, match=message):
        load_config(schema, arguments)


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a: [1\n", "- 1\n"])
def test_a_broken_file_is_named(tmp_path, text):
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(ConfigError, match="broken.yaml: "):
        load_config(TrainConfig, [str(tmp_path / "broken.yaml")])


def test_a_config_is_plain_data_that_gives_the_same_config_again(tmp_path):
    config = load_config(TrainConfig, TRAIN)
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(to_plain(config)))
    assert load_config(TrainConfig, [str(tmp_path / "again.yaml")]) == config
