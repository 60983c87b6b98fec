"""Code that data names is never run unasked, and never out of the working folder.

Place in the flow: an export, index, run or latent set names a part -> `require_trust` -> Registry, in `named_by_data`.
Not here: which names are our own (Registry.is_own, models/recipes.py), and code within a model's files
(encoders/looked_over.py). Names that a user writes into the settings of a command are free, and are remembered
(own_code.py).
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from threading import Lock
from types import ModuleType

from fusemix.errors import UntrustedCodeError
from fusemix.parts.own_code import is_known, remember

_named_by_data: ContextVar[bool] = ContextVar("named_by_data", default=False)
_path_changes = Lock()


def require_trust(where: str, runs: Sequence[str], trust_code: bool) -> None:
    """Ask before code runs that came with data, or that data names.

    Args:
        where: what names it, for the message.
        runs: what would run, in words; nothing where all of it is our own.
        trust_code: whether the user has said that it may.

    Raises:
        UntrustedCodeError: something would run, and the user has not said so.
    """
    runs = unknown(runs)
    if runs and not trust_code:
        raise UntrustedCodeError(
            f"{where} names {'; '.join(runs)}, which runs code that is not fusemix's own. Nothing of it was run. Look "
            "at that code first; if you trust it, say trust_code=true"
        )


def unknown(runs: Sequence[str]) -> list[str]:
    """What of it the user's own settings have never named; in words, as for `require_trust`."""
    return [words for words in runs if not is_known(words.removeprefix("model="))]


@contextmanager
def named_by_data() -> Iterator[None]:
    """Parts that are built within were named by data, so that nothing is imported from the working folder for them."""
    token = _named_by_data.set(True)
    try:
        yield
    finally:
        _named_by_data.reset(token)


def is_named_by_data() -> bool:
    """Whether what is built just now was named by data."""
    return _named_by_data.get()


def imported(name: str, *, is_own: bool) -> ModuleType:
    """The module of `module:callable`; a user may also mean one in the folder that the command was started in.

    Args:
        name: of the part.
        is_own: whether fusemix knows it by itself.

    Raises:
        Exception: whatever importing it raises.
    """
    module = name.partition(":")[0]
    if is_named_by_data() and not is_known(name):
        with _path_changes, _without_working_folder():
            return import_module(module)
    if not is_own and "" not in sys.path:  # a console script does not see that folder; `python x.py` does
        sys.path.append("")
    found = import_module(module)
    if not is_own and not is_named_by_data():
        remember(name)
    return found


@contextmanager
def _without_working_folder() -> Iterator[None]:
    before, here = sys.path[:], os.path.realpath(os.curdir)
    sys.path[:] = [entry for entry in before if os.path.realpath(entry or os.curdir) != here]
    try:
        yield
    finally:
        sys.path[:] = before
