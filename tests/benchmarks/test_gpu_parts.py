"""benchmarks/gpu.py as it is run, small enough for a CPU, on a machine that lacks much."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
LACKING = ("omegaconf", "soundfile", "soxr", "ijson", "datasets", "open_clip")
NEED_A_GPU = {"nccl", "syncs"}
LEFT_OUT = ("compiled", "largest", "breakdown", "loop")
"""They only take time, and compiling takes most of it."""
BARE = """
import sys

class Lacks:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Lacks())
"""


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare")
    (folder / "sitecustomize.py").write_text(BARE.replace("{names}", repr(set(LACKING))))
    environment = {**os.environ, "PYTHONPATH": str(folder), "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), "--tiny", "--budget", "1000", "--skip", *LEFT_OUT]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found[0]["missing"] == list(LACKING)
    assert done.returncode == 0
    assert not list(folder.glob("fusemix-gpu-*")), "what it wrote is gone"
    return {line["part"]: line for line in found}


def test_every_part_tells_its_line(lines, benchmark_module):
    parts = benchmark_module("gpu_parts").PARTS
    assert set(parts) - set(LEFT_OUT) == set(lines) - {"imports", "total"}


def test_every_part_is_right(lines):
    assert not {name: line for name, line in lines.items() if line["ok"] is False}
    not_run = {name for name, line in lines.items() if line["ok"] is None}
    assert not_run == NEED_A_GPU


def test_losses_are_looked_at_where_a_run_begins_and_where_it_ends(lines):
    levels = {float(name.split("loss ")[1].split(",")[0]) for name in lines["losses"] if "info_nce" in name}
    for wanted in (3.0, 0.1, 1e-4):
        assert any(abs(level / wanted - 1) < 0.1 for level in levels), wanted


def test_figures_are_those_that_must_come_out(lines):
    assert lines["memory"]["items"] == 16 * 4, "pictures times captions: none is lost where memory does not suffice"
    assert lines["parity"]["largest_difference"]["32-true"] == 0, "a CPU trains as a CPU does"
    assert 0 < lines["parity"]["largest_difference"]["bf16-mixed"] < 0.1
    for name in ("info_nce", "sigmoid"):
        assert lines["gloo"][name] < 1e-12, "of float64 numbers"
    batches = 3 * ((500 - 5) // 40)  # three epochs of 20 mixed pairs; a hundredth is held out
    for name in ("device", "mapped"):
        assert lines["residence"][name]["wrong_numbers"] == 0
        assert abs(lines["residence"][name]["batches"] - batches) <= 3
    assert lines["machine"]["versions"]["torch"]
    assert lines["use"]["hits"] == 5
