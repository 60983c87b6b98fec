"""One word a thing: a setting means the same in every command, and its former names lead to the one that it has now."""

import dataclasses

import pytest
import torch
from report_samples import sample_report

from fusemix import config
from fusemix.cli.called import run_command
from fusemix.cli.help import field_texts
from fusemix.cli.loading import load_config
from fusemix.cli.table import COMMANDS
from fusemix.config import ComputeConfig, EvalConfig, IndexConfig, SearchConfig, TrainConfig
from fusemix.config.names import RENAMED, full_names
from fusemix.config.typed import fields_of, kinds_of_fields
from fusemix.errors import ConfigError
from fusemix.machine.environment import one_device
from fusemix.parts.kinds import written

SCHEMAS = [kind for kind in map(vars(config).get, config.__all__) if dataclasses.is_dataclass(kind)]
OF_COMMANDS = {name: getattr(config, command.schema) for name, command in COMMANDS.items()}
SEVERAL_KINDS = {
    "batch_size": "auto where something measures or fits it, a number alone elsewhere",
    "encoders": "what builds them where encoders run, and names of their latents where these are read",
    "dataset": "what is loaded in caching; import notes a name, since nothing is loaded",
    "out": "exports may go to a URL; latents, runs, indexes and reports stay on this machine",
    "train": "the set to train on; in a study all settings of that stage",
    "temperature": "auto for the learned one, a number alone for similarities that are compared",
    "method": "ways of training, and ways of choosing pairs",
    "model": "loaded from a URL where it embeds; evaluation reads a run, which stays on this machine",
}
"""Settings that are not of one kind everywhere, and why."""
COMPUTING = {
    "cache_features", "check", "train", "eval_retrieval",
    "eval_generation", "eval_zero_shot", "export_embeddings", "generate", "index", "search", "select", "serve",
}  # fmt: skip
ONE_DEVICE = {
    "eval_generation": ["generated=g", "reference=r", "out=o"],
    "eval_zero_shot": ["model=m", "latents=l", "out=o"],
    "export_embeddings": ["model=m", "latents=l", "out=o"],
    "generate": ["rain", "model=m", "pipeline=p", "out=o"],
    "index": ["model=m", "latents=l", "out=o"],
    "search": ["a text", "index=i"],
    "select": ["l", "size=1", "method=filter", "model=m", "out=o"],
    "serve": ["index=i"],
}
TRAIN = ["train=t", "holdout=0.1", "encoders={image: [a], text: [b]}", "out=o"]


def test_a_setting_of_one_name_is_of_one_kind_in_all_commands():
    kinds: dict[str, set[str]] = {}
    for schema in SCHEMAS:
        for name, kind in kinds_of_fields(schema).items():
            kinds.setdefault(name, set()).add(written(kind).replace(" | None", ""))
    assert {name for name, found in kinds.items() if len(found) > 1} == SEVERAL_KINDS.keys()


def test_every_command_that_computes_has_the_same_block_for_where():
    with_block = {name for name, schema in OF_COMMANDS.items() if "compute" in kinds_of_fields(schema)}
    assert with_block == COMPUTING
    for schema in OF_COMMANDS.values():
        names = {name.rpartition(".")[2] for name in kinds_of_fields(schema)}
        assert not names & {"device", "devices", "accelerator", "num_nodes", "run"}


@pytest.mark.parametrize("word", ["overwrite", "wait_sec"])
def test_what_writing_has_in_common_is_said_in_one_sentence(word):
    said = [field_texts(schema)[word] for schema in OF_COMMANDS.values() if word in kinds_of_fields(schema)]
    assert len(said) == 15
    assert len(set(said)) == 1


def test_settings_of_ones_own_come_before_those_in_common():
    names = [field.name for field in fields_of(TrainConfig)]
    assert (names[0], names[-2:]) == ("train", ["overwrite", "wait_sec"])


@pytest.mark.parametrize(
    "typed",
    [
        ["compute.accelerator=cpu"],
        ["compute=cpu"],
        ["--compute", "cpu"],
        ["--compute.accelerator", "cpu"],
        ["compute={accelerator: cpu}"],
    ],
)
def test_where_to_compute_is_short_on_the_command_line(typed, tmp_path):
    found = load_config(EvalConfig, ["model=m", "latents=l", "out=o", *typed]).compute
    assert found == ComputeConfig(accelerator="cpu", devices="1"), "what is not said stays as it is in this command"
    file = tmp_path / "settings.yaml"
    file.write_text("compute: cpu\n")
    assert load_config(TrainConfig, [*TRAIN, str(file)]) == load_config(TrainConfig, [*TRAIN, *typed])


