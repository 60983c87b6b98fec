"""The folder that an evaluation writes into: files first, then figures; and what is there already."""

import io
import shutil
import sys
from pathlib import Path

import pytest
import torch
from evaluation_world import World, evaluated

from fusemix.commands import eval_retrieval
from fusemix.errors import OutputError


@pytest.fixture(scope="module")
def world(evaluation_world) -> World:
    return evaluation_world


def test_a_report_of_somebody_else_is_not_written_over(world, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.md").write_text("mine")
    with pytest.raises(OutputError, match=r"does not say that it is a report of fusemix, and holds report\.md"):
        evaluated(world, out)
    assert [path.name for path in out.iterdir()] == ["report.md"]
    assert (out / "report.md").read_text() == "mine"


class Watching(io.StringIO):
    """Notes which files are in a folder when something is printed that holds a word."""

    def __init__(self, folder: Path, word: str) -> None:
        super().__init__()
        self.folder, self.word, self.there = folder, word, set[str]()

    def write(self, text: str) -> int:
        if self.word in text and not self.there:
            self.there = {path.name for path in self.folder.iterdir()}
        return super().write(text)


def test_all_files_are_there_before_the_figures_are_printed(world, tmp_path, monkeypatch):
    watching = Watching(tmp_path / "report", "Retrieval on")
    monkeypatch.setattr(sys, "stdout", watching)
    evaluated(world, tmp_path / "report", "num_examples=1")
    assert watching.there == {"report.html", "report.json", "report.md", "queries.jsonl", "examples.png"}


def test_figures_that_cannot_be_written_are_printed(world, tmp_path, capsys):
    (tmp_path / "report" / "queries.jsonl").mkdir(parents=True)
    with pytest.raises(OSError) as failed:
        evaluated(world, tmp_path / "report")
    assert failed.value.filename == str(tmp_path / "report" / "queries.jsonl")
    assert "Retrieval on made_up/test" in capsys.readouterr().out


def test_the_same_run_and_set_are_measured_again_and_no_old_picture_stays(world, tmp_path):
    out = tmp_path / "report"
    evaluated(world, out, "num_examples=1")
    moved = tmp_path / "moved"
    shutil.copytree(world.run, moved)
    assert evaluated(World(moved, world.sets), out, "ks=[1]", "seed=3")["model"]["run"] == str(moved)
    assert {path.name for path in out.iterdir()} == {"report.html", "report.json", "report.md", "queries.jsonl"}


def test_another_run_checkpoint_set_or_protocol_is_refused_before_the_work(world, tmp_path, monkeypatch):
    out = tmp_path / "report"
    evaluated(world, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    other = tmp_path / "run"
    shutil.copytree(world.run, other)
    checkpoint = torch.load(other / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["state_dict"]["model.log_logit_scale"] += 1
    torch.save(checkpoint, other / "checkpoints" / "best.ckpt")
    monkeypatch.setattr(eval_retrieval, "measure", None)
    for change, line in {
        (world.run, "checkpoint=last"): r"model\.checkpoint: on disk 'best', now 'last'",
        (world.run, f"latents={world.sets / 'validation'}"): r"data\.name: on disk 'made_up/test', now 'made_up/val",
        (world.run, "protocol=clotho"): "protocol: on disk 'plain', now 'clotho'",
        (other, "seed=0"): r"model\.weights_sha256: on disk",
    }.items():
        with pytest.raises(OutputError, match=rf"holds a report that differs from this one:\n(  .*\n)*  {line}"):
            evaluated(World(change[0], world.sets), out, "allow_other_counts=true", change[1])
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
