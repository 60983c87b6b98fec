"""What lies in a study folder: which tasks are done, what is to come, and whose folder it is."""

import json
from dataclasses import replace

import pytest

from fusemix.cli.called import run_command
from fusemix.cli.for_studies import settings_for
from fusemix.cli.loading import load_config
from fusemix.config import StudyConfig
from fusemix.disk.files import write_json
from fusemix.disk.holders import this_process, write_holder
from fusemix.disk.locks import one_writer
from fusemix.disk.out_folder import lock_of, record_of
from fusemix.errors import OutputError, RunError
from fusemix.wiring.studying.folder import Places, begin, require_same
from fusemix.wiring.studying.grid import grid_of
from fusemix.wiring.studying.outcome import left_of, untimed
from fusemix.wiring.studying.running import last_error, look, standing, tidy

GIVEN = [
    "latents=l",
    "train={train: '${latents}', holdout: 0.2, encoders: {image: a, text: b}}",
    "evaluate={model: '${train}', latents: '${latents}'}",
    "axes.rate={settings: [train.optim.lr], values: [0.1, 0.2]}",
    "axes.seed={settings: [train.seed], values: [0, 1]}",
]


def study(out, *changes: str) -> StudyConfig:
    return load_config(StudyConfig, [*GIVEN, f"out={out}", *changes])


@pytest.fixture
def grid(tmp_path):
    return grid_of(study(tmp_path), settings_for)


def test_what_reads_something_that_failed_is_not_run_and_all_else_is(grid):
    train = [name for name, task in grid.tasks.items() if task.stage == "train"]
    now = standing(grid, lambda name: name == train[0], lambda name: name == train[1])
    reads = {grid.tasks[name].reads[0]: name for name in grid.tasks if grid.tasks[name].stage == "evaluate"}
    assert now.done == train[:1]
    assert now.failed == train[1:2]
    assert now.blocked == [reads[train[1]]]
    assert now.ready == [*train[2:], reads[train[0]]]
    assert now.later == [reads[name] for name in train[2:]]
    assert sorted(name for kind in now for name in kind) == sorted(grid.tasks)


def test_what_is_left_takes_as_long_as_what_was_done_with_the_same_values(grid):
    train = {job.name: job.tasks["train"] for job in grid.jobs}
    seconds = {train["rate=0.1, seed=0"]: 10.0, train["rate=0.2, seed=0"]: 30.0}
    now = standing(grid, seconds.__contains__, lambda name: False)
    of_training, of_evaluation = left_of(grid, now, seconds)
    assert (of_training.left, of_training.known) == (2, 2)
    assert of_training.seconds == pytest.approx(40 + 0)
    assert (of_evaluation.left, of_evaluation.known, of_evaluation.seconds) == (4, 0, 0)


def test_a_study_file_that_says_no_study_is_one_message(tmp_path):
    out = tmp_path / "study"
    begin(study(out))
    for damage in ({}, {"study": {}}, {"study": {"axes": []}}):
        write_json(out / "study.json", {"format": "fusemix.study", "version": 1, **damage})
        with pytest.raises(OutputError, match=r"study\.json is damaged|differs from this one"):
            require_same(study(out))


def test_before_anything_is_done_estimates_of_some_tasks_stand_for_the_others(grid):
    train = [name for name, task in grid.tasks.items() if task.stage == "train"]
    now = standing(grid, lambda name: False, lambda name: False)
    assert [task.name for task in untimed(grid, now, {}, 2)] == [train[0], train[-1]]
    assert [task.name for task in untimed(grid, now, {}, 9)] == train
    assert untimed(grid, now, {train[1]: 5.0}, 9) == [], "what was done says more"
    of_training, _ = left_of(grid, now, {}, {train[0]: 10.0, train[-1]: 30.0})
    assert (of_training.left, of_training.known) == (4, 4)
    assert of_training.seconds == pytest.approx(10 + 30 + 20 + 20)
    of_training, _ = left_of(grid, now, {train[1]: 7.0}, {train[0]: 10.0})
    assert of_training.seconds == pytest.approx(3 * 7)


def test_a_lock_of_a_task_that_has_ended_is_removed_and_that_of_one_that_is_run_stays(tmp_path):
    places, grid = Places(tmp_path / "study"), grid_of(study(tmp_path / "study"), settings_for)
    ended, running = list(grid.tasks)[:2]
    for name in (ended, running):
        places.of(name).mkdir(parents=True)
    write_json(places.of(ended) / "done.json", {"command": "train", "seconds": 1.0})
    gone = replace(this_process("study"), pid=2**22 + 1)  # no process has that number
    write_holder(record_of(lock_of(places.of(ended).resolve())), gone, new=True)
    with one_writer(places.of(running), doing="study"):
        tidy(look(grid, places), places)
        assert [path.name for path in places.out.glob(".*.json")] == [f".{running}.lock.json"]


