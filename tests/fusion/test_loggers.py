"""Loggers by name: what they hold when a run is trained, and when it goes on."""

import json
import os
import shutil
import sqlite3
import struct
import sys
from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger, Logger
from training import arguments, recalls

from fusemix.cli.called import run_command
from fusemix.cli.loading import load_config
from fusemix.config import TrainConfig
from fusemix.errors import ConfigError, RunError
from fusemix.fusion.loggers.elsewhere import Elsewhere, begin_logging

ROOT = Path(__file__).parents[2]
RECALL = "validation/mean_recall"


@pytest.fixture
def no_account(tmp_path, monkeypatch):
    """Nothing of the user's is read or written, and nothing is sent."""
    for name in [name for name in os.environ if name.startswith(("WANDB_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    for name in ("HOME", "WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setenv("WANDB_SILENT", "true")
    return monkeypatch


@pytest.mark.parametrize(
    ("logger", "files"), [("csv", {"metrics.csv"}), ("tensorboard", {"tensorboard"}), ("[]", set())]
)
def test_figures_go_where_the_list_says_and_nowhere_else(make_set, tmp_path, logger, files):
    out = tmp_path / "run"
    run_command("train", arguments(make_set, out, optim__max_epochs=1, logger=logger))
    assert {path.name for path in out.iterdir()} & {"metrics.csv", "tensorboard", "loggers.json"} == files


def test_where_nothing_is_said_figures_go_to_the_run_folder(tmp_path, make_set):
    config = load_config(TrainConfig, arguments(make_set, tmp_path / "run"))
    assert [part.name for part in config.logger] == ["csv", "tensorboard"]


def test_a_logger_is_named_once(tmp_path, make_set):
    with pytest.raises(ConfigError, match="logger holds 'csv' twice"):
        load_config(TrainConfig, arguments(make_set, tmp_path / "run", logger="[csv, csv]"))


def wandb_records(path: Path) -> list:
    """Records of a file that wandb writes offline: chunks of at most 32 kB, each with checksum, length and kind."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, part, found = path.read_bytes(), 7, b"", []
    while place + 7 <= len(data):
        if (left := -place % 32768) and left < 7:
            place += left
            continue
        _, size, kind = struct.unpack_from("<IHB", data, place)
        part, place = part + data[place + 7 : place + 7 + size], place + 7 + size
        if kind in (1, 4):  # whole, or the last chunk
            found.append(Record.FromString(part))
            part = b""
    return found


def items(record) -> dict:
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.item}


def test_a_run_that_goes_on_is_one_run_of_wandb_with_its_settings_and_figures(make_set, tmp_path, no_account):
    pytest.importorskip("wandb")
    no_account.setenv("WANDB_MODE", "offline")
    out = tmp_path / "run"
    settings = {"logger": "[csv, {name: wandb, options: {project: birds, tags: [first]}}]"}
    run_command("train", arguments(make_set, out, optim__max_epochs=1, **settings))
    run_command("train", arguments(make_set, out, optim__max_epochs=2, **settings))
    (known,) = json.loads((out / "loggers.json").read_text()).values()
    files = sorted(
        (tmp_path / "home" / "wandb").glob(f"offline-run-*-{known}/run-{known}.wandb"), key=lambda p: p.stat().st_mtime
    )
    assert len(files) == 2
    first, second = map(wandb_records, files)
    (begun,) = (record.run for record in first if record.WhichOneof("record_type") == "run")
    assert (begun.project, begun.display_name, [*begun.tags]) == ("birds", "run", ["first"])
    said = {u.key: json.loads(u.value_json) for r in first if r.HasField("config") for u in r.config.update}
    assert said["optim"]["max_epochs"] == 1
    assert said["encoders"] == {"image": ["eyes"], "text": ["words"]}
    logged = [items(r.history) for r in (*first, *second) if r.HasField("history")]
    assert [one[RECALL] for one in logged if RECALL in one] == pytest.approx(recalls(out))
    assert all(
        record.exit.exit_code == 0 for records in (first, second) for record in records if record.HasField("exit")
    )


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory) -> Path:
    """Of mlflow, which takes seconds to make one; whoever writes there copies it first."""
    mlflow = pytest.importorskip("mlflow")
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


def history(database: Path) -> list[tuple[str, int, float]]:
    with sqlite3.connect(database) as connection:
        return connection.execute(
            "SELECT run_uuid, step, value FROM metrics WHERE key = ? ORDER BY step", [RECALL]
        ).fetchall()


def test_a_run_that_goes_on_is_one_run_of_mlflow_with_its_settings_and_figures(
    make_set, tmp_path, no_account, empty_database
):
    database, out = shutil.copy(empty_database, tmp_path / "mlflow.db"), tmp_path / "run"
    settings = {"logger": f"{{name: mlflow, options: {{experiment: birds, tracking_uri: 'sqlite:///{database}'}}}}"}
    run_command("train", arguments(make_set, out, optim__max_epochs=1, **settings))
    run_command("train", arguments(make_set, out, optim__max_epochs=2, wait_sec=1, **settings))  # it may change
    (known,) = json.loads((out / "loggers.json").read_text()).values()
    found = history(database)
    assert [run for run, _, _ in found] == [known] * 2
    assert len({step for _, step, _ in found}) == 2
    with sqlite3.connect(database) as connection:
        (run,) = connection.execute("SELECT run_uuid, name, status FROM runs").fetchall()
        said = dict(connection.execute("SELECT key, value FROM params").fetchall())
        assert ("birds",) in connection.execute("SELECT name FROM experiments").fetchall()
    assert run == (known, "run", "FINISHED")
    assert (said["optim/max_epochs"], said["embedding_dim"]) == ("1", "8")


def test_of_processes_that_share_a_run_only_the_first_one_logs(
    make_set, tmp_path, no_account, programs, empty_database
):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    no_account.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    settings = {"optim__max_epochs": 1, "compute__devices": 2, "logger": "[csv, mlflow]"}
    both = programs.run_together(2, ROOT / "train.py", *arguments(make_set, tmp_path / "run", **settings))
    assert [done.returncode for done in both] == [0, 0], both[0].stderr
    found = history(tmp_path / "mlflow.db")
    assert len(found) == 1


@pytest.mark.parametrize(("name", "wanted"), [("wandb", "pip install 'wandb"), ("mlflow", "mlflow-skinny>=")])
def test_a_package_that_is_missing_is_named_with_what_installs_it(make_set, tmp_path, monkeypatch, name, wanted):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"fusemix.fusion.loggers.{name}", raising=False)
    with pytest.raises(
        ConfigError, match=f"the package {name} is not installed. Install it with: pip install"
    ) as error:
        run_command("train", arguments(make_set, tmp_path / "run", logger=name))
    assert wanted in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_logger_that_cannot_begin_ends_the_command_in_one_message_with_a_way_out(make_set, tmp_path, no_account):
    pytest.importorskip("mlflow")
    settings = {"logger": "mlflow", "logger.options.tracking_uri": "carrier-pigeon://loft"}
    with pytest.raises(
        RunError, match=r"(?s)logger mlflow cannot begin: .*pigeon.*\n.*logger.options.tracking_uri=sqlite"
    ):
        run_command("train", arguments(make_set, tmp_path / "run", **settings))
    assert [*(tmp_path / "run" / "checkpoints").iterdir()] == []


class Forgetful(CSVLogger):
    """One that can be reached once."""

    def log_metrics(self, metrics, step=None):
        if self.experiment.metrics:
            raise ConnectionError("the server is gone")
        super().log_metrics(metrics, step)


def test_a_logger_that_fails_on_the_way_is_told_once_and_ends_nothing(tmp_path, capsys):
    made: list[Logger] = []

    def connect(known: str | None) -> tuple[Logger, str]:
        made.append(Forgetful(tmp_path, name="", version=""))
        return made[0], known or "new"

    logger = Elsewhere("far", connect, "")
    logger.log_metrics({"loss": 9.0}, 0)  # before it has begun, as in all processes but the first one
    begin_logging([logger], tmp_path, {})
    for step in (1, 2, 3):
        logger.log_metrics({"loss": 1.0}, step)
    logger.finalize("success")
    assert [row["step"] for row in made[0].experiment.metrics] == [1]
    assert capsys.readouterr().out.count("the server is gone") == 1
    assert json.loads((tmp_path / "loggers.json").read_text()) == {"far": "new"}
