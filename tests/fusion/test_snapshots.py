"""Checkpoints are copied when they are saved, and written meanwhile."""

import threading

import pytest
import torch

from fusemix.fusion import snapshots
from fusemix.fusion.checkpoints import BEST, LAST
from fusemix.fusion.snapshots import Buffers, Writer


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(clock) -> Writer:
    return Writer(60.0, clock)


def state(epoch: int) -> dict:
    return {"epoch": epoch, "weights": {"a": torch.full((3, 2), float(epoch))}, "seen": [epoch, (epoch,)]}


def save(writer: Writer, folder, epoch: int, *, is_best: bool = False) -> None:
    for name in (BEST, LAST) if is_best else (LAST,):
        writer.take((epoch, 10 * epoch), state(epoch), folder / name)
    writer.write_if_due()


def written(folder) -> dict[str, int]:
    found = {path.name: torch.load(path, weights_only=True) for path in folder.iterdir()}
    assert all((one["weights"]["a"] == one["epoch"]).all() for one in found.values())
    return {name: one["epoch"] for name, one in found.items()}


def finish(writer: Writer) -> None:
    writer.finish()
    assert not [one for one in threading.enumerate() if one.name.startswith("fusemix-checkpoint")]


def test_what_is_saved_is_the_state_of_that_moment(writer, tmp_path):
    saved = state(1)
    writer.take((1, 1), saved, tmp_path / LAST)
    saved["weights"]["a"] += 5
    saved["seen"].append(6)
    finish(writer)
    found = torch.load(tmp_path / LAST, weights_only=True)
    assert (found["weights"]["a"] == 1).all()
    assert found["seen"] == [1, (1,)]


def test_the_newest_of_each_name_is_there_in_the_end(writer, tmp_path):
    for epoch, is_best in enumerate([True, True, False, True, False, False]):
        save(writer, tmp_path, epoch, is_best=is_best)
    finish(writer)
    assert written(tmp_path) == {BEST: 3, LAST: 5}


def test_not_each_state_is_written_and_none_twice(writer, clock, tmp_path, monkeypatch):
    made: list[int] = []

    def counted(content, file):
        made.append(content["epoch"])
        return saved(content, file)

    saved = torch.save
    monkeypatch.setattr(snapshots.torch, "save", counted)
    for epoch in range(13):  # of ten seconds
        clock.now = 10.0 * epoch
        save(writer, tmp_path, epoch, is_best=epoch % 2 == 0)
        if writer._writing:
            writer._writing[1].result()
    finish(writer)
    assert made == [0, 6, 12], "the first one, and one a minute; a best one that is the last one, too, once"
    assert written(tmp_path) == {BEST: 12, LAST: 12}


def test_both_names_are_files_of_their_own(writer, tmp_path):
    """What damages one leaves the other to go on from."""
    save(writer, tmp_path, 4, is_best=True)
    finish(writer)
    whole = (tmp_path / BEST).read_bytes()
    (tmp_path / LAST).write_bytes(b"")
    assert (tmp_path / BEST).read_bytes() == whole


def test_the_best_is_written_before_a_last_one_that_knows_of_it(writer, clock, tmp_path, monkeypatch):
    order: list[str] = []

    def noted(path):
        order.append(path.name)
        return atomic(path)

    atomic = snapshots.write_atomic
    monkeypatch.setattr(snapshots, "write_atomic", noted)
    writer.take((1, 1), state(1), tmp_path / LAST)
    writer.take((2, 2), state(2), tmp_path / BEST)  # and then it is broken off
    finish(writer)
    assert order == [BEST, LAST]


def test_an_error_is_raised_when_the_next_one_is_saved_or_all_are_to_be_there(writer, clock, tmp_path):
    (tmp_path / LAST).mkdir()
    (tmp_path / LAST / "in the way").touch()
    save(writer, tmp_path, 0)
    writer._writing[1].exception()  # waits
    with pytest.raises(OSError, match="last.ckpt"):
        save(writer, tmp_path, 1)
    save(writer, tmp_path, 2)
    with pytest.raises(OSError, match="last.ckpt"):
        finish(writer)
    finish(writer)
    assert [path.name for path in tmp_path.iterdir()] == [LAST], "nothing half written is left"


def test_what_is_being_copied_when_a_run_is_ended_is_kept(writer, clock, tmp_path):
    class Ended:
        times = 0

        def __deepcopy__(self, memo):
            self.times += 1
            if self.times == 1:
                raise KeyboardInterrupt
            return "after Ctrl-C"

    for epoch in (0, 1):
        save(writer, tmp_path, epoch)
    with pytest.raises(KeyboardInterrupt):
        writer.take((2, 2), {**state(2), "ended": Ended()}, tmp_path / LAST)
    finish(writer)
    assert written(tmp_path) == {LAST: 2}


def test_memory_of_copies_is_used_again():
    buffers = Buffers()
    first = buffers.copied({"a": torch.zeros(3), "b": [torch.ones(2, 2)]})
    places = {tensor.data_ptr() for tensor in (first["a"], first["b"][0])}
    buffers.give_back(first)
    second = buffers.copied({"a": torch.ones(3), "b": [torch.ones(2, 2)], "c": torch.ones(3)})
    assert {second["a"].data_ptr(), second["b"][0].data_ptr()} == places
    assert second["c"].data_ptr() not in places