def test_a_dry_run_times_some_steps_of_what_could_be_run_at_once(make_set, tmp_path, capsys):
    train = f"train={{train: '{make_set()}', holdout: 0.2, encoders: {{image: eyes, text: words}}, compute: cpu}}"
    batch = ["train.optim={batch_size: 16, max_epochs: 2, warmup_steps: 1}", "train.embedding_dim=8"]
    run_command("study", [train, *batch, *GIVEN[3:], f"out={tmp_path / 'study'}", "dry_run=true"])
    said = " ".join(capsys.readouterr().out.split())
    assert "what is left takes about" in said
    assert "not known yet" not in said
    assert not (tmp_path / "study").exists()


def test_an_axis_may_grow_and_nothing_else_may_change(tmp_path):
    out = tmp_path / "study"
    begin(study(out))
    before = (out / "study.json").read_bytes()
    begin(study(out, "x=rate", "measures=[mrr]", "wait_sec=1"))
    assert (out / "study.json").read_bytes() == before, "what is only shown is no part of it"
    for change, told in (
        ("axes.rate.values=[0.1]", r"axes\.rate\.values: on disk \[0\.1, 0\.2\], now \[0\.1\]"),
        ("axes.rate.settings=[train.optim.min_lr]", r"axes\.rate\.settings: on disk"),
        ("train.embedding_dim=3", r"train\.embedding_dim: on disk None, now 3"),
        ("axes.other={settings: [train.warm_start], values: [true]}", r"axes\.other: on disk None"),
        ("latents=elsewhere", r"latents: on disk 'l', now 'elsewhere'"),
    ):
        with pytest.raises(OutputError, match=told):
            begin(study(out, change))
    assert (out / "study.json").read_bytes() == before
    begin(study(out, "axes.rate.values=[0.05, 0.2, 0.1]"))
    with pytest.raises(OutputError, match="may get more values"):
        require_same(study(out))


def test_a_study_at_which_others_work_is_not_discarded(tmp_path):
    out = tmp_path / "study"
    begin(study(out))
    (out / "train-1").mkdir()
    for lock in (out / ".train-1.lock", out / "train-1" / ".run.lock"):
        lock.touch()  # of somebody who is dead
    with one_writer(out / "train-0", doing="study"):
        with pytest.raises(OutputError, match=r"train-0 is being written by another process: `study`"):
            begin(study(out, "overwrite=true", "train.embedding_dim=3"))
        require_same(study(out))
    begin(study(out, "overwrite=true", "train.embedding_dim=3"))
    assert [path.name for path in out.iterdir()] == ["study.json"]


def test_a_dry_run_lists_all_jobs_and_writes_nothing(tmp_path, capsys):
    run_command("study", [*GIVEN, f"out={tmp_path / 'o' / 'study'}", "dry_run=true"])
    assert not list(tmp_path.iterdir())
    said = capsys.readouterr().out
    assert "4 jobs, of 8 tasks" in said
    assert said.count("rate=0.1, seed=") == 2
    assert "of train, evaluate nothing is known before the first one has run" in said
    begin(study(tmp_path / "study"))
    with pytest.raises(OutputError, match=r"train\.embedding_dim"):
        run_command("study", [*GIVEN, f"out={tmp_path / 'study'}", "dry_run=true", "train.embedding_dim=3"])
    assert [path.name for path in tmp_path.rglob("*")] == ["study", "study.json"]


def test_the_last_thing_that_a_command_said_is_its_error(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("fusemix: of an earlier attempt\nbegins\nfusemix: it broke. Mend it.\n\nbye\n")
    assert last_error(log, 31, 2) == "it broke. Mend it."
    assert last_error(log, log.stat().st_size, 7) == "it ended with the code 7 and said nothing"
    assert last_error(log, 0, -9) == "it was ended by SIGKILL, perhaps for want of memory"
    log.write_text("Traceback\nValueError: x\n")
    assert last_error(log, 0, 1) == "ValueError: x"


def test_python_says_what_is_missing_in_a_folder_without_results(tmp_path):
    import fusemix

    found = fusemix.Study(tmp_path)
    assert repr(found) == f"fusemix.Study('{tmp_path}')"
    with pytest.raises(RunError, match=r"there is no .*results\.json"):
        _ = found.jobs
    (tmp_path / "results.json").write_text(json.dumps({"format": "x"}))
    with pytest.raises(RunError, match="holds no results of a study"):
        _ = fusemix.Study(tmp_path).jobs
