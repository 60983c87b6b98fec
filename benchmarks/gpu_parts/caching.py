"""Stage one on the device: encoders of random weights in both dtypes, too little memory, pictures by nvJPEG."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from gpu_parts.context import Context, judged, milliseconds

WORDS = ("a", "red", "green", "blue", "dog", "house", "runs", "near", "old", "boat", "with", "and", "small", "two")
DTYPES = ("bfloat16", "float32")
CLOSE = {"bfloat16": 0.99, "float32": 0.9999}
"""Least cosine of latents with those in float32; they are kept in float16."""
CAPTIONS = 4
SHARE = 3
"""A batch of more pieces than this does not fit: each takes so large a part of the device's memory."""


def models(context: Context) -> dict[str, Path]:
    """DINOv2-base and BERT-base with random weights; small ones for a CPU."""
    import transformers

    folder, side = context.folder / "models", 56 if context.tiny else 224
    found = {"image": folder / "dinov2", "text": folder / "bert"}
    if folder.exists():
        return found
    torch.manual_seed(0)
    small: dict[str, Any] = (
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2} if context.tiny else {}
    )
    words: dict[str, Any] = {"vocab_size": 5 + len(WORDS), **({"intermediate_size": 64} if context.tiny else {})}
    for path in found.values():
        path.mkdir(parents=True)
    dinov2 = transformers.Dinov2Config(image_size=518, patch_size=14, **small)
    transformers.Dinov2Model(dinov2).save_pretrained(found["image"])
    sizes: dict[str, Any] = {"size": {"shortest_edge": side + 32}, "crop_size": {"height": side, "width": side}}
    transformers.BitImageProcessor(**sizes).save_pretrained(found["image"])
    (found["text"] / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    transformers.BertModel(transformers.BertConfig(**small, **words)).save_pretrained(found["text"])
    transformers.BertTokenizer(str(found["text"] / "vocab.txt")).save_pretrained(found["text"])
    return found


def encoders(context: Context) -> dict[str, Any]:
    """Settings of each model in each dtype."""
    where = models(context)
    return {
        f"{modality}_{dtype}": {
            "name": f"transformers_{modality}",
            "options": {"model": str(where[modality]), "pooling": "cls", "dtype": dtype},
        }
        for modality in where
        for dtype in DTYPES
    }


def pictures(context: Context) -> tuple[Path, Path]:
    """JPEGs with four captions each, and the caption file."""
    folder, captions, count = (
        context.folder / "pictures",
        context.folder / "captions.csv",
        16 if context.tiny else 1_024,
    )
    if not captions.exists():
        folder.mkdir()
        generator = np.random.default_rng(0)
        lines = ["file,caption"]
        for number in range(count):
            coarse = Image.fromarray(generator.integers(0, 256, (24, 24, 3), dtype=np.uint8))
            coarse.resize((320, 256), Image.Resampling.BICUBIC).save(folder / f"{number:05}.jpg", quality=85)
            told = (f"{' '.join(generator.choice(WORDS, 11))} {number} {turn}" for turn in range(CAPTIONS))
            lines += [f"{number:05}.jpg,{text}" for text in told]
        captions.write_text("\n".join(lines))
    return folder, captions


def cached(context: Context, out: str, **changes: Any) -> Path:
    """The latent set that cache_features.py makes of the pictures and captions."""
    from fusemix.api import cache_features

    folder, captions = pictures(context)
    options = {"folder": str(folder), "captions": str(captions)}
    given: dict[str, Any] = {
        "dataset": {"name": "image_captions", "options": options},
        "splits": ["all"],
        "encoders": encoders(context),
        "out": context.folder / out,
        "compute": context.compute,
        "batch_size": 8 if context.tiny else 256,
        "num_workers": 0 if context.tiny else "auto",
    }
    (where,) = cache_features(**{**given, **changes})
    return where


def caching(context: Context) -> dict[str, Any]:
    """Both models in both dtypes over one reading, beside the bare encoders on batches that lie ready."""
    from fusemix.encoders import ENCODERS

    began = time.monotonic()
    where = cached(context, "cached")
    found: dict[str, Any] = {"all_sec": time.monotonic() - began}
    claims: dict[str, bool] = {}
    contents, size = contents_of(context), 8 if context.tiny else 256
    for modality, of in contents.items():
        latents = {dtype: latents_of(where, modality, f"{modality}_{dtype}") for dtype in DTYPES}
        for dtype in DTYPES:
            about = encoders(context)[f"{modality}_{dtype}"]
            encoder: Any = ENCODERS.build(about["name"], about["options"])
            encoder.to(str(context.device))
            prepared = time.monotonic()
            batch = encoder.collate(encoder.prepare(of[:size]))
            prepared = time.monotonic() - prepared
            took = milliseconds(lambda encoder=encoder, batch=batch: encoder.encode(batch), context.device)
            bare = encoder.encode(batch).float().cpu()
            figures = {
                "bare_per_sec": 1e3 * size / took,
                "prepare_ms_an_item": 1e3 * prepared / size,
                "cosine_with_bare": cosine(latents[dtype][:size], bare),
                "cosine_with_float32": cosine(latents[dtype], latents["float32"]),
            }
            found[f"{modality} {dtype}"] = figures
            claims[f"{modality} {dtype}: the cache holds what the encoder gives"] = figures["cosine_with_bare"] > 0.99
            claims[f"{modality} {dtype}: near float32"] = figures["cosine_with_float32"] > CLOSE[dtype]
    return judged(found, claims)


def contents_of(context: Context) -> dict[str, list[Any]]:
    """Pictures and captions in the order of the latent set."""
    folder, captions = pictures(context)
    files = sorted(folder.iterdir())
    texts = [line.split(",", 1)[1] for line in captions.read_text().splitlines()[1:]]
    return {"image": [Image.open(file).convert("RGB") for file in files[:256]], "text": texts}


def latents_of(where: Path, modality: str, slug: str) -> torch.Tensor:
    """All latents of a store, by numpy alone."""
    files = sorted((where / modality / slug).glob("*.npy"))
    return torch.from_numpy(np.concatenate([np.load(file) for file in files]).astype(np.float32))


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    """The least of two tables' rows."""
    return float(F.cosine_similarity(one, other).min())


def greedy(**options: Any) -> Any:
    """A text encoder that takes a large part of the device's memory for each item of a batch."""
    from fusemix.encoders import ENCODERS

    encoder: Any = ENCODERS.build("transformers_text", options)
    encode = encoder.encode

    def greedily(batch: Any) -> torch.Tensor:
        latents = encode(batch)
        if latents.device.type == "cuda":
            piece = torch.cuda.get_device_properties(latents.device).total_memory // (SHARE + 1)
            held = [torch.empty(piece, dtype=torch.uint8, device=latents.device) for _ in latents]
            del held
        elif len(latents) > SHARE:
            raise torch.OutOfMemoryError("out of memory, as it is played on a CPU")
        return latents

    encoder.encode = greedily
    return encoder


def out_of_memory(context: Context) -> dict[str, Any]:
    """Batches that do not fit are halved until they do, and latents are what they would have been."""
    text = encoders(context)["text_float32"]
    names = {"plain": text, "greedy": {"name": "gpu_parts.caching:greedy", "options": text["options"]}}
    began = time.monotonic()
    where = cached(context, "greedy", encoders=names, batch_size=8, num_workers=0)
    one, other = (latents_of(where, "text", name) for name in names)
    found = {"sec": time.monotonic() - began, "items": len(one), "least_cosine": cosine(one, other)}
    rejected = json.loads((where / "text" / "greedy" / "manifest.json").read_text()).get("num_rejected", 0)
    claims = {
        "no item is lost": len(one) == len(other) and not rejected,
        "latents are equal": cosine(one, other) > 0.9999,
    }
    return judged(found, claims)


def jpeg(context: Context) -> dict[str, Any]:
    """Pictures decoded on the device (nvJPEG) beside PIL: how far apart, and how fast."""
    if "torchvision" in context.missing:
        return {"skipped": "no torchvision"}
    from torchvision.io import ImageReadMode, decode_jpeg

    folder, _ = pictures(context)
    files = sorted(folder.iterdir())[:256]
    raw = [torch.from_numpy(np.fromfile(file, dtype=np.uint8)) for file in files]
    wanted = [torch.from_numpy(np.asarray(Image.open(file).convert("RGB")).copy()).permute(2, 0, 1) for file in files]
    decode = lambda: decode_jpeg(raw, mode=ImageReadMode.RGB, device=context.device)  # noqa: E731
    got = decode()
    apart = [float((a.cpu().float() - b.float()).abs().mean()) for a, b in zip(got, wanted, strict=True)]
    began = time.monotonic()
    for file in files:
        Image.open(file).convert("RGB")
    by_pil = len(files) / (time.monotonic() - began)
    here = 1e3 * len(files) / milliseconds(decode, context.device)
    found = {"mean_difference": max(apart), "per_sec": here, "pil_per_sec_and_core": by_pil}
    return judged(found, {"within two steps of 255": max(apart) < 2.0})
