"""`fusemix study` on the smallest latents: killed and continued, shared by processes, and with a job that fails."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import fusemix
from fusemix.cli.called import run_command
from fusemix.errors import StudyError

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(fusemix.__file__).parents[1])}
BEGUN = re.compile(r"^(\w+-\w+) begins: ", re.MULTILINE)


@pytest.fixture
def given(make_set, tmp_path) -> list[str]:
    """Settings of a study of two runs, each with its evaluation."""
    folder = tmp_path / "latents"
    folder.mkdir()
    for name, num_left in (("train", 40), ("test", 20)):
        shutil.move(make_set(name, num_left=num_left), folder / name)
    encoders = "encoders: {image: [eyes], text: [words]}"
    optim = "optim: {batch_size: 8, max_epochs: 2, warmup_steps: 1}"
    return [
        f"latents={folder}",
        f"train={{train: '${{latents}}/train', holdout: 0.2, {encoders}, embedding_dim: 4, {optim}, compute: cpu}}",
        "train.adapter=linear",
        "evaluate={model: '${train}', latents: '${latents}/test', num_examples: 0, corrections: false, compute: cpu}",
        "axes.seed={settings: [train.seed], values: [0, 1]}",
    ]


def started(given, out) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "fusemix", "study", *given, f"out={out}"]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def results(out) -> dict:
    """What is in results.json, without how long it took."""
    found = json.loads((out / "results.json").read_text())
    return {**found, "jobs": [{**job, "seconds": None} for job in found["jobs"]]}


def test_a_killed_study_is_finished_by_two_processes_as_if_nothing_had_happened(given, tmp_path):
    ended = started(given, tmp_path / "shared")
    while not list((tmp_path / "shared").glob("train-*/log.txt")):
        assert ended.poll() is None, ended.communicate()
        time.sleep(0.05)
    ended.send_signal(signal.SIGTERM)
    assert "what was finished is kept" in ended.communicate()[0]
    assert ended.returncode == 143
    assert not list((tmp_path / "shared").rglob(".*")), "no lock is left, neither of the study nor of its command"
    assert not [*(tmp_path / "shared").glob("*/failed.json"), *(tmp_path / "shared").glob("*/done.json")]

    killed = started(given, tmp_path / "shared")
    while not list((tmp_path / "shared").glob("train-*/done.json")):
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    before = killed.communicate()[0]
    done = {path.parent.name for path in (tmp_path / "shared").glob("*/done.json")}
    both = [started(given, tmp_path / "shared") for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    begun = Counter(name for text in said for name in BEGUN.findall(text))
    tasks = {path.name for path in (tmp_path / "shared").iterdir() if path.is_dir()}
    assert begun == Counter(tasks - done), "each task that was left, once"
    assert done <= set(BEGUN.findall(before))
    assert not list((tmp_path / "shared").glob(".*")), "no lock is left"

    found = fusemix.study(*_mappings(given), out=tmp_path / "undisturbed")
    assert results(tmp_path / "shared") == results(tmp_path / "undisturbed")
    assert [job["state"] for job in found.jobs] == ["done", "done"]
    assert found.to_pandas().loc[1, "seed"] == 1
    assert "2" in repr(found)
    assert "<img" in found._repr_html_()
    for name in ("table.csv", "study.svg", "study.png"):
        assert (tmp_path / "shared" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()


def _mappings(given) -> list[Path]:
    """The same settings as a file, as Python takes them."""
    from omegaconf import OmegaConf

    from fusemix.cli.loading import load_config
    from fusemix.config import StudyConfig, to_plain

    file = Path(given[0].partition("=")[2]).parent / "study.yaml"
    OmegaConf.save(OmegaConf.create({}), file)
    config = load_config(StudyConfig, [*given, "out=o"])
    file.write_text(json.dumps({key: value for key, value in to_plain(config).items() if key != "out"}))
    return [file]


def test_a_job_that_fails_is_named_the_others_go_on_and_it_may_be_tried_again(given, tmp_path, capsys):
    out, later = tmp_path / "study", tmp_path / "later"
    cases = f"axes={{data: {{cases: {{here: {{}}, missing: {{train.train: '{later}'}}}}}}}}"
    changed = [*given[:-1], cases, f"out={out}"]
    with pytest.raises(StudyError) as caught:
        run_command("study", changed)
    message = str(caught.value)
    assert message.startswith("1 of 2 jobs have failed; the others are done.\n  data=missing: ")
    (log,) = [path for path in out.glob("train-*/log.txt") if (path.parent / "failed.json").is_file()]
    assert f"Log: {log}" in message
    assert str(later) in message
    assert "retry_failed=true" in message
    assert caught.value.exit_code == 1
    states = [(job["axes"]["data"], job["state"]) for job in results(out)["jobs"]]
    assert states == [("here", "done"), ("missing", "failed")]
    assert "1 of 2 jobs: failed." in (out / "table.md").read_text()

    capsys.readouterr()
    with pytest.raises(StudyError, match="data=missing"):
        run_command("study", changed)
    assert "begins" not in capsys.readouterr().out, "what has failed stays so"
    shutil.copytree(tmp_path / "latents" / "train", later)
    run_command("study", [*changed, "retry_failed=true"])
    assert capsys.readouterr().out.count(" begins: ") == 2
    assert [job["state"] for job in results(out)["jobs"]] == ["done", "done"]
