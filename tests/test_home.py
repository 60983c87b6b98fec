"""`~` is the home folder in every setting that is a path, however it is typed; and nowhere else."""

import pytest

from fusemix import config
from fusemix.cli.loading import load_config
from fusemix.cli.parts import PARTS
from fusemix.cli.table import COMMANDS
from fusemix.config import CacheConfig, SearchConfig, TrainConfig
from fusemix.config.names import full_names
from fusemix.config.typed import kind_at
from fusemix.parts.kinds import is_location

NO_PATHS = {
    "also",
    "more",
    "same_column",
    "unpaired",
    "embedding_dim",
    "temperature",
    "adapters",
    "baselines",
    "text",
    "modality",
    "name",
    "protocol",
    "host",
    "device",
    "accelerator",
    "devices",
    "precision",
    "license",
}
NO_PATHS |= {
    "push_to",
    "dataset",
    "split",
    "checkpoint",
    "splits",
    "like",
    "preprocess",
    "encoders",
    "method",
    "modality",
    "accept",
    "indexes",
}
NO_PATHS |= {
    "filter",
    "allowed_hosts",
    "token",
    "prefix",
    "collection",
    "remove",
    "relocate",  # OLD=NEW
    "base_path",
    "options",
    "batch_size",
    "shell",
    "max_epochs",
    "validate_every",
    "num_workers",
    "made_by",
    "latents_on",
    "method",
    "dtype",
    "format",
    "part",
    "recipe",  # a name, or a file that is looked for from home on
    "revision",
    "variant",
    "ip_adapter_weights",  # below the folder
    "prompt",
    "negative_prompt",
    "unconditional",
    *("cache", "select", "train", "evaluate", "axes"),  # settings of stages, in a study
    *("settings", "values", "cases", "x", "seeds", "measures"),
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return str(tmp_path)


def test_every_setting_that_is_a_text_is_a_path_or_known_to_be_none():
    for command in COMMANDS.values():
        schema = getattr(config, command.schema)
        for name in full_names(schema):
            kind = kind_at(schema, name.split("."))
            inner = getattr(kind, "__args__", [kind])[0]
            if "str" in str(kind) and not is_location(kind) and not is_location(inner):
                assert name.rpartition(".")[2] in NO_PATHS, f"{command.schema}: {name}"


def test_a_path_begins_at_home_however_it_is_typed(home, tmp_path):
    file = tmp_path / "settings.yaml"
    given = ["train=t", "holdout=0.1", "encoders.image=a", "encoders.text=b"]
    file.write_text("out: ~/x\n")
    quoted = tmp_path / "quoted.yaml"
    quoted.write_text("out: '~/x'\n")
    for way in ([str(file)], [str(quoted)], ["out=~/x"], ["--out", "~/x"], ["--out=~/x"]):
        assert load_config(TrainConfig, [*given, *way]).out == f"{home}/x"
    more = load_config(TrainConfig, [*given, "out=o", "also.b.train=~/b", "init_from=~/c"])
    assert (more.also["b"].train, more.init_from) == (f"{home}/b", f"{home}/c")


def test_options_of_parts_that_are_paths_begin_at_home_too(home):
    found = load_config(
        CacheConfig,
        ["dataset=image_captions", "dataset.options.folder=~/p", "dataset.options.captions=~/c.csv", "splits=a",
         "out=o", "dataset.options.splits={a: ~/a.txt}", "encoders.x=transformers_text", "encoders.x.options.model=~/m",
         "encoders.x.options.prefix=~/p"],
        parts=PARTS,
    )  # fmt: skip
    assert found.dataset.options == {
        "folder": f"{home}/p", "captions": f"{home}/c.csv", "splits": {"a": f"{home}/a.txt"}
    }  # fmt: skip
    assert found.encoders["x"].options == {"model": f"{home}/m", "prefix": "~/p"}, "a prefix is a text"


def test_what_only_looks_like_a_path_stays(home):
    found = load_config(
        SearchConfig, ["--text", "~/x", "--image", "~/x", "--index=~nobody_at_all/x", "--model=org/name"]
    )
    assert (found.text, found.image) == (["~/x"], [f"{home}/x"])
    assert (found.index, found.model) == ("~nobody_at_all/x", "org/name")
