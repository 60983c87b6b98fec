import dataclasses
import errno
import importlib.metadata
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fusemix import __version__, config
from fusemix.cli import called
from fusemix.cli import run as cli
from fusemix.cli.called import run_command
from fusemix.cli.help import field_texts, help_text
from fusemix.cli.table import COMMANDS
from fusemix.disk.locks import one_writer

ROOT = Path(__file__).parents[1]


def shell(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)


def test_an_error_of_the_user_is_one_message_without_traceback_and_exit_code_2():
    done = shell("train.py", "configs/train/glyphs.yaml", "optim.lrr=1")
    assert done.returncode == 2
    assert done.stderr.startswith("fusemix: optim.lrr=1: there is no setting 'optim.lrr'. Did you mean 'optim.lr'?")
    assert "Traceback" not in done.stderr


def test_script_and_console_command_are_the_same():
    script, console = shell("train.py", "--help"), shell("-m", "fusemix", "train", "--help")
    assert script.returncode == console.returncode == 0
    assert script.stdout == console.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_every_setting_with_its_meaning(command):
    schema = getattr(config, COMMANDS[command].schema)
    text = help_text(command)
    for field in dataclasses.fields(schema):
        assert f"  {field.name}" in text
        assert field_texts(schema)[field.name][:60] in text.replace("\n      ", " ")


def test_help_shows_defaults_also_of_nested_settings_and_says_what_is_required():
    text = help_text("train")
    assert "  train: path (required)\n" in text
    assert "  adapter.name: str = residual_mlp\n" in text
    assert "  optim.lr: float = 0.001\n" in text
    assert "  ks: list[int] = [1, 5, 10]\n" in help_text("eval_retrieval")
    assert "  dataset.name: str (required)\n" in help_text("cache_features")
    assert "  also: dict[str, SetConfig] = {}\n" in text
    assert "  also.NAME.weight: float = 1.0\n      Passes over it while" in text


def test_the_overview_lists_every_command(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fusemix"])
    cli.run()
    printed = capsys.readouterr().out
    assert all(name in printed for name in COMMANDS)


def test_the_version_is_the_packages(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fusemix", "--version"])
    cli.run()
    assert capsys.readouterr().out == f"fusemix {__version__}\n"


def test_an_unknown_command_is_answered_with_the_nearest(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fusemix", "eval-retreival"])
    with pytest.raises(SystemExit, match="2"):
        cli.run()
    assert "there is no command 'eval-retreival'. Did you mean 'eval_retrieval'?" in capsys.readouterr().err


def test_an_interrupt_ends_with_a_line_that_says_how_to_go_on(capsys, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(called, "run_command", lambda command, words: interrupted(words))
    with pytest.raises(SystemExit, match="130"):
        cli.run("train")
    assert capsys.readouterr().err == (
        "fusemix: interrupted; the same command goes on from the last epoch that was finished\n"
    )


def run_into(error, monkeypatch, command="train"):
    def main(_):
        raise error

    monkeypatch.setattr(called, "run_command", lambda name, words: main(words))
    monkeypatch.setattr(sys, "argv", ["fusemix"])
    with pytest.raises(SystemExit) as ended:
        cli.run(command)
    return ended.value.code


NUMBERS = [name for name in sorted(errno.errorcode.values()) if name not in ("EINTR", "EPIPE", "EWOULDBLOCK")]


@pytest.mark.parametrize("name", NUMBERS)
def test_every_error_of_the_system_is_one_line_that_names_the_file(name, capsys, monkeypatch):
    number = getattr(errno, name)
    assert run_into(OSError(number, os.strerror(number), "runs/x/config.yaml"), monkeypatch) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"fusemix: runs/x/config.yaml: {os.strerror(number)}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", ["ENOENT", "EACCES", "EROFS", "ENOTDIR", "EISDIR", "EMFILE", "ENAMETOOLONG", "ESTALE"])
def test_an_error_of_the_system_says_how_to_mend_it(name, capsys, monkeypatch):
    number = getattr(errno, name)
    run_into(OSError(number, os.strerror(number)), monkeypatch)
    said = capsys.readouterr().err.removeprefix(f"fusemix: {os.strerror(number)}. ")
    assert len(said.split()) >= 3


def test_a_full_disk_promises_to_go_on_only_where_that_is_so(capsys, monkeypatch):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/report.json")
    run_into(full, monkeypatch, "index")
    assert "Make room; the same command goes on where it stopped\n" in capsys.readouterr().err
    run_into(full, monkeypatch, "eval_retrieval")
    assert capsys.readouterr().err.endswith("Make room. Then give the same command again.\n")
    run_into(KeyboardInterrupt(), monkeypatch, "search")
    assert capsys.readouterr().err == "fusemix: interrupted\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_command_in_order_and_its_lock_is_given_back(tmp_path, capsys, monkeypatch, number, code):
    def main(arguments):
        with one_writer(tmp_path / "out", doing="train"):
            signal.raise_signal(number)

    monkeypatch.setattr(called, "run_command", lambda name, words: main(words))
    monkeypatch.setattr(sys, "argv", ["fusemix"])
    before = signal.signal(number, signal.SIG_DFL)  # under nohup the tests themselves ignore one
    with pytest.raises(SystemExit) as ended:
        cli.run("train")
    assert ended.value.code == code
    assert capsys.readouterr().err.startswith(
        f"fusemix: ended by {number.name}; the same command goes on from the last"
    )
    assert list(tmp_path.iterdir()) == []
    assert signal.signal(number, before) is signal.SIG_DFL


def test_an_exit_that_a_library_makes_of_ctrl_c_is_told_as_that(capsys, monkeypatch):
    def main(arguments):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)

    monkeypatch.setattr(called, "run_command", lambda name, words: main(words))
    monkeypatch.setattr(sys, "argv", ["fusemix"])
    with pytest.raises(SystemExit) as ended:
        cli.run("train")
    assert ended.value.code == 130
    assert capsys.readouterr().err.startswith("fusemix: interrupted; the same command goes on from the last epoch")


def test_an_error_that_is_none_of_the_systems_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(called, "run_command", lambda name, words: int(words))
    monkeypatch.setattr(sys, "argv", ["fusemix"])
    with pytest.raises(TypeError):
        cli.run("train")


def test_doctor_reports_every_finding_and_survives_what_is_missing(capsys):

    findings = run_command("doctor", [])
    assert findings["torch"] == importlib.metadata.version("torch")
    assert {"cpu", "faiss", "faiss on GPU", "soundfile", "hub", "disk"} <= findings.keys()
    assert findings["faiss on GPU"].startswith(("yes", "no: "))
    assert "fusemix doctor" in capsys.readouterr().out


def test_doctor_takes_no_settings():
    done = shell("-m", "fusemix", "doctor", "please")
    assert (done.returncode, done.stderr) == (2, "fusemix: this command takes no settings, but was given: please\n")
