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
import sys
import textwrap
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, NoReturn, get_args

from fusemix import __version__
from fusemix.ending import GOES_ON, Interrupts, ended_by, ending_in_order, heeding_ctrl_c, told
from fusemix.errors import FULL, ConfigError, FusemixError, sentence_of
from fusemix.openmp import wait_without_spinning
from fusemix.visible import visible

GO_ON = ("cache_features", "train", "index", "export_embeddings", "import")
"""Commands that keep what is finished, and go on from there."""
MODULES = re.compile(r"\b(?:\w+\.)+")
"""What stands before a type's own name."""
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
    "verify": Command("read latents or an index back and compare every file with its hash", usage="FOLDER …"),
    "info": Command("say what made a latent set or store, and what is in it", usage="FOLDER …"),
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
    with heeding_ctrl_c(command or next(iter(sys.argv[1:]), "").replace("-", "_")) as interrupts:
        _run(command, interrupts)


def _run(command: str | None, interrupts: Interrupts) -> None:
    arguments = sys.argv[1:]
    try:
        _write_whatever_is_said()
        wait_without_spinning()
        if command is None:
            command, arguments = _named_command(arguments)
        if command is None:
            return
        if {"-h", "--help"} & set(arguments):
            print(help_text(command))  # noqa: T201
            return
        with ending_in_order(command):
            _main_of(command)(arguments)
    except interrupts.anything() as error:
        _end(error, interrupts, command)
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
        near = import_module("fusemix.registry").nearest(command, list(COMMANDS))
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
