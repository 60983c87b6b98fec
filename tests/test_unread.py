"""A pipe that is closed, and a file that takes no more, end no work; only what is nothing but printing ends there."""

import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: it is the process's standard output that breaks.
PROGRAM = """
import sys
from pathlib import Path

from fusemix.cli import called
from fusemix.cli import run as cli
from fusemix.progress import console


def main(arguments):
    for number in range(3_000):
        print(number, "by print")
        console.print(number, "by rich")
        print(number, "to errors", file=sys.stderr)
    Path(sys.argv[1]).write_text("done")


called.run_command = lambda command, words: main(words)
cli.run(sys.argv[2])
"""


def run_unread(command: str, done: Path, **streams: object) -> subprocess.CompletedProcess:
    arguments = [sys.executable, "-c", PROGRAM, str(done), command]
    return subprocess.run(arguments, check=False, timeout=60, text=True, **streams)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("command", "code"), [("cache_features", 0), ("train", 0), ("eval_retrieval", 0), ("verify", 0), ("report", 141)]
)
def test_a_closed_pipe_ends_what_only_prints_and_no_work(tmp_path, command, code):
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as reader:
        reader.wait()
        done = run_unread(command, tmp_path / "done", stdout=reader.stdin, stderr=subprocess.PIPE)
    assert done.returncode == code
    assert (tmp_path / "done").exists() is (code == 0)
    assert "Broken pipe" not in done.stderr
    assert "Traceback" not in done.stderr
    assert ("2999 to errors" in done.stderr) is (code == 0), "what can still be written is"


def test_both_streams_may_be_closed(tmp_path):
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as reader:
        reader.wait()
        assert run_unread("train", tmp_path / "done", stdout=reader.stdin, stderr=reader.stdin).returncode == 0
    assert (tmp_path / "done").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
def test_a_log_on_a_full_disk_is_told_once_and_the_work_goes_on(tmp_path):
    with Path("/dev/full").open("w") as full:
        done = run_unread("train", tmp_path / "done", stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 0
    assert (tmp_path / "done").exists()
    assert done.stderr.count("cannot be written any more (No space left on device); the work goes on") == 1
