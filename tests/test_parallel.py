"""Several processes of one command: real ones, forked here, which talk through a file."""

import multiprocessing
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from latent_samples import pair_set
from lightning.fabric import Fabric

from fusemix.config import CacheConfig, PartConfig
from fusemix.disk import holders
from fusemix.disk.locks import one_writer
from fusemix.errors import ConfigError, EncoderError, FusemixError, OutputError, RunError
from fusemix.fusion.runs import RunState
from fusemix.interfaces import Rejected
from fusemix.latents.writer import StoreWriter
from fusemix.machine import alone
from fusemix.machine.alone import alone_in, require_as_started
from fusemix.machine.parallel import decided_by_the_first, failing_together, stop_if_another_failed
from fusemix.wiring.caching.filling import Side
from fusemix.wiring.caching.retry import retry_rejected

LONG = 60
HOW = {"doing": "train", "wait_sec": 0.0, "devices": "2", "num_nodes": 1}
LAUNCHERS = ("TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "RANK")


def together(rank, count=2):
    """What Fabric and the Trainer say of a process that they have started themselves."""
    return SimpleNamespace(is_global_zero=rank == 0, global_rank=rank, world_size=count, strategy=None)


@contextmanager
def both(task, folder: Path):
    """Two processes that do a task, `task(rank, folder)`; yields what they printed, and how they ended."""

    def run(rank):
        sys.stdout = sys.stderr = (folder / f"{rank}.log").open("w")
        torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
        try:
            task(rank, folder)
        except FusemixError as error:
            text = "" if getattr(error, "was_told", False) else f"fusemix: {error}"
            (folder / f"{rank}.end").write_text(text)
        except SystemExit:
            (folder / f"{rank}.end").write_text("")
        finally:
            sys.stdout.flush()
            os._exit(0)

    processes = [multiprocessing.get_context("fork").Process(target=run, args=(rank,)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(LONG)
        assert process.exitcode is not None, "it hangs"
    yield [(folder / f"{rank}.log").read_text() + (folder / f"{rank}.end").read_text() for rank in range(2)]


def slow_work(rank):
    if rank == 1:
        raise RunError("shard 3 cannot be written")
    for _ in range(10 * LONG):
        stop_if_another_failed()
        time.sleep(0.1)


def test_what_one_process_fails_on_is_said_at_once_and_stops_the_others(tmp_path):
    def task(rank, folder):
        with failing_together(together(rank)):
            slow_work(rank)

    started = time.monotonic()
    with both(task, tmp_path) as printed:
        assert time.monotonic() - started < LONG / 4
        assert "fusemix: process 1 on " in printed[1]
        assert "".join(printed).count("shard 3 cannot be written") == 1


def test_the_first_process_says_it_again_where_it_happened_on_another_machine(tmp_path, monkeypatch):
    def task(rank, folder):
        monkeypatch.setattr("socket.gethostname", lambda: f"node{rank}")
        with failing_together(together(rank)):
            slow_work(rank)

    with both(task, tmp_path) as printed:
        assert "fusemix: process 1 on node1 had to stop: shard 3 cannot be written" in printed[0]
        assert "fusemix: process 1 on node1: shard 3 cannot be written" in printed[1]


def test_a_process_that_is_killed_is_no_riddle_to_the_others(tmp_path):
    def task(rank, folder):
        with failing_together(together(rank)):
            if rank == 1:
                (folder / "1.end").write_text("")
                os._exit(9)

    with both(task, tmp_path) as printed:
        assert "another process has ended without a word" in printed[0]


def test_the_first_process_decides_for_all_whatever_others_see(tmp_path):
    def task(rank, folder):
        state = decided_by_the_first(together(rank), lambda: RunState(Path("last.ckpt"), epoch=rank + 3))
        (folder / f"{rank}.end").write_text(repr(state))

    with both(task, tmp_path) as printed:
        assert printed[0] == printed[1] == repr(RunState(Path("last.ckpt"), epoch=3))


def test_a_process_that_is_killed_while_the_first_decides_is_no_riddle(tmp_path):
    def task(rank, folder):
        if rank == 1:
            (folder / "1.end").write_text("")
            os._exit(9)
        decided_by_the_first(together(rank), lambda: 3)

    with both(task, tmp_path) as printed:
        assert "another process has ended without a word" in printed[0]


def test_what_the_first_process_cannot_decide_ends_all(tmp_path):
    def task(rank, folder):
        decided_by_the_first(together(rank), lambda: slow_work(1))

    with both(task, tmp_path) as printed:
        assert "".join(printed).count("shard 3 cannot be written") == 1


def test_an_encoder_that_fails_while_its_batch_size_is_sought_again_ends_all(tmp_path):
    class Broken:
        modality, sample_rate, dim, fingerprint = "text", None, 2, {}
        to = length = collate = encode = lambda self, given: given

        def prepare(self, contents):
            raise EncoderError("it has lost its vocabulary")

    class Fabrics(Fabric):
        """One of two."""

        rank = 0
        world_size, global_rank = 2, property(lambda self: self.rank)
        is_global_zero = property(lambda self: self.rank == 0)

    items = pair_set(np.zeros((1, 2), dtype=np.int64)).right
    how = {"ids": items.table["id"], "modality": "text", "dim": 2, "dtype": "float16", "shard_size": 8}

    part = PartConfig(name="glyphs")
    config = CacheConfig(dataset=part, splits=["all"], encoders={"eyes": part}, out="out", batch_size="auto")

    def task(rank, folder):
        writer = StoreWriter(folder / "eyes", **how, fingerprint={}, joins=rank > 0)
        fabric = Fabrics(accelerator="cpu", devices=1)
        fabric.rank = rank
        side = Side(folder, items, {"eyes": Broken()}, {"eyes": writer})
        retry_rejected(side, fabric, config)

    writer = StoreWriter(tmp_path / "eyes", **how, fingerprint={})
    writer.write(0, np.ones((1, 2), np.float32), [Rejected("text-0", "read", "it was away")])
    with both(task, tmp_path) as printed:
        assert "".join(printed).count("it has lost its vocabulary") == 1


def test_a_folder_that_not_all_processes_share_is_refused_and_the_machine_named(tmp_path, monkeypatch):
    monkeypatch.setattr(alone, "SHARED_SEC", 0.5)

    def task(rank, folder):
        with alone_in([folder / f"own{rank}"], together(rank), **HOW):
            time.sleep(LONG)

    with both(task, tmp_path) as printed:
        assert "is not the folder that the first process writes to" in printed[1]
        assert f"own1 on {holders.socket.gethostname()}" in printed[1]


def test_all_processes_of_a_command_hold_the_folder_together(tmp_path):
    def task(rank, folder):
        with alone_in([folder / "out"], together(rank), **HOW):
            with pytest.raises(OutputError, match="another process"), one_writer(folder / "out", doing="index"):
                pass
            torch.distributed.barrier()
        (folder / f"{rank}.end").write_text("done")

    with both(task, tmp_path) as printed:
        assert printed == ["done", "done"]
    assert not list(tmp_path.glob(".out*"))


def test_processes_part_in_order_before_python_ends(tmp_path):
    """A thread of the group's that is still there while the interpreter is taken down can abort the process."""

    def task(rank, folder):
        with alone_in([folder / "out"], together(rank), **HOW):
            threads = _threads_of_the_group()
        (folder / f"{rank}.end").write_text(f"{threads > 0} {_threads_of_the_group()}")

    with both(task, tmp_path) as printed:
        assert printed == ["True 0", "True 0"]


def _threads_of_the_group():
    return sum("gloo" in path.read_text() for path in Path("/proc/self/task").glob("*/comm"))


def test_all_processes_end_where_another_command_writes(tmp_path):
    def task(rank, folder):
        with alone_in([folder / "out"], together(rank), **HOW):
            time.sleep(LONG)

    with one_writer(tmp_path / "out", doing="index"), both(task, tmp_path) as printed:
        assert "".join(printed).count("being written by another process: `index`") == 1


# As many processes as the settings say


@pytest.fixture(autouse=True)
def by_hand(monkeypatch):
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)


SLURM = {"SLURM_NTASKS": "4", "SLURM_NNODES": "2", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "train"}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "RANK": "0"}


@pytest.mark.parametrize("variables", [SLURM, TORCHRUN], ids=["srun", "torchrun"])
@pytest.mark.parametrize(("devices", "nodes", "world"), [("1", 1, 1), ("2", 1, 2), ("8", 2, 16), ("4", 1, 4)])
def test_another_number_of_processes_than_was_started_is_refused(monkeypatch, variables, devices, nodes, world):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    message = rf"has started 4 processes on 2 machines, but compute.devices={devices} and compute.num_nodes={nodes}"
    there = r"Say what there is, compute.devices=2 compute.num_nodes=2, or start"
    with pytest.raises(ConfigError, match=rf"{message} mean {world}\. {there}") as found:
        require_as_started(together(0, world), devices, nodes)
    assert not hasattr(found.value, "was_told")
    for name in ("SLURM_PROCID", "RANK"):
        monkeypatch.setenv(name, "3")
    with pytest.raises(ConfigError) as found:
        require_as_started(together(0, world), devices, nodes)
    assert found.value.was_told, "the first process has said it"
    require_as_started(together(0, 4), "2", 2)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {**SLURM, "SLURM_JOB_NAME": "bash"},
        {"SLURM_NTASKS": "1", "SLURM_NNODES": "2"},
        {"WORLD_SIZE": "8", "LOCAL_RANK": "1"},  # as Lightning sets them in what it starts
        {"RANK": "0", "WORLD_SIZE": "1"},
    ],
)
def test_one_process_that_is_alone_may_be_so(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    require_as_started(together(0, 1), "1", 1)


def test_other_machines_are_not_waited_for_where_nothing_says_where_they_are(monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(
        ConfigError, match=r"compute.num_nodes=2, but nothing has started .* Start it by srun or torchrun"
    ):
        require_as_started(together(0, 2), "1", 2)
    monkeypatch.setenv("MASTER_ADDR", "node1")
    require_as_started(together(0, 2), "1", 2)


def test_one_process_cannot_be_many_where_slurm_starts_them(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "1")
    with pytest.raises(ConfigError, match=r"SLURM has started 1 process on .*srun --ntasks-per-node"):
        require_as_started(together(0, 4), "4", 1)
