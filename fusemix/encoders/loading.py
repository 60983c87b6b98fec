"""What the families share: naming weights, devices and versions, and explaining why a model did not load.

Place in the flow: an encoder's factory -> a frozen module and its fingerprint.
"""

import hashlib
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from pickle import UnpicklingError
from traceback import walk_tb
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from fusemix.encoders import CARRIERS, HUB_PREFIXES
from fusemix.errors import EncoderError, first_line
from fusemix.parts.extras import install, packages_of
from fusemix.parts.trust import imported

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
LOAD_ERRORS = (ImportError, OSError, ValueError, LookupError, RuntimeError, SafetensorError, UnpicklingError)
MISFIT_ERRORS = (TypeError, AttributeError, AssertionError)
"""What libraries raise on a config that does not fit its model; raised elsewhere, these are mistakes in a program."""
LIBRARIES = {"transformers", "timm", "open_clip", "sentence_transformers", "torch"}


def torch_dtype(name: str) -> torch.dtype:
    """The dtype that an encoder computes in.

    Raises:
        EncoderError: it is none of float32, bfloat16, float16.
    """
    if name not in DTYPES:
        raise EncoderError(f"dtype is {name!r}, but must be one of: {', '.join(DTYPES)}.")
    return DTYPES[name]


def freeze(module: nn.Module) -> nn.Module:
    """Evaluation mode, no gradient."""
    return module.eval().requires_grad_(False)


def weights_sha256(module: nn.Module) -> str:
    """SHA-256 over all parameters and buffers: names, dtypes, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def package_versions(*names: str) -> dict[str, str]:
    """Installed versions of packages that change the numbers."""
    return {name: version(name) for name in names}


def model_name(model: str) -> str:
    """A hub name as it is, a local folder by its own name, so that moving it changes nothing."""
    return Path(model).resolve().name if Path(model).exists() else model


@contextmanager
def explained(model: str, revision: str | None = None) -> Iterator[str]:
    """Give what a loader takes, and turn what it raises into one message that says what to do.

    Within, randomness is seeded: a library makes up weights that a checkpoint lacks (often those of a
    pooler that nobody asks), and their hash must not change from one load to the next.

    Args:
        model: hub name, local folder, or `module:attribute` of an installed package that carries a folder.
        revision: for the message.

    Yields:
        The hub name or the folder.

    Raises:
        EncoderError: the model is not there, not reachable, gated, or not of the expected kind.
    """
    folder = _folder(str(Path(model).expanduser()) if model.startswith("~") else model)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            yield folder
    except (*LOAD_ERRORS, *MISFIT_ERRORS) as error:
        if isinstance(error, MISFIT_ERRORS) and not _is_from_a_library(error):
            raise
        where = f"{model!r}" + (f" at revision {revision!r}" if revision else "")
        first = first_line(error)
        if UnpicklingError in (type(error), type(error.__cause__)):  # torch says how to unpack them nevertheless
            first = "its weights are pickled objects and not tensors alone, which could run code; they were not opened."
            advice = "Take a copy with weights in safetensors."
        elif packages := _packages_to_install(error):
            first, advice = (
                f"its files need {packages[0]}, which is not installed.",
                f"pip install {' '.join(packages)}",
            )
        elif "gated" in str(error).lower():
            advice = "It is gated: ask for access on its page, or take an open one (DINOv2, or timm's DINOv3 copies)."
        elif Path(folder).exists():
            advice = "The folder must hold a model as `save_pretrained` writes it (for timm and open_clip their own)."
        else:
            advice = "Check the name, the network and HF_HUB_OFFLINE, or give a local folder instead."
        raise EncoderError(f"the model {where} cannot be loaded: {first} {advice}") from error


def _is_from_a_library(error: Exception) -> bool:
    modules = (frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__))
    return any(name.partition(".")[0] in LIBRARIES for name in modules)


def _packages_to_install(error: Exception) -> tuple[str, ...]:
    """What a library misses to read a model's files, by its own words, with what it will miss next."""
    text = str(error).lower()
    if not isinstance(error, ImportError) and "pip install" not in text:
        return ()
    if "sentencepiece" in text or "tiktoken" in text:  # a file of sentencepiece is tried as one of tiktoken, too
        return ("sentencepiece", "protobuf", *(["tiktoken"] if "tiktoken" in text else []))
    if isinstance(error, ModuleNotFoundError) and error.name:
        return (error.name.partition(".")[0],)
    named = re.search(r"pip install ([\w\- ]+)", str(error))
    return tuple(named[1].split()) if named else ()


def _folder(model: str) -> str:
    if Path(model).exists() or model.startswith(HUB_PREFIXES):
        return model
    if ":" in model:
        attribute = model.partition(":")[2]
        try:
            return str(getattr(imported(model, is_own=model in CARRIERS), attribute))
        except (ImportError, AttributeError) as error:
            demo = install(packages_of("demo"))
            raise EncoderError(f"model is {model!r}, but {error}. For the demo: {demo}") from error
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise EncoderError(f"there is no folder {model}.")
    return model


def plain(value: Any) -> Any:
    """Settings of a processor as data that JSON can hold, in a form that does not vary between runs."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in sorted(value.items(), key=lambda pair: str(pair[0]))}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    return re.sub(r" at 0x[0-9a-fA-F]+", "", str(value))
