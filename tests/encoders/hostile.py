"""Models of every family that try to run code when they are loaded; all they would do is to make a folder."""

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch

MODELS = {
    "open_clip_image": ("open_clip", "open_clip_pytorch_model.bin"),
    "open_clip_text": ("open_clip", "open_clip_pytorch_model.bin"),
    "sentence_transformers": ("sentence", "pytorch_model.bin"),
    "timm": ("timm_vit", "pytorch_model.bin"),
    "transformers_audio": ("wavlm", "pytorch_model.bin"),
    "transformers_image": ("vit", "pytorch_model.bin"),
    "transformers_text": ("bert", "pytorch_model.bin"),
}
"""Family -> a tiny model, and under which name its library looks for pickled weights."""
CODE = """
import os
os.mkdir({marker!r})
from transformers import BertConfig, BertModel, BertTokenizer, ViTImageProcessor, Wav2Vec2FeatureExtractor
class Config(BertConfig): pass
class Model(BertModel): pass
class Tokenizer(BertTokenizer): pass
class Processor(ViTImageProcessor): pass
class Extractor(Wav2Vec2FeatureExtractor): pass
"""
AUTO_MAP = {
    "AutoConfig": "evil.Config",
    "AutoModel": "evil.Model",
    "AutoTokenizer": ["evil.Tokenizer", None],
    "AutoImageProcessor": "evil.Processor",
    "AutoFeatureExtractor": "evil.Extractor",
}


class Unpacked:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def copied(source: str, target: Path, marker: Path) -> Path:
    """A copy of a model that carries code."""
    folder = shutil.copytree(source, target)
    (folder / "evil.py").write_text(CODE.format(marker=str(marker)))
    return folder


def change(path: Path, edit) -> None:
    """Let `edit` change what a JSON file holds, in place."""
    content = json.loads(path.read_text()) if path.exists() else {}
    edit(content)
    path.write_text(json.dumps(content))


def with_auto_maps(folder: Path) -> Path:
    """Whose configs name classes of its own, under types that transformers does not know."""
    for name in ("config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json"):
        change(
            folder / name, lambda config: config.update(auto_map=AUTO_MAP, model_type="evil", tokenizer_class="Evil")
        )
    return folder


def with_pickled_weights(folder: Path, name: str, marker: Path, is_zipped: bool) -> Path:
    """Whose weights are a pickle, in a zip as torch makes one or as it is."""
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()
    weights = {"weight": Unpacked(marker)}
    if is_zipped:
        torch.save(weights, folder / name)
    else:
        (folder / name).write_bytes(pickle.dumps(weights, protocol=2))
    return folder


def everywhere(folder: Path, key: str, value: Any) -> dict[Path, str]:
    """Each config of a folder with a setting put into its deepest mapping: path -> the content as JSON."""
    found = {}
    for path in sorted(folder.rglob("*.json")):
        if path.name not in ("tokenizer.json", "vocab.json", "added_tokens.json"):
            content = json.loads(path.read_text())
            inner = content
            while isinstance(inner, dict | list) and (below := _below(inner)) is not None:
                inner = below
            if isinstance(inner, dict):
                inner["kwargs"] = [{key: value}]
            else:
                inner.append({key: value})
            found[path] = json.dumps(content)
    return found


def _below(value: dict | list) -> dict | list | None:
    values = value.values() if isinstance(value, dict) else value
    return next((one for one in values if isinstance(one, dict | list)), None)
