"""What every command that writes does before anything else: see that it can, and that nobody else does."""

import dataclasses
import sys

import pytest

from fusemix import config
from fusemix.cli import run as cli
from fusemix.cli.called import run_command
from fusemix.cli.table import COMMANDS
from fusemix.disk.locks import one_writer
from fusemix.errors import OutputError

WRITING = {
    "cache_features": ["dataset.name=glyphs", "splits=[train]", "encoders.a.name=hog", "compute.accelerator=cpu"],
    "train": ["train=nowhere", "holdout=0.1", "encoders={image: [a], text: [b]}", "compute.accelerator=cpu"],
    "eval_retrieval": ["model=nowhere", "latents=nowhere", "compute.accelerator=cpu"],
    "eval_zero_shot": ["model=nowhere", "latents=nowhere"],
    "eval_generation": ["generated=nowhere", "reference=nowhere"],
    "index": ["model=nowhere", "data=nowhere"],
    "compare": ["nowhere", "nowhere"],
    "select": ["latents=nowhere", "size=1"],
    "export": ["model=nowhere"],
    "export_index": ["index=nowhere", "to=parquet"],
    "export_embeddings": ["latents=nowhere", "model=nowhere"],
    "import": ["clip_retrieval=nowhere", "dataset=d", "split=train"],
    "study": ["batch"],
    "generate": ["rain", "model=nowhere", "pipeline=nowhere"],
}
"""With inputs that are not there: whoever looks at them first says something else."""


def written(command, out):
    """The folder that a command holds when it writes into `out`."""
    return out / "train" if command in ("cache_features", "import") else out


def main(command, out):
    return run_command(command, [*WRITING[command], f"out={out}"])


def test_every_command_that_writes_is_tried_here_and_can_wait():
    schemas = {name: getattr(config, about.schema) for name, about in COMMANDS.items() if about.schema}
    fields = {name: {field.name for field in dataclasses.fields(schema)} for name, schema in schemas.items()}
    with_out = {name for name, names in fields.items() if "out" in names} - {"check"}
    assert with_out | {"compare"} == WRITING.keys()
    assert all("wait_sec" in fields[name] for name in with_out)


@pytest.mark.parametrize("command", WRITING)
def test_a_command_is_refused_before_its_work_where_another_writes(command, tmp_path):
    message = r"is being written by another process: `train` \(process"
    with one_writer(written(command, tmp_path / "out"), doing="train"), pytest.raises(OutputError, match=message):
        main(command, tmp_path / "out")
    assert not list(tmp_path.rglob("*.lock*"))


@pytest.mark.parametrize("command", WRITING)
def test_an_out_that_cannot_be_written_is_one_line_before_any_work(command, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "astray").symlink_to(tmp_path / "nowhere" / "there")
    (tmp_path / "round").symlink_to(tmp_path / "and_round")
    (tmp_path / "and_round").symlink_to(tmp_path / "round")
    links = [tmp_path / name / below for name in ("astray", "round") for below in ("", "below")]
    for out in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300), *links):
        monkeypatch.setattr(sys, "argv", ["fusemix", command, *WRITING[command], f"out={out}"])
        with pytest.raises(SystemExit, match="2"):
            cli.run()
        error = capsys.readouterr().err
        assert error.startswith(f"fusemix: {written(command, out) if out.name != 'file' else out}")
        assert "hoose another out" in error
        assert ".part" not in error, "people do not know the name of what was tried"
        assert error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"file", "astray", "round", "and_round"}


def test_the_check_before_a_run_looks_at_out_too_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("mine")
    settings = [
        "dataset.name=glyphs",
        "splits=[test]",
        "encoders.a.name=hog",
        "compute.accelerator=cpu",
        "num_workers=0",
    ]
    with pytest.raises(OutputError, match="below cannot be written"):
        run_command("check", [*settings, f"out={tmp_path / 'file' / 'below'}"])
    (tmp_path / "round").symlink_to(tmp_path / "round")
    with pytest.raises(OutputError, match="Symlink loop"):
        run_command("check", [*settings, f"out={tmp_path / 'round'}"])
    run_command("check", [*settings, f"out={tmp_path / 'far' / 'below'}"])
    assert {path.name for path in tmp_path.iterdir()} == {"file", "round"}
