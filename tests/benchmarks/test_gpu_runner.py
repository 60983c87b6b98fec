"""The runner of benchmarks/gpu.py: what one part does, costs that part alone."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fusemix.cli.loading import load_config
from fusemix.config import CacheConfig, EvalConfig, TrainConfig

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def gpu(benchmark_module):
    return benchmark_module("gpu")


def lines_of(gpu, parts, budget=60.0, **how):
    return list(gpu.run({name: gpu.Part(*part) for name, part in parts.items()}, budget, time.monotonic(), **how))


def test_a_part_that_crashes_costs_itself_alone(gpu):
    def crash():
        os.kill(os.getpid(), signal.SIGKILL)

    first, second = lines_of(gpu, {"crash": (crash, 20), "next": (lambda: {"figure": 1}, 20)})
    assert (first["part"], first["ok"]) == ("crash", False)
    assert first["error"] == "ended without a word, by SIGKILL"
    assert (second["part"], second["ok"], second["figure"]) == ("next", True, 1)


def test_a_part_that_hangs_ends_with_all_that_it_started(gpu, tmp_path):
    def hang():
        child = subprocess.Popen(["sleep", "600"])
        (tmp_path / "pid").write_text(str(child.pid))
        child.wait()

    first, second = lines_of(gpu, {"hang": (hang, 1.0), "next": (dict, 20)})
    assert first["ok"] is False
    assert first["error"] == "took more than 1 s"
    assert second["ok"] is True
    pid = int((tmp_path / "pid").read_text())
    for _ in range(200):
        state = Path(f"/proc/{pid}/stat").read_text().split()[2] if Path(f"/proc/{pid}").exists() else "gone"
        if state in ("Z", "gone"):
            return
        time.sleep(0.05)
    pytest.fail("what the part started goes on")


def test_a_part_that_fails_says_why_and_where(gpu):
    def fail():
        raise ValueError("no such rows")

    for how in ({}, {"in_process": True}):
        (line,) = lines_of(gpu, {"fail": (fail, 20)}, **how)
        assert line["ok"] is False
        assert line["error"] == "ValueError: no such rows"
        assert any("test_gpu_runner.py" in place for place in line["where"])


def test_parts_that_no_longer_fit_into_the_budget_are_left_out(gpu):
    began = []

    def note():
        began.append(1)
        return {}

    lines = lines_of(gpu, {"first": (note, 0.5), "second": (note, 90)}, budget=5.0, in_process=True)
    assert [line["ok"] for line in lines] == [True, None]
    assert lines[1]["skipped"] == "no time left"
    assert len(began) == 1


def test_a_part_that_has_nothing_to_look_at_is_neither_right_nor_wrong(gpu):
    (line,) = lines_of(gpu, {"part": (lambda: {"skipped": "needs a GPU"}, 20)})
    assert line["ok"] is None
    assert gpu.failures([line, {"part": "other", "ok": True}, {"part": "third", "ok": False}]) == ["third"]


def test_lines_are_json_whatever_a_part_finds(gpu):
    found = {"nan": float("nan"), "endless": [float("inf")], "long": 0.123456789, "path": Path("a"), 3: True}
    told = json.loads(json.dumps(gpu.tidy(found), allow_nan=False))
    assert told == {"nan": "nan", "endless": ["inf"], "long": 0.1235, "path": "a", "3": True}


def test_figures_are_written_between_two_marks_and_nothing_else_changes(benchmark_module, tmp_path):
    markdown = benchmark_module("gpu_parts.markdown")
    page = tmp_path / "gpu.md"
    page.write_text(f"# On a GPU\n\n{markdown.BEGIN}\nno run yet\n{markdown.END}\n\nThe end.\n")
    machine = {
        "part": "machine",
        "ok": True,
        "sec": 1.0,
        "device": "cuda: NVIDIA H200",
        "versions": {"torch": "2.15.0"},
    }
    wrong = {"part": "step", "ok": False, "sec": 2.0, "failed": ["the loss is finite"], "step": {"ms": 31.5}}
    for sec in (1.0, 7.0):
        markdown.write_section(page, [{**machine, "sec": sec}, wrong], tiny=False)
    text = page.read_text()
    assert text.startswith("# On a GPU\n\n")
    assert text.endswith("\n\nThe end.\n")
    assert text.count("| machine | ok |") == 1
    assert "| machine | ok | 7.0 |" in text
    assert "device cuda: NVIDIA H200" in text
    assert "versions / torch 2.15.0" in text
    assert "| step | **failed** | 2.0 | **['the loss is finite']**; step / ms 31.5 |" in text
    assert "no run yet" not in text


def test_settings_are_the_same_without_omegaconf(benchmark_module, monkeypatch):
    missing = benchmark_module("gpu_parts.missing")
    train = ["train=z", "holdout=0.1", "encoders.image=a", "encoders.text=[b,c]", "also.more.train=x", "optim.lr=0.1"]
    asked = [
        (TrainConfig, [*train, "adapter=linear", "out=y"]),
        (CacheConfig, [str(CONFIGS / "cache" / "glyphs.yaml"), "splits=all", "num_workers=3"]),
        (EvalConfig, [str(CONFIGS / "eval" / "glyphs.yaml"), "ks=[1,5]"]),
    ]
    wanted = [load_config(schema, argv) for schema, argv in asked]
    monkeypatch.setattr("fusemix.cli.loading.OmegaConf", missing.OmegaConf)
    monkeypatch.setattr("fusemix.cli.loading._defaults", missing.OmegaConf.structured)  # and not those of before
    assert [load_config(schema, argv) for schema, argv in asked] == wanted
