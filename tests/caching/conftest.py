"""A small data set with broken pictures, and what an undisturbed run makes of it."""

import sys
from pathlib import Path

import numpy as np
import pytest
from caching_run import OWN_ENCODERS, settings
from PIL import Image

from fusemix.cli.called import run_command


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    """Sixty small pictures with a caption each, two of them broken, and two encoders of one's own."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "pictures").mkdir()
    generator = np.random.default_rng(0)
    lines = ["file,caption"]
    for number in range(60):
        pixels = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{number:02}.png")
        lines.append(f"{number:02}.png,picture number {number} of {'ab' * (number % 7)}")
    for number in (7, 31):
        (folder / "pictures" / f"{number:02}.png").write_bytes(b"no picture")
    (folder / "captions.csv").write_text("\n".join(lines))
    (folder / "own.py").write_text(OWN_ENCODERS)
    return folder


@pytest.fixture(autouse=True)
def _own_encoders_can_be_imported(world, monkeypatch):
    monkeypatch.syspath_prepend(world)


@pytest.fixture(scope="session")
def cached(world, tmp_path_factory) -> Path:
    """What an undisturbed run leaves."""
    out = tmp_path_factory.mktemp("cached")
    sys.path.insert(0, str(world))
    run_command("cache_features", settings(world, out))
    sys.path.remove(str(world))
    return out
