"""`fusemix check`: what it says, and that it starts nothing."""

import numpy as np
import pytest
from PIL import Image

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, DatasetError, LatentStoreError


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "pictures").mkdir()
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 30 + number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{number}.png")
    (tmp_path / "pictures" / "1.png").write_bytes(b"no picture")
    lines = ["file,caption", *(f"{number}.png,a caption [bold]{number}" for number in range(6)), "gone.png,a ghost"]
    (tmp_path / "captions.csv").write_text("\n".join(lines))
    return [
        "dataset.name=image_captions",
        f"dataset.options={{folder: '{tmp_path / 'pictures'}', captions: '{tmp_path / 'captions.csv'}'}}",
        "splits=[all]",
        "encoders.hog={name: hog, options: {size: 16, coarse: 0}}",
        "compute.accelerator=cpu",
        f"out={tmp_path / 'out'}",
    ]


def test_five_rows_are_shown_as_they_are_understood_and_nothing_is_written(settings, tmp_path, capsys):
    (estimate,) = run_command("check", settings)
    printed = capsys.readouterr().out
    assert "image_captions/all: 6 image items and 6 text items, 6 links" in printed
    assert "gone.png: no such file" in printed
    assert "30 × 20 pixels" in printed
    assert "set aside: UnidentifiedImageError" in printed
    assert "a caption [bold]4" in printed
    assert "a caption [bold]5" not in printed, "five rows, not six"
    assert not (tmp_path / "out").exists()
    assert estimate.num_rows == 6
    assert estimate.num_bytes == 6 * estimate.dim * 2
    assert estimate.seconds == pytest.approx(6 / estimate.rate)
    assert estimate.memory_bytes > 2**20


def test_a_dry_run_of_caching_is_the_same(settings, tmp_path, capsys):
    assert run_command("cache_features", [*settings, "dry_run=true"]) == []
    printed = capsys.readouterr().out
    assert "image_captions/all: 6 image items and 6 text items, 6 links" in printed
    assert "what caching takes" in printed
    assert not (tmp_path / "out").exists()


def test_the_batch_size_is_the_one_asked_for_or_measured(settings):
    (asked,) = run_command("check", [*settings, "batch_size=3"])
    assert asked.batch_size == 3
    (measured,) = run_command("check", [*settings, "batch_size=auto"])
    assert measured.batch_size >= 1


def test_a_disk_that_is_too_small_is_said_before_anything_runs(settings, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(LatentStoreError, match=r"out needs .* GB, but its disk has 0.0 GB left. Make room"):
        run_command("check", settings)


def test_what_the_run_itself_would_refuse_is_refused(settings, tmp_path):
    with pytest.raises(ConfigError, match="no encoder is called"):
        run_command("check", [*settings, "encoders.hog.name=hogg"])
    for path in (tmp_path / "pictures").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="none of 6 image items that were tried could be used by hog"):
        run_command("check", settings)
