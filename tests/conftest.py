"""For all tests: no network, one thread, and small real latent sets."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="fusemix-tests-")  # nothing of the user's is read or written

# The models here are tiny: threads would only wait for one another. Inherited by processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch
from hypothesis import settings
from latent_samples import learnable_set

torch.set_num_threads(1)

BENCHMARKS = str(Path(__file__).parents[1] / "benchmarks")

# How long an example takes says something of the machine and of what else runs there, not of the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A small real run over pictures, texts and sounds, a `TinyRun`; whoever changes it copies it first."""
    from tiny_run import make_run  # imports transformers, which most tests do without

    return make_run(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def evaluation_world(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A small run and sets to measure it on, a `World`; whoever changes it copies it first."""
    from evaluation_world import make_world

    return make_world(tmp_path_factory.mktemp("evaluation"))


@pytest.fixture(scope="session")
def picture_index(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the tiny run's pictures; whoever changes it copies it first."""
    from index_samples import make

    return make(tiny, tmp_path_factory.mktemp("index") / "pictures", tiny.files["image"][0].parent)


@pytest.fixture(scope="module")
def benchmark_module() -> Iterator[Callable[[str], Any]]:
    """Imports a module of benchmarks/, which are scripts beside the package, and forgets it: `train` is another file
    for everybody else.
    """
    others = sys.modules.pop("train", None)
    sys.path.insert(0, BENCHMARKS)
    yield import_module
    sys.path.remove(BENCHMARKS)
    for name in [n for n, module in sys.modules.items() if str(getattr(module, "__file__", "")).startswith(BENCHMARKS)]:
        del sys.modules[name]
    if others:
        sys.modules["train"] = others


@pytest.fixture
def make_set(tmp_path: Path) -> Callable[..., Path]:
    """Write a latent set whose right latents are a linear image of the left ones, so that it can be learned."""

    def make(name: str = "train", **options: Any) -> Path:
        return learnable_set(tmp_path, name, **options)

    return make


@pytest.fixture
def shelf_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder behind `shelf://`, which is a tiny object store of the tests, and an empty cache of the user's."""
    import shelf

    (tmp_path / "shelf").mkdir()
    monkeypatch.setenv("SHELF", str(tmp_path / "shelf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shelf.CALLS.clear()
    return tmp_path / "shelf"
