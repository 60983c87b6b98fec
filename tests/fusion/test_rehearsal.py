"""`--dry-run` of training: what would be done and how long it takes, and nothing is written."""

from pathlib import Path

import pytest
from training import arguments

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, OutputError, RunError


def below(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def rehearse(make_set, tmp_path, capsys, out: str = "runs/dry", **changes: object) -> str:
    typed = arguments(make_set, tmp_path / out, **changes)  # makes the sets
    before = below(tmp_path)
    run_command("train", [*typed, "dry_run=true"])
    assert below(tmp_path) == before
    return " ".join(capsys.readouterr().out.split())


def test_training_is_told_with_its_steps_and_nothing_is_written(make_set, tmp_path, capsys):
    said = rehearse(make_set, tmp_path, capsys)
    assert "256 pairs of made_up/train" in said
    assert "12 epochs of 8 steps" in said
    assert "ms each on cpu: about" in said
    assert f"dry run: nothing was written to {tmp_path / 'runs' / 'dry'}" in said


@pytest.mark.parametrize("method", [{"method": "csa", "adapter__name": "linear", "adapter__options": "{}"}])
def test_the_closed_form_has_no_steps_to_tell(make_set, tmp_path, capsys, method):
    assert "steps" not in rehearse(make_set, tmp_path, capsys, **method)


def test_a_mistake_is_said_as_it_would_be(make_set, tmp_path, capsys):
    with pytest.raises(ConfigError, match="no batch could be filled"):
        rehearse(make_set, tmp_path, capsys, optim__batch_size=1000)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="is a file"):
        rehearse(make_set, tmp_path, capsys, out="file")


def test_a_run_that_is_there_is_gone_on_with_given_more_or_in_the_way(make_set, tmp_path, capsys):
    here = tmp_path / "runs" / "dry"
    run_command("train", arguments(make_set, here, optim__max_epochs=2))
    longer = rehearse(make_set, tmp_path, capsys, optim__max_epochs=5)
    assert "given more epochs after its 2" in longer
    assert "3 epochs of 8 steps" in longer
    assert "12 epochs" in rehearse(make_set, tmp_path, capsys, overwrite="true")
    with pytest.raises(RunError, match="holds a run that differs"):
        rehearse(make_set, tmp_path, capsys, seed=1)
