"""`--dry-run` of `fusemix index`: what is new and how long it takes, and nothing is written."""

import shutil
from pathlib import Path

import pytest
from index_samples import make

from fusemix.cli.called import run_command
from fusemix.errors import DatasetError


def below(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_an_index_is_told_with_what_is_new_and_nothing_is_written(tiny, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    shutil.copytree(tiny.files["image"][0].parent, pictures)
    held_back = tiny.files["image"][5].name
    (pictures / held_back).rename(tmp_path / held_back)
    make(tiny, tmp_path / "index", pictures)
    (tmp_path / held_back).rename(pictures / held_back)
    before = below(tmp_path)
    capsys.readouterr()
    for out in ("index", "another"):
        typed = [f"model={tiny.run}", f"data={pictures}", f"out={tmp_path / out}", "compute.accelerator=cpu"]
        run_command("index", [*typed, "dry_run=true"])
    assert below(tmp_path) == before
    said = " ".join(capsys.readouterr().out.split())
    assert "36 image items, 1 new" in said
    assert "1 items to embed on cpu: about" in said
    assert "36 items to embed on cpu: about" in said
    with pytest.raises(DatasetError, match="there is no folder"):
        run_command("index", [f"model={tiny.run}", "data=gone", f"out={tmp_path / 'o'}", "dry_run=true"])
