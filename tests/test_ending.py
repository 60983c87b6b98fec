"""Whoever types Ctrl-C is heard, whatever a library makes of it, and told what is true of the work."""

import contextlib
import signal
import sys
import time

import pytest

from fusemix.cli import called
from fusemix.cli import run as cli
from fusemix.disk.locks import one_writer


@pytest.fixture
def ended(monkeypatch, capsys):
    """Run a function as a command that Ctrl-C ends; gives its exit code and what it says."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.getsignal(signal.SIGALRM)

    def run(main, command="train"):
        monkeypatch.setattr(called, "run_command", lambda name, words: main(words))
        monkeypatch.setattr(sys, "argv", ["fusemix"])
        with pytest.raises(SystemExit) as error:
            cli.run(command)
        return error.value.code, capsys.readouterr().err

    yield run
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGALRM, before[1])


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_ends_a_command_in_order_and_its_lock_is_given_back(tmp_path, ended):
    def main(arguments):
        with one_writer(tmp_path / "out", doing="cache_features"):
            ctrl_c()

    code, said = ended(main, "cache_features")
    assert code == 130
    assert said == (
        "fusemix: interrupted; what was encoded is kept, but for the last half minute: "
        "the same command goes on where it stopped\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_that_a_library_swallows_comes_again(ended):
    swallowed = []

    def main(arguments):
        ctrl_c_once = iter([ctrl_c])
        for _ in range(2):
            with contextlib.suppress(KeyboardInterrupt):
                next(ctrl_c_once, lambda: time.sleep(30))()
            swallowed.append(time.monotonic())
        time.sleep(30)

    began = time.monotonic()
    code, said = ended(main)
    assert (code, len(swallowed)) == (130, 2)
    assert "interrupted" in said
    assert time.monotonic() - began < 20, "it did not wait for the end of the sleep"


@pytest.mark.parametrize("made_of_it", [RuntimeError("a worker died"), ImportError("half imported"), SystemExit(1)])
def test_whatever_is_made_of_ctrl_c_is_told_as_that(ended, made_of_it):
    def main(arguments):
        with contextlib.suppress(KeyboardInterrupt):
            ctrl_c()
        raise made_of_it

    code, said = ended(main)
    assert code == 130
    assert said.startswith("fusemix: interrupted; ")
    assert "Traceback" not in said


def test_who_ignores_ctrl_c_is_left_alone(ended):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for jobs behind it

    def main(arguments):
        ctrl_c()
        raise SystemExit(5)

    assert ended(main) == (5, "")
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