@pytest.mark.parametrize(
    ("typed", "devices"),
    [("2", "2"), ("0,3", "0,3"), ("[1]", "1,"), ("[0, 3]", "0,3,"), ("'1,'", "1,"), ("auto", "auto")],
)
def test_how_many_devices_and_which_may_be_written_as_a_list(typed, devices, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(f"compute:\n  devices: {typed}\n")
    assert load_config(TrainConfig, [*TRAIN, str(file)]).compute.devices == devices
    assert load_config(TrainConfig, [*TRAIN, f"compute.devices={typed}"]).compute.devices == devices


@pytest.mark.parametrize("wrong", ["compute.devices=2", "compute.devices=0,3", "compute.devices=many"])
@pytest.mark.parametrize("command", ONE_DEVICE)
def test_a_command_that_computes_on_one_device_refuses_more(command, wrong):
    with pytest.raises(ConfigError, match=r"computes on one device, and not on compute\.devices=.*devices=\[1\]\.$"):
        run_command(command, [*ONE_DEVICE[command], wrong])
    with pytest.raises(ConfigError, match=r"of compute\.num_nodes=2: leave both out"):
        run_command(command, [*ONE_DEVICE[command], "compute.num_nodes=2"])


def test_one_device_is_called_as_torch_calls_it():
    assert one_device("cpu", "auto") == one_device("cpu", "1") == "cpu"
    assert one_device("auto", "auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    for accelerator, devices in (("abacus", "auto"), ("cuda", "99,"), ("cpu", "7,")):
        with pytest.raises(
            ConfigError, match=rf"^compute\.accelerator={accelerator}, compute\.devices={devices} cannot"
        ):
            one_device(accelerator, devices)


def former():
    for schema, names in RENAMED.items():
        yield from ((command, name) for command, one in OF_COMMANDS.items() if one.__name__ == schema for name in names)


@pytest.mark.parametrize(("command", "name"), [*former()])
def test_a_former_name_is_answered_with_the_one_of_today(command, name, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(f"{name}: x\n")
    for typed in ([f"{name}=x"], [f"--{name.replace('_', '-')}", "x"], [str(file)]):
        if command == "search" and typed[0] == str(file):
            continue  # bare words of a search are texts
        with pytest.raises(ConfigError, match=f"`{name}` is called `") as caught:
            run_command(command, typed)
        now = str(caught.value).partition("is called `")[2].partition("`")[0]
        names = list(full_names(OF_COMMANDS[command]))
        assert now in names, "it is a setting of the same command"


def test_every_former_name_is_one_of_settings_that_are_read():
    assert RENAMED.keys() <= {schema.__name__ for schema in OF_COMMANDS.values()}


def test_a_text_that_only_looks_like_a_former_name_is_searched_for():
    assert load_config(SearchConfig, ["what a device=wonder is", "--index", "i"]).text == ["what a device=wonder is"]


def test_an_index_is_made_of_files_or_of_latents_and_says_which_is_meant(tiny, tmp_path):
    begun = [f"model={tiny.run}", f"out={tmp_path / 'o'}"]
    for given in ([], ["data=a", "latents=b"]):
        with pytest.raises(ConfigError, match="give either data=FOLDER, of pictures or sounds, or latents=FOLDER"):
            load_config(IndexConfig, ["model=m", "out=o", *given])
    pictures, latents = tiny.files["image"][0].parent, tiny.latents / "pictures"
    for folder in (latents, latents / "all"):
        with pytest.raises(ConfigError, match=rf"data=.* is a folder of latents.* Write latents={folder}\.$"):
            run_command("index", [*begun, f"data={folder}"])
    with pytest.raises(ConfigError, match=rf"is no latent set: .* write data={pictures}\.$"):
        run_command("index", [*begun, f"latents={pictures}"])
    assert not (tmp_path / "o").exists()


def test_compare_and_report_read_a_yaml_file_as_all_others_do(tmp_path, capsys):
    reports = [str(sample_report(tmp_path / name, seed=seed)) for seed, name in enumerate("ab")]
    file = tmp_path / "paper.yaml"
    file.write_text(f"reports: [{', '.join(reports)}]\nout: {tmp_path / 'from_file'}\n")
    by_words = run_command("compare", [*reports, f"out={tmp_path / 'by_words'}"])
    assert run_command("compare", [str(file)]).read_bytes() == by_words.read_bytes()
    assert run_command("compare", [f"reports=[{', '.join(reports)}]", f"out={tmp_path / 'o'}"]).is_file()
    file.write_text(f"reports: [{', '.join(reports)}]\nformat: latex\n")
    capsys.readouterr()
    run_command("report", [str(file)])
    by_file = capsys.readouterr().out
    run_command("report", ["--format", "latex", *reports])
    assert by_file == capsys.readouterr().out != ""
