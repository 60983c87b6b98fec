"""Which command is called, and with what: help, a name that is nearly right, settings, and then the command itself.

Place in the flow: words of the command line -> load_config -> fusemix/commands/<command>.py.

What a command imports takes seconds; what is wrong with its settings is said before.
"""

import re
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import dropwhile, takewhile
from typing import Any

from fusemix import __version__, config
from fusemix.cli.for_studies import settings_for
from fusemix.cli.help import help_text, overview
from fusemix.cli.loading import files_among, makes, told_by_words
from fusemix.cli.parts import PARTS
from fusemix.cli.table import COMMANDS
from fusemix.cli.unread import go_on_unread
from fusemix.errors import ConfigError
from fusemix.parts.registry import nearest

PRINTING = ("check", "report", "info", "doctor", "search", "completion")
"""Commands whose work is what they print: it ends where nobody reads it."""


def named_command(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """The command that the first argument names, and the others; None where all is said already.

    Raises:
        ConfigError: there is no such command.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview(), flush=True)  # noqa: T201
        return None, []
    if arguments[0] == "--version":
        print(f"fusemix {__version__}")  # noqa: T201
        return None, []
    command = arguments[0].replace("-", "_")
    if command not in COMMANDS:
        raise ConfigError(f"there is no command {arguments[0]!r}.{_meant(command)} Commands: {', '.join(COMMANDS)}.")
    return command, list(arguments[1:])


def call(command: str, arguments: Sequence[str]) -> None:
    """Print a command's help, or run it.

    Raises:
        FusemixError: what the command raises; first of all where its settings are wrong.
    """
    options = list(takewhile(lambda argument: argument != "--", arguments))
    if {"-h", "--help"} & set(options):
        print(help_text(command, _behind_help(options)), flush=True)  # noqa: T201
        return
    if command not in PRINTING:
        go_on_unread()
    run_command(command, arguments)
    if sys.stdout:
        sys.stdout.flush()


def run_command(command: str, arguments: Sequence[str]) -> Any:
    """Read a command's settings, run it, and return what it returns.

    Raises:
        FusemixError: what the command raises; first of all where its settings are wrong.
    """
    entry = COMMANDS[command]
    schema = getattr(config, entry.schema)
    by_recipe = makes(schema, told_by_words(schema, arguments), PARTS, " ".join(arguments) or schema.__name__)
    settings = by_recipe()
    main = import_module(entry.module or f"fusemix.commands.{command}").main
    told = {
        "words": arguments,
        "read": files_among(schema, arguments, settings),
        "by_recipe": by_recipe,
        "settings_for": settings_for,
    }
    return main(settings, **{name: told[name] for name in entry.told})


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
