"""Which files of an encoder's folder travel with it, and nothing of this machine in them.

Place in the flow: folder or file of an encoder -> Parcel: what is copied, and what is left behind -> the export.
What a family needs travels, and what says its licence; checkpoints of training, notes, code and what links lead to
elsewhere stay.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from fusemix.disk.files import lies_within, write_json

ALWAYS = ("README.md", "LICENSE*", "LICENCE*", "NOTICE*", "COPYING*")
WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
PICKLED = ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json")
"""Taken only where there are no others; whoever loads them unpacks tensors alone."""
TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "normalizer.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
    *("source.spm", "target.spm", "*.tiktoken", "chat_template.jinja"),
)
STATED = ("modules.json", "config_sentence_transformers.json", "sentence_*_config.json", "router_config.json")
OF_MODULES = tuple(f"[0-9]*_*/{name}" for name in ("config.json", *WEIGHTS, *PICKLED, *TOKENIZER, "*_config.json"))
"""Modules of sentence-transformers, each in a folder of its own."""
TRANSFORMERS = ("config.json", "preprocessor_config.json", "processor_config.json", *WEIGHTS, *PICKLED, *TOKENIZER)
OPEN_CLIP = tuple(f"open_clip_{kind}" for kind in ("model.safetensors", "pytorch_model.safetensors"))
FAMILIES = {
    "open_clip_image": ("open_clip_config.json", *OPEN_CLIP, "open_clip_pytorch_model.bin", *TRANSFORMERS),
    "open_clip_text": ("open_clip_config.json", *OPEN_CLIP, "open_clip_pytorch_model.bin", *TRANSFORMERS),
    "sentence_transformers": (*TRANSFORMERS, *STATED, *OF_MODULES),
    "timm": ("config.json", *WEIGHTS, *PICKLED),
    "transformers_audio": TRANSFORMERS,
    "transformers_image": TRANSFORMERS,
    "transformers_text": (*TRANSFORMERS, *STATED, "*_Pooling/config.json"),
}
OF_ONES_OWN = ("*.safetensors", "*.npz", "*.npy", "*config.json", *TRANSFORMERS)
"""Of a factory that is not fusemix's: nobody else knows what it reads."""
PLACES = ("_name_or_path", "name_or_path")
"""Settings that say where a model was loaded from."""
NO_PLACE = ("content", "prompt", "prompts")
"""Settings whose words may begin like a path and are none."""


@dataclass(frozen=True)
class Parcel:
    """What of an encoder travels.

    Attributes:
        root: a folder, or one file.
        files: relative to it; of one file nothing.
        left: what stays behind, with its size or why.
    """

    root: Path
    files: tuple[str, ...]
    left: tuple[str, ...]


def parcel_of(root: Path, families: Iterable[str]) -> Parcel:
    """Choose what of an encoder travels.

    Args:
        root: its folder, or a file of weights that it names.
        families: names of the factories that are to build encoders from it.
    """
    if root.is_file():
        return Parcel(root, (), ())
    wanted = {*ALWAYS, *chain.from_iterable(FAMILIES.get(family, OF_ONES_OWN) for family in families)}
    files, left = [], []
    for path in _files_below(root):
        name = path.relative_to(root).as_posix()
        if not lies_within(path, root):
            left.append(f"{name} (a link out of the folder)")
        elif any(_fits(name, pattern) for pattern in wanted):
            files.append(name)
        else:
            left.append(f"{name} ({path.stat().st_size:,} bytes)")
    if any(PurePosixPath(name).suffix == ".safetensors" for name in files):
        pickled = [name for name in files if name.endswith((".bin", ".bin.index.json"))]
        left += [f"{name} (the same as safetensors is there)" for name in pickled]
        files = [name for name in files if name not in pickled]
    return Parcel(root, tuple(files), tuple(left))


def _files_below(folder: Path) -> Iterator[Path]:
    """Files, hidden ones and links included; a link to a folder is not gone into."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            if not path.name.startswith(".") and path.name != "__pycache__":
                yield from _files_below(path)
        elif path.is_file() or path.is_symlink():
            yield path


def _fits(name: str, pattern: str) -> bool:
    """Whether a name is one that is wanted, in the folder that is meant."""
    return name.count("/") == pattern.count("/") and fnmatch(name, pattern)


def send(parcel: Parcel, target: Path) -> None:
    """Copy what travels.

    Args:
        parcel: what.
        target: where the folder or file is to lie.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not parcel.root.is_dir():
        shutil.copyfile(parcel.root, target)
        return
    target.mkdir()
    for name in parcel.files:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        found = _as_config(parcel.root / name)
        if found is not None and (cleared := without_places(found)) != found:
            write_json(place, cleared)
        else:
            shutil.copyfile(parcel.root / name, place)


def _as_config(path: Path) -> Any:
    if path.suffix != ".json" or path.name in ("tokenizer.json", "vocab.json", "added_tokens.json"):
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None


def without_places(value: Any) -> Any:
    """A config without what says where on a machine something lay."""
    if isinstance(value, dict):
        return {key: without_places(one) for key, one in value.items() if not _is_place(key, one)}
    return [without_places(one) for one in value] if isinstance(value, list) else value


def _is_place(key: str, value: Any) -> bool:
    if key in PLACES:
        return True
    is_path = isinstance(value, str) and (Path(value).is_absolute() or value.startswith(("~/", "file://")))
    return is_path and value.count("/") > 1 and key not in NO_PLACE
