"""For all tests: no network, one thread, and what many of them use, made once for all workers."""

import atexit
import functools
import gc
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from shutil import rmtree, which
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="fusemix-tests-")  # nothing of the user's is read or written

# The models here are tiny: threads would only wait for one another. Inherited by processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

import bytecode  # noqa: F401  before anything of fusemix
import pytest
import torch
from hypothesis import settings
from kinds import first_the_long, is_left_out, kinds_of
from latent_samples import learnable_set
from programs import Programs

torch.set_num_threads(1)

# Lightning looks through all packages that are installed for each of its trainers, and thousands of them are made here.
importlib.metadata.entry_points = functools.cache(importlib.metadata.entry_points)

OWN_CACHE = os.environ["XDG_CACHE_HOME"]
BENCHMARKS = str(Path(__file__).parents[1] / "benchmarks")

# How long an example takes says something of the machine and of what else runs there, not of the code.
settings.register_profile("any machine", deadline=None)
settings.register_profile("quick", deadline=None, derandomize=True, max_examples=15)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out what takes long, and draw fewer examples")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.quick:
        settings.load_profile("quick")
        config.option.markexpr = "not (browser or processes or guides or long)"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return (config.option.quick and is_left_out(collection_path)) or None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    from workers import number_of_workers

    return number_of_workers()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from workers import ByFile

    config.option.loadscopereorder = False  # they have their order already
    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for kind in kinds_of(item):
            item.add_marker(kind)
    if hasattr(config, "workerinput"):
        first_the_long(items)


def pytest_collection_finish() -> None:
    """What is there already is there to stay: millions of objects, which no collection of garbage need walk through."""
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)


def pytest_unconfigure() -> None:
    rmtree(OWN_CACHE, ignore_errors=True)


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all workers together."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def programs(session_folder: Path) -> Iterator[Programs]:
    """Starts Python programs in processes of their own."""
    found = Programs(session_folder)
    yield found
    found.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, once a process: there cannot be two of playwright's loops."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--mute-audio"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def tiny(session_folder: Path) -> Any:
    """A small real run over pictures, texts and sounds, a `TinyRun`; whoever changes it copies it first."""
    from tiny_run import made_in, make_run  # imports transformers, which most tests do without
    from workers import made_once

    return made_in(made_once(session_folder / "tiny", make_run))


@pytest.fixture(scope="session")
def evaluation_world(session_folder: Path) -> Any:
    """A small run and sets to measure it on, a `World`; whoever changes it copies it first."""
    from evaluation_world import made_in, make_world
    from workers import made_once

    return made_in(made_once(session_folder / "evaluation", make_world))


@pytest.fixture(scope="session")
def drawing(tiny: Any, session_folder: Path) -> Any:
    """Tiny pipelines of diffusers and a run into their space, a `World`; whoever changes it copies it first."""
    from drawing_world import made_in, make_world  # imports diffusers
    from workers import made_once

    return made_in(made_once(session_folder / "drawing", lambda out: make_world(out, tiny)))


@pytest.fixture(scope="session")
def picture_index(tiny: Any, session_folder: Path) -> Path:
    """An index of the tiny run's pictures; whoever changes it copies it first."""
    from index_samples import make
    from workers import made_once

    return made_once(session_folder / "pictures", lambda out: make(tiny, out, tiny.files["image"][0].parent))


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
