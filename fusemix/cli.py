"""The console command, and how errors are shown.

    fusemix <command> [config.yaml …] [key=value …]

Place in the flow: the shell -> a command's main -> an exit code. 0: done; 2: something to mend, said
in one message without a traceback; 130: interrupted; 143: ended by
SIGTERM, as SLURM sends it.
"""

import ast
import dataclasses
import errno
import inspect
import io
import os
import re
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple, get_args

from fusemix import __version__
from fusemix.errors import FULL, ConfigError, FusemixError, sentence_of
from fusemix.registry import nearest
from fusemix.visible import visible

GO_ON = ("cache_features", "train", "index", "export_embeddings", "import")
"""Commands that keep what is finished, and go on from there."""
MODULES = re.compile(r"\b(?:\w+\.)+")
"""What stands before a type's own name."""
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""What SLURM sends, and a terminal that is closed."""
SETTINGS = "[config.yaml …] [key=value …]"


class Command(NamedTuple):
    """What a command does, how it is called, and the name of its settings in `fusemix.config`."""

    about: str
    schema: str | None = None
    usage: str = SETTINGS


COMMANDS = {
    "cache_features": Command("run frozen encoders once over a data set", "CacheConfig"),
    "train": Command("train adapters on cached latents", "TrainConfig"),
    "eval_retrieval": Command("measure retrieval with a trained run", "EvalConfig"),
    "eval_zero_shot": Command("classify items by prompts of their classes", "ZeroShotConfig"),
    "index": Command("embed a folder or a latent set, so that it can be searched; or add to an index", "IndexConfig"),
    "search": Command("search an index by text, picture or sound", "SearchConfig", '"a dog …" --index FOLDER'),
    "serve": Command("search an index in the browser, and from programs", "ServeConfig", "--index FOLDER"),
    "compare": Command("put runs side by side, with p-values", usage="REPORT REPORT … [out=FOLDER]"),
    "report": Command("print reports as one table for a paper", usage="[--format latex|markdown] REPORT …"),
    "check": Command("load what a caching run needs and estimate what it takes, without starting it", "CacheConfig"),
    "verify": Command("read latents, an index or a model back and compare every file with its hash", usage="FOLDER …"),
    "info": Command("say what a folder of fusemix's is, what made it, and what is in it", usage="FOLDER …"),
    "export": Command("write a trained model as a folder that travels", "ModelExportConfig"),
    "export_embeddings": Command("write a latent set in clip-retrieval's layout", "ExportConfig"),
    "import": Command("take latents that you already have into a sealed store", "ImportConfig"),
    "doctor": Command("say which packages, devices and back ends are usable here", usage=""),
}


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
        if {"-h", "--help"} & set(arguments):
            print(help_text(command))  # noqa: T201
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
        near = nearest(command, list(COMMANDS))
        raise ConfigError(f"there is no command {arguments[0]!r}.{near} Commands: {', '.join(COMMANDS)}.")
    return command, list(arguments[1:])


def _main_of(command: str) -> Callable[[Sequence[str]], Any]:
    module = "import_latents" if command == "import" else command  # `import` is a word of Python's own
    return import_module(f"fusemix.commands.{module}").main


def overview() -> str:
    """What `fusemix --help` prints."""
    lines = [f"  {name:<19}{command.about}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            f"fusemix {__version__}: align frozen encoders in one space",
            "",
            f"fusemix <command> {SETTINGS}",
            "",
            *lines,
            "",
            "fusemix <command> --help lists all settings of a command.",
        ]
    )


def help_text(command: str) -> str:
    """What `fusemix <command> --help` prints: every setting, its type, default and meaning."""
    about, schema, usage = COMMANDS[command]
    lines = [f"fusemix {' '.join(filter(None, [command, usage]))}: {about}", ""]
    if schema:
        config = import_module("fusemix.config")
        lines += _settings(getattr(config, schema), "")
    return "\n".join(lines)


def _settings(schema: type, prefix: str, given: object = None) -> list[str]:
    texts = field_texts(schema)
    lines = []
    for field in dataclasses.fields(schema):
        name = f"{prefix}{field.name}"
        default = getattr(given, field.name) if given is not None else _default(field)
        if dataclasses.is_dataclass(field.type) and isinstance(field.type, type):
            instance = None if default is dataclasses.MISSING else default
            lines += [f"  {name}.*: {texts[field.name]}", *_settings(field.type, f"{name}.", instance)]
            continue
        kind = field.type.__name__ if type(field.type) is type else MODULES.sub("", str(field.type))
        lines.append(f"  {name}: {kind}{' (required)' if default is dataclasses.MISSING else f' = {default}'}")
        lines += textwrap.wrap(texts[field.name], 100, initial_indent="      ", subsequent_indent="      ")
        of_each = next((kind for kind in get_args(field.type) if dataclasses.is_dataclass(kind)), None)
        if isinstance(of_each, type):
            lines += _settings(of_each, f"{name}.NAME.")
    return lines


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def field_texts(schema: type) -> dict[str, str]:
    """The text under each field of a dataclass, out of its source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(schema))).body[0]
    assert isinstance(body, ast.ClassDef)
    texts = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            value = following.value if isinstance(following, ast.Expr) else None
            texts[statement.target.id] = " ".join(str(value.value).split()) if isinstance(value, ast.Constant) else ""
    return texts
