"""Benchmarks are scripts beside the package: their folder comes first while a module of tests imports them."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

FOLDER = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture(scope="module")
def benchmark_module():
    """Imports a module of benchmarks/, and forgets it: `train` is another file for everybody else."""
    others = sys.modules.pop("train", None)
    sys.path.insert(0, FOLDER)
    yield import_module
    sys.path.remove(FOLDER)
    for name in [
        name for name, module in sys.modules.items() if str(getattr(module, "__file__", "")).startswith(FOLDER)
    ]:
        del sys.modules[name]
    if others:
        sys.modules["train"] = others
