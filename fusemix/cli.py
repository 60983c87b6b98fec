"""The console command, and how errors are shown.

    fusemix <command> [config.yaml …] [key=value …]

Place in the flow: the shell -> a command's main -> an exit code. 0: done; 2: something to mend, said
in one message without a traceback; 130: interrupted; 143: ended by
SIGTERM, as SLURM sends it.
"""

import errno
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import dropwhile, takewhile
from typing import Any

from fusemix import __version__, config
from fusemix.build.parts import PARTS
from fusemix.commands import COMMANDS
from fusemix.config import load_config
from fusemix.errors import FULL, ConfigError, FusemixError, sentence_of
from fusemix.help import help_text, overview
from fusemix.registry import nearest
from fusemix.visible import visible

GO_ON = ("cache_features", "train", "index", "export_embeddings", "import")
"""Commands that keep what is finished, and go on from there."""
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""What SLURM sends, and a terminal that is closed."""


def run(command: str | None = None) -> None:
    """Run a command with the arguments of this process, and exit.

    Args:
        command: name in COMMANDS; None takes it from the first argument.
    """
    arguments = sys.argv[1:]
    _write_whatever_is_said()
    try:
        if command is None:
            command, arguments = _named_command(arguments)
        if command is None:
            return
        options = list(takewhile(lambda argument: argument != "--", arguments))
        if {"-h", "--help"} & set(options):
            print(help_text(command, _behind_help(options)))  # noqa: T201
            return
        with _ending_in_order(command):
            _main_of(command)(arguments)
    except FusemixError as error:
        _say(str(error), error)
        raise SystemExit(2) from None
    except OSError as error:
        if error.errno == errno.EPIPE and error.filename is None:  # who reads what is printed has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(141) from None
        if error.errno is None:  # no word of the operating system's
            raise
        _say(_of_system(error, command), error)
        raise SystemExit(2) from None
    except (KeyboardInterrupt, SystemExit) as error:
        how, code = _ended_by(error)
        if how:
            print(f"fusemix: {how}{GOES_ON if command in GO_ON else ''}", file=sys.stderr)  # noqa: T201
        raise SystemExit(code) from None


class Terminated(SystemExit):
    """A signal ends this process; as after Ctrl-C, what is open is closed, and locks are given back."""


def _ended_by(error: KeyboardInterrupt | SystemExit) -> tuple[str, Any]:
    """What to say, where a signal was it, and the exit code."""
    if isinstance(error, Terminated):
        return f"ended by {signal.Signals(int(str(error.code)) - 128).name}", error.code
    # Lightning makes an exit of Ctrl-C.
    if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
        return "interrupted", 130
    return "", error.code


@contextmanager
def _ending_in_order(command: str) -> Iterator[None]:
    """Let the first signal that is to end a command do so like Ctrl-C; the second ends it at once."""
    process, taken = os.getpid(), []

    def end(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() == process:
            raise Terminated(128 + number)
        os.kill(os.getpid(), number)  # a child that was forked

    # A server has its own way; and what somebody else has chosen, such as nohup, stays as it is.
    if command != "serve" and threading.current_thread() is threading.main_thread():
        taken = [number for number in ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _write_whatever_is_said() -> None:
    """What a terminal cannot write is no reason to stop."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


GOES_ON = "; the same command goes on where it stopped"


def _of_system(error: OSError, command: str | None) -> str:
    text = sentence_of(error)
    if error.errno not in FULL:
        return text
    return f"{text.removesuffix('.')}{GOES_ON}" if command in GO_ON else f"{text} Then give the same command again."


def _say(text: str, error: Exception) -> None:
    """One message; a process among others has said it where it happened."""
    if not getattr(error, "was_told", False):
        print(visible(f"fusemix: {text}"), file=sys.stderr)  # noqa: T201


def _named_command(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())  # noqa: T201
        return None, []
    if arguments[0] == "--version":
        print(f"fusemix {__version__}")  # noqa: T201
        return None, []
    command = arguments[0].replace("-", "_")
    if command not in COMMANDS:
        raise ConfigError(f"there is no command {arguments[0]!r}.{_meant(command)} Commands: {', '.join(COMMANDS)}.")
    return command, list(arguments[1:])


def _meant(command: str) -> str:
    """A sentence that names the commands that begin so, or have such a word in them; or else the nearest."""
    words = set(command.split("_"))
    begun = [name for name in COMMANDS if command and name.startswith(command)]
    found = begun or [name for name in COMMANDS if words <= set(name.split("_"))]
    return f" Did you mean {' or '.join(map(repr, found))}?" if found else nearest(command, list(COMMANDS))


def _behind_help(arguments: Sequence[str]) -> list[str]:
    """Words behind `--help`, which say what is asked about."""
    behind = list(dropwhile(lambda argument: argument not in ("-h", "--help"), arguments))[1:]
    return [word for word in behind if re.fullmatch(r"\w+", word)]


def _main_of(command: str) -> Callable[[Sequence[str]], Any]:
    def main(arguments: Sequence[str]) -> Any:
        # What a command imports takes seconds; what is wrong with its settings is said before.
        load_config(getattr(config, COMMANDS[command].schema), arguments, parts=PARTS)
        module = "import_latents" if command == "import" else command  # `import` is a word of Python's own
        return import_module(f"fusemix.commands.{module}").main(arguments)

    return main
