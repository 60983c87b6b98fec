"""Whether a model's own files would run code: its configs are read before a library is.

Place in the flow: a folder or a name on the hub -> looked over -> the library that loads it.
Not here: code that a user asks for (`trust_remote_code`), and names of parts in exports and runs (parts/trust.py).

Libraries hand settings of these files on to one another, and some let a file switch on what only its user may:
open_clip gives `tokenizer_kwargs` to transformers (mlfoundations/open_clip#1146), sentence-transformers `model_args`.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fusemix.encoders import HUB_PREFIXES
from fusemix.errors import EncoderError

NO_CONFIGS = ("tokenizer.json", "vocab.json", "added_tokens.json", "*.index.json")
"""Words and tables of weights, some of them large, which no library takes settings from."""
MODULE_FILES = ("modules.json", "router_config.json")
"""Of sentence-transformers: they name the classes that are built."""
OWN_MODULE = re.compile(r"sentence_transformers(\.[a-z_0-9]+)*\.[A-Z]\w*")
OWN_CLASS = re.compile(r"(torch\.nn|sentence_transformers)\.[\w.]+")
CLASSES = ("activation_function", "tokenizer_class")
"""Settings that name a class, where they hold a dot: of which module."""


def look_over(model: str, revision: str | None = None) -> None:
    """Refuse a model whose files ask for code to be run.

    Args:
        model: folder, or name on the hub as the library takes it; names of a library's own models pass.
        revision: on the hub.

    Raises:
        EncoderError: they do.
        OSError, ValueError: the hub does not give them.
    """
    folder = Path(model) if Path(model).is_dir() else _from_hub(model, revision)
    if folder is None:
        return
    for path in sorted(folder.rglob("*.json")):
        if any(path.match(name) for name in NO_CONFIGS) or not path.is_file():
            continue
        for found in asking(path.name, _content(path)):
            raise EncoderError(
                f"{model}: its {path.relative_to(folder)} says {found}, which would run code or unpack objects that "
                "came with the model. Nothing of it was run. Take another copy, or delete that line if it is of no use."
            )


def _from_hub(model: str, revision: str | None) -> Path | None:
    from huggingface_hub import snapshot_download

    for prefix in HUB_PREFIXES:
        if model.startswith(prefix):
            model, _, at = model.removeprefix(prefix).partition("@")
            revision = revision or at or None
    if model.count("/") != 1 or Path(model).exists():
        return None
    return Path(snapshot_download(model, revision=revision, allow_patterns=["*.json"], library_name="fusemix"))


def _content(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # no library can read it either
        return None


def asking(name: str, content: Any) -> Iterator[str]:
    """Settings of a file that ask for code, as `key: value`.

    Args:
        name: of the file.
        content: as JSON holds it, however nested.
    """
    waiting = [("", content)]
    while waiting:
        above, value = waiting.pop()
        if not isinstance(value, dict | list):
            continue
        pairs = value.items() if isinstance(value, dict) else [(above, one) for one in value]
        for key, inner in pairs:
            if _asks(name, above, str(key), inner):
                yield f"{key}: {json.dumps(inner)[:80]}"
            waiting.append((str(key), inner))


def _asks(file: str, above: str, key: str, value: Any) -> bool:
    setting = key.lower().replace("-", "_").strip("_")
    if setting == "trust_remote_code":
        return value not in (None, False)
    if setting == "weights_only":
        return value is not True
    if setting == "use_kernels" or setting.endswith("attn_implementation") or above.endswith("attn_implementation"):
        return value is True or (isinstance(value, str) and "/" in value)  # a kernel of the hub
    if not isinstance(value, str):
        return False
    if file in MODULE_FILES and (setting == "type" or above == "types"):
        return not OWN_MODULE.fullmatch(value)
    return setting in CLASSES and "." in value and not OWN_CLASS.fullmatch(value)


@contextmanager
def nobody_is_asked() -> Iterator[None]:
    """Let transformers refuse code of a repository where it would ask at the terminal, as it does behind open_clip."""
    from transformers import dynamic_module_utils as asks

    before = asks.TIME_OUT_REMOTE_CODE
    asks.TIME_OUT_REMOTE_CODE = 0
    try:
        yield
    finally:
        asks.TIME_OUT_REMOTE_CODE = before
