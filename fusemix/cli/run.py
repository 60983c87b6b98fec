"""The console command, and how errors are shown.

    fusemix <command> [config.yaml …] [key=value …]

Place in the flow: the shell -> called.py -> a command's main -> an exit code. 0: done; 2: something to fix, said
in one message without a traceback; 1: the same of jobs of a study, whose others are done; 130: interrupted; 143: ended
by SIGTERM, as SLURM sends it.

What is imported here is light: whoever types Ctrl-C in the first moment is heard.
"""

import errno
import io
import os
import sys
from importlib import import_module
from typing import NoReturn

from fusemix.cli.ending import GOES_ON, Interrupts, ended_by, ending_in_order, heeding_ctrl_c, told
from fusemix.errors import FULL, FusemixError, sentence_of
from fusemix.machine.openmp import wait_without_spinning
from fusemix.urls import without_secrets
from fusemix.visible import visible

GO_ON = ("cache_features", "train", "index", "export_embeddings", "import", "study")
"""Commands that keep what is finished, and go on from there."""


def run(command: str | None = None) -> None:
    """Run a command with the arguments of this process, and exit.

    Args:
        command: its name; None takes it from the first argument.
    """
    with heeding_ctrl_c(command or next(iter(sys.argv[1:]), "").replace("-", "_")) as interrupts:
        _run(command, interrupts)


def _run(command: str | None, interrupts: Interrupts) -> None:
    arguments = sys.argv[1:]
    try:
        _write_whatever_is_said()
        wait_without_spinning()
        called = import_module("fusemix.cli.called")
        if command is None:
            command, arguments = called.named_command(arguments)
        if command is not None:
            with ending_in_order(command):
                called.call(command, arguments)
    except interrupts.anything() as error:
        _end(error, interrupts, command)
    except FusemixError as error:
        _say(str(error), error)
        raise SystemExit(error.exit_code) from None
    except OSError as error:
        if error.errno == errno.EPIPE and error.filename is None:  # who reads what is printed has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(141) from None
        if error.errno is None:  # no word of the operating system's
            raise
        _say(_of_system(error, command), error)
        raise SystemExit(2) from None
    except (KeyboardInterrupt, SystemExit) as error:
        _end(error, interrupts, command)


def _end(error: BaseException, interrupts: Interrupts, command: str | None) -> NoReturn:
    how, code = ended_by(error, interrupts)
    if how:
        print(f"fusemix: {told(how, command)}", file=sys.stderr)  # noqa: T201
    raise SystemExit(code) from None


def _write_whatever_is_said() -> None:
    """What a terminal cannot write is no reason to stop."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _of_system(error: OSError, command: str | None) -> str:
    text = sentence_of(error)
    if error.errno not in FULL:
        return text
    return f"{text.removesuffix('.')}; {GOES_ON}" if command in GO_ON else f"{text} Then give the same command again."


def _say(text: str, error: Exception) -> None:
    """One message; a process among others has said it where it happened."""
    if not getattr(error, "was_told", False):
        print(visible(f"fusemix: {without_secrets(text)}"), file=sys.stderr)  # noqa: T201
