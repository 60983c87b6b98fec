"""Worker processes under limits, started in each way, lost, stuck, and orphaned."""

import errno
import multiprocessing
import os
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from extracting import Letters, items_of, run, run_all, texts_of_all_lengths

from fusemix.encoders import reading, workers
from fusemix.errors import EncoderError, MachineError
from fusemix.interfaces import Items

if not hasattr(os, "fork"):
    pytest.skip("limits and signals of POSIX", allow_module_level=True)

FORK = multiprocessing.get_context("fork")


class Tokens(Letters):
    """Collates into two tensors a batch."""

    def __init__(self, scale=1):
        super().__init__()
        self.scale = scale

    def collate(self, prepared):
        lengths = torch.tensor([float(len(text)) for text in prepared])
        return {"lengths": lengths * self.scale, "words": torch.tensor([len(text.split()) for text in prepared])}

    def encode(self, batch):
        return torch.stack([batch["lengths"], batch["words"].float()], dim=1)


class Networked(Tokens):
    """Has a network, whose weights no worker needs."""

    def __init__(self):
        super().__init__()
        self.network = torch.nn.Linear(2, 2)
        self.network.requires_grad_(False)
        self.lock = None

    def encode(self, batch):
        return self.network(super().encode(batch))


class Tokenizing(Networked):
    """Misuses its network for preparing."""

    def prepare(self, contents):
        return [self.network(text) for text in contents]


def in_a_process(action, *inputs, seconds=60):
    """Run something in a process of its own; its exit code, or None where it hangs."""
    process = FORK.Process(target=action, args=inputs)
    process.start()
    process.join(seconds)
    process.kill()
    code = process.exitcode
    process.join()
    return code


# Limits


def two_encoders(num_workers):
    items = items_of("text", texts_of_all_lengths(2400))
    encoders = {"one": Tokens(), "two": Tokens(3)}
    spans = [range(0, 1800), range(1800, 2400)]
    extracted = run_all(items, encoders, spans, batch_size=4, num_workers=num_workers)
    return np.concatenate([of[name].latents for of in extracted for name in encoders])


def under_a_limit(limit, path):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    np.save(path, two_encoders(2))


def test_a_small_limit_of_open_files_is_enough_for_many_small_batches(tmp_path):
    open_now = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 200
    limit = max(64, open_now + 50)  # what 64 leave to a process of its own, whatever other tests hold open here
    assert in_a_process(under_a_limit, limit, tmp_path / "latents.npy") == 0
    assert np.array_equal(np.load(tmp_path / "latents.npy"), two_encoders(0))


def with_a_soft_limit(soft):
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    run(items_of("text", texts_of_all_lengths(9)), Letters(), num_workers=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    os._exit(0 if soft == min(hard, workers.OPEN_FILES) else 1)


def test_the_soft_limit_is_raised_to_what_is_allowed():
    assert in_a_process(with_a_soft_limit, 128) == 0


def without_a_file_left(free, message):
    class Hoarding(Tokens):
        def collate(self, prepared):
            held = []
            try:
                while True:
                    held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                for file in held[len(held) - free :]:
                    os.close(file)
            return super().collate(prepared)

    workers.LOST_SEC = workers.LOOK_SEC = reading.LOOK_SEC = 0.5
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        run(items_of("text", texts_of_all_lengths(9)), Hoarding(), num_workers=1)
    except (EncoderError, MachineError) as error:
        os._exit(0 if message in str(error) else 2)
    os._exit(3)


@pytest.mark.parametrize(("free", "message"), [(0, "cannot hand over what it has read"), (1, "was lost on its way")])
def test_a_window_that_cannot_be_handed_over_is_an_error_and_no_hang(free, message):
    assert in_a_process(without_a_file_left, free, message) == 0


# Ways to start


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_give_the_same_however_they_are_started(method, monkeypatch):
    monkeypatch.setattr(reading, "START_METHOD", method)
    built, items = Networked(), items_of("text", texts_of_all_lengths(50))
    (shared,) = run(items, built, num_workers=1)
    (alone,) = run(items, built)
    assert np.array_equal(shared.latents, alone.latents)
    assert not built.network.weight.is_shared()


def test_linux_forks_whatever_pythons_own_default_is():
    assert ("fork" if os.uname().sysname == "Linux" else None) == reading.START_METHOD


def test_what_cannot_be_pickled_is_a_message_where_workers_are_not_forked(monkeypatch):
    monkeypatch.setattr(reading, "START_METHOD", "spawn")
    built = Networked()
    built.lock = lambda: None
    with pytest.raises(EncoderError, match=r"cannot be handed to another process: .*lambda.*Set num_workers=0"):
        run(items_of("text", ["a dog", "grass"]), built, num_workers=1)


def test_a_network_that_is_used_before_encode_is_a_message_where_workers_are_not_forked():
    content = reading._Windows(
        items_of("text", ["a dog"]), {"it": Tokenizing()}, {"it": torch.tensor(1)}, torch.ones(1)
    )
    rebuild, inputs = content.__reduce__()
    error = rebuild(*inputs)[0, reading.Piece(0, range(1), ("it",))]
    assert isinstance(error, EncoderError)
    assert "uses its network (Linear) before `encode`" in str(error)


# Lost, stuck, orphaned


class Sleeping:
    """Takes its time to read."""

    def __init__(self, seconds, note=None):
        self.seconds, self.note = seconds, note

    def __call__(self, row):
        if self.note:
            self.note.write_text(str(os.getpid()))
        time.sleep(self.seconds)
        return "rough"


def sleeping(seconds, note=None):
    return Items("touch", items_of("touch", ["rough"]).table, Sleeping(seconds, note))


def test_slow_reading_is_told_about_and_never_given_up(monkeypatch, capsys):
    for module in (reading, workers):
        monkeypatch.setattr(module, "LOOK_SEC", 0.2)
    monkeypatch.setattr(workers, "LOST_SEC", 1.0)
    monkeypatch.setattr(workers, "TELL_SEC", 0.4)
    sizes, pieces = {"it": torch.tensor(1)}, [reading.Piece(0, range(1), ("it",))]
    beside_no_cpu = {"num_workers": 1, "device": torch.device("meta")}  # workers do not step back
    windows = list(reading.windows_ahead(sleeping(1.5), {"it": Letters()}, pieces, sizes, **beside_no_cpu))
    assert [window.num_rows for _, window in windows] == [1]
    assert "for 1 items from row 0 on: is the disk that holds them away?" in " ".join(capsys.readouterr().out.split())


def test_a_worker_that_is_stuck_ends_with_its_parent(tmp_path):
    note = tmp_path / "pid"
    parent = FORK.Process(target=run, args=(sleeping(600, note), Letters()), kwargs={"num_workers": 1})
    parent.start()
    worker = int(wait_for(lambda: note.is_file() and note.read_text()))
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    assert wait_for(lambda: not is_running(worker))


def wait_for(found, seconds=30):
    until = time.monotonic() + seconds
    while not (value := found()) and time.monotonic() < until:
        time.sleep(0.05)
    return value


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESRCH):
            return False
        raise
    return state != "Z"


def test_a_worker_that_ends_by_itself_is_a_message():
    class Leaving(Letters):
        def prepare(self, contents):
            os._exit(3)

    with pytest.raises(EncoderError, match=r"DataLoader worker \(pid.*If it says above why it ended, num_workers=0"):
        run(items_of("text", ["a dog", "grass"]), Leaving(), num_workers=1)
