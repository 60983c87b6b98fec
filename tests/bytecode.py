"""Bytecode of other packages is read from where it lies, also while a module of fusemix is being imported.

jaxtyping marks the bytecode of what it instruments by a name of its own. The name holds for all that is imported before
such a module ends, torch and Lightning included: thousands of files would be compiled again in each process of tests.
"""

from importlib.util import cache_from_source
from pathlib import Path

from jaxtyping import _import_hook

PACKAGE = str(Path(__file__).parents[1] / "fusemix")
_marked = _import_hook._optimized_cache_from_source


def _of_ours_alone(checker: str, path: str, debug_override: bool | None = None) -> str:
    return _marked(checker, path, debug_override) if path.startswith(PACKAGE) else cache_from_source(path)


_import_hook._optimized_cache_from_source = _of_ours_alone
