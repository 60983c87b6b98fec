import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import pytest

from fusemix.disk import locks, out_folder
from fusemix.disk.holders import Watch, read_holder, this_process, write_holder
from fusemix.disk.locks import one_writer
from fusemix.disk.temporary import host_key
from fusemix.errors import OutputError

HELD = """
import os, sys, time
from fusemix.disk.locks import one_writer
from fusemix.disk.temporary import host_key
with one_writer(sys.argv[1], doing="index"):
    child = os.fork()  # as workers are
    if child == 0:
        time.sleep(60)
        os._exit(0)
    print(child, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def quick(monkeypatch):
    """A heart that beats, and is given up, a hundred times as fast."""
    for name, seconds in {"BEAT_SEC": 0.05, "SILENT_SEC": 0.6, "POLL_SEC": 0.01, "UNKNOWN_SEC": 0.1}.items():
        monkeypatch.setattr(locks, name, seconds)


def elsewhere(**changes):
    """A holder on another machine."""
    return replace(this_process("train"), host="node7", boot="other", pid=4711, token="theirs", **changes)


def test_a_second_writer_is_told_who_writes_and_how_to_wait(tmp_path):
    with one_writer(tmp_path / "out", doing="train"):
        message = rf"out is being written by another process: `train` \(process {os.getpid()} on .*wait_sec="
        with pytest.raises(OutputError, match=message), one_writer(tmp_path / "out", doing="train"):
            pass
    with one_writer(tmp_path / "out", doing="train"):
        pass


def test_nothing_is_left_behind_however_it_ends(tmp_path):
    for error in (RuntimeError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error), one_writer(tmp_path / "made" / "for" / "out", doing="train"):
            assert list((tmp_path / "made" / "for").iterdir())
            raise error
    assert not list(tmp_path.iterdir())


def test_spellings_and_links_of_a_folder_are_one_lock(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    with one_writer("out", doing="train"):
        for other in ("./out/", tmp_path / "link", "out/../out"):
            with pytest.raises(OutputError, match="another process"), one_writer(other, doing="train"):
                pass
        with one_writer("out2", doing="train"), one_writer("out/below", doing="train"):
            pass


def test_the_lock_stays_where_the_folder_is_renamed_and_made_anew(tmp_path):
    (tmp_path / "out").mkdir()
    with one_writer(tmp_path / "out", doing="train"):
        (tmp_path / "out").rename(tmp_path / "aside")
        for _ in range(2):
            with pytest.raises(OutputError, match="another process"), one_writer(tmp_path / "out", doing="train"):
                pass
            (tmp_path / "out").mkdir(exist_ok=True)


@pytest.mark.usefixtures("quick")
def test_who_is_told_to_wait_gets_the_folder_when_it_is_free(tmp_path, capsys):
    held, free = threading.Event(), threading.Event()

    def hold():
        with one_writer(tmp_path / "out", doing="train"):
            held.set()
            free.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(20)
    threading.Timer(0.3, free.set).start()
    with one_writer(tmp_path / "out", doing="train", wait_sec=20.0):
        assert free.is_set()
    thread.join()
    assert "waiting until" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_one_of_many_that_start_at_once_gets_the_folder(tmp_path):
    for _ in range(20):
        start, done, got, told = threading.Barrier(6), threading.Barrier(6), [], []

        def one(start=start, done=done, got=got, told=told):
            start.wait()
            try:
                with one_writer(tmp_path / "out", doing="train"):
                    got.append(1)
                    done.wait()
            except OutputError as error:
                told.append(str(error))
                done.wait()

        threads = [threading.Thread(target=one) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(got), len(told)) == (1, 5)
        assert all("`train` (process" in text for text in told)


def test_a_killed_writer_is_replaced_at_once_while_its_workers_still_live(tmp_path, capsys):
    process = subprocess.Popen([sys.executable, "-c", HELD, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    try:
        with pytest.raises(OutputError, match=rf"`index` \(process {process.pid} on"):
            one_writer(tmp_path / "out", doing="train").__enter__()
        process.kill()
        process.wait()
        started = time.monotonic()
        with one_writer(tmp_path / "out", doing="train"):
            assert time.monotonic() - started < 1
        assert "has ended without a word, `index`" in capsys.readouterr().out.replace("\n", " ")
    finally:
        process.kill()
        os.kill(child, 9)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("lets_go_after_sec", [0.2, 60])
def test_what_a_dead_writer_has_left_running_is_waited_for_but_not_for_ever(tmp_path, capsys, lets_go_after_sec):
    dead = subprocess.Popen(["true"])
    dead.wait()
    write_holder(tmp_path / ".out.lock.json", replace(this_process("index"), pid=dead.pid, token="of the dead"))
    with (tmp_path / ".out.lock").open("w") as inherited:
        fcntl.flock(inherited, fcntl.LOCK_EX)
        timer = threading.Timer(lets_go_after_sec, inherited.close)
        timer.start()
        started = time.monotonic()
        with one_writer(tmp_path / "out", doing="train"):
            assert (time.monotonic() - started < 0.6) == (lets_go_after_sec < 0.6)
            assert read_holder(tmp_path / ".out.lock.json").doing == "train"
        timer.cancel()
    assert f"(process {dead.pid} on" in capsys.readouterr().out.replace("\n", " ")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("quick")
def test_a_writer_on_another_machine_counts_as_long_as_its_heart_beats(tmp_path, capsys):
    record, stop = tmp_path / ".out.lock.json", threading.Event()
    write_holder(record, elsewhere())

    def beat():
        number = 0
        while not stop.wait(0.05):
            number += 1
            write_holder(record, elsewhere(beat=number))

    thread = threading.Thread(target=beat)
    thread.start()
    with pytest.raises(OutputError, match=r"`train` \(process 4711 on node7"):
        one_writer(tmp_path / "out", doing="train").__enter__()
    stop.set()
    thread.join()
    started = time.monotonic()
    with one_writer(tmp_path / "out", doing="index"):
        assert time.monotonic() - started > 0.6
        assert read_holder(record).doing == "index"
    assert "node7" in capsys.readouterr().out


@pytest.mark.usefixtures("quick")
def test_who_was_taken_for_dead_stops_and_leaves_the_others_lock_alone(tmp_path):
    record = tmp_path / ".out.lock.json"
    with pytest.raises(OutputError, match="taken for dead"), one_writer(tmp_path / "out", doing="train"):
        write_holder(record, elsewhere())
        time.sleep(20)
    assert read_holder(record).token == "theirs"


@pytest.mark.usefixtures("quick")
def test_without_locks_of_the_system_the_record_keeps_writers_apart(tmp_path, monkeypatch):
    def none(path):
        return None, True

    monkeypatch.setattr(locks, "_system_lock", none)
    with one_writer(tmp_path / "out", doing="train"), pytest.raises(OutputError, match="another process"):
        one_writer(tmp_path / "out", doing="train").__enter__()
    record = tmp_path / ".out.lock.json"
    here = this_process("train")
    for dead in (replace(here, pid=2**22 + 1), replace(here, started=here.started - 1)):  # gone; its number is reused
        write_holder(record, dead)
        with one_writer(tmp_path / "out", doing="train"):
            assert read_holder(record).pid == os.getpid()


@pytest.mark.usefixtures("quick")
def test_a_record_that_was_cut_short_is_no_holder(tmp_path):
    (tmp_path / ".out.lock.json").write_text(json.dumps(asdict(this_process("train")))[:40])
    with one_writer(tmp_path / "out", doing="train"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_new_holder_is_not_taken_for_the_beat_of_the_old_one():
    watch = Watch()
    watch.look(elsewhere(beat=3))
    watch.look(replace(elsewhere(beat=0), token="another"))
    assert not watch.is_beating
    watch.look(replace(elsewhere(beat=1), token="another"))
    assert watch.is_beating


# What cannot be written


@pytest.mark.parametrize("place", ["file", "file/below/out", "x" * 300, "loop/out", "x" * 250])
def test_a_folder_that_cannot_be_is_one_sentence(tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    if place == "x" * 250:  # a folder can have this name, and so its lock gets another one
        with one_writer(tmp_path / place, doing="train"):
            (tmp_path / place).mkdir()
        return
    with pytest.raises(OutputError, match=rf"{place.split('/')[0]}.* ") as found:
        one_writer(tmp_path / place, doing="train").__enter__()
    assert "\n" not in str(found.value)
    assert "hoose another out" in str(found.value)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EIO, errno.ESTALE])
def test_a_folder_that_refuses_to_be_written_is_one_sentence(tmp_path, monkeypatch, number):
    def refuse(folder):
        raise OSError(number, os.strerror(number), str(folder / "probe"))

    monkeypatch.setattr(out_folder, "_write_nothing", refuse)
    with pytest.raises(OutputError, match=rf"out cannot be written: .*{os.strerror(number)}"):
        one_writer(tmp_path / "out", doing="train").__enter__()


def test_a_folder_whose_parent_is_closed_has_its_lock_within(tmp_path, monkeypatch):
    real, out = out_folder._write_nothing, tmp_path / "out"
    out.mkdir()

    def closed(folder):
        if folder == tmp_path:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        real(folder)

    monkeypatch.setattr(out_folder, "_write_nothing", closed)
    with one_writer(out, doing="train"):
        assert out_folder.is_empty(out)
        assert list(out.iterdir())
        with pytest.raises(OutputError, match="another process"), one_writer(out, doing="train"):
            pass
    assert not list(out.iterdir())


def test_what_dead_writers_left_half_written_is_removed_and_nothing_else(tmp_path):
    dead = f"{host_key()}-{2**22 + 1}-0123abcd.part"
    (tmp_path / "out" / "a" / "b").mkdir(parents=True)
    gone = [tmp_path / "out" / f".latents.npy.{dead}", tmp_path / "out" / "a" / "b" / f".x.{dead}"]
    kept = [
        tmp_path / "out" / name
        for name in (
            f".x.{host_key()}-{os.getpid()}-0123abcd.part",  # lives
            f".x.ffffffff-{2**22 + 1}-0123abcd.part",  # of another machine
            ".mine.part",
            "film.part",
        )
    ]
    for path in (*gone, *kept):
        path.write_text("")
    with one_writer(tmp_path / "out", doing="train"):
        assert not any(path.exists() for path in gone)
        assert all(path.exists() for path in kept)
