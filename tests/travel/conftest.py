"""One tiny run for all tests of this folder, its report, and its export."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from exports import Travelled, embeddings
from tiny_run import TinyRun, make_run

from fusemix.cli.called import run_command

TEXTS = ["a red square", "one low hum", "some blue bar", "x"]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> TinyRun:
    return make_run(tmp_path_factory.mktemp("travel") / "here")


@pytest.fixture(scope="session")
def report(tiny) -> Path:
    out = tiny.run.parent / "report"
    latents = tiny.latents / "pictures" / "all"
    settings = ["compute.accelerator=cpu", "num_examples=0", "ks=[1,5]", "allow_other_counts=true"]
    run_command("eval_retrieval", [f"model={tiny.run}", f"latents={latents}", f"out={out}", *settings])
    return out


@pytest.fixture(scope="session")
def items(tiny) -> dict[str, list]:
    files = {modality: [path.read_bytes() for path in paths[:5]] for modality, paths in tiny.files.items()}
    return {**files, "text": TEXTS}


@pytest.fixture(scope="session")
def wanted(tiny, items) -> dict[str, np.ndarray]:
    return embeddings(tiny.run, items)


@pytest.fixture(scope="session")
def plain(tiny, tmp_path_factory) -> Path:
    """An export with nothing that must be asked for; whoever changes it copies it first."""
    return run_command("export", [f"model={tiny.run}", f"out={tmp_path_factory.mktemp('plain') / 'mine'}"])


@pytest.fixture(scope="session")
def whole(tiny, report, tmp_path_factory) -> Path:
    """An export with all that can be asked for."""
    out = tmp_path_factory.mktemp("exports") / "tiny"
    extras = ["onnx=true", "sentence_transformers=true", "license=apache-2.0"]
    return run_command("export", [f"model={tiny.run}", f"out={out}", f"reports=[{report}]", *extras])


@pytest.fixture
def travelled(tiny, whole, items, wanted, tmp_path) -> Iterator[Travelled]:
    here, hidden, there = tiny.run.parent, tiny.run.parent.with_name("gone"), tmp_path / "elsewhere"
    whole.rename(there)
    here.rename(hidden)
    yield Travelled(there, items, wanted)
    hidden.rename(here)
    there.rename(whole)
