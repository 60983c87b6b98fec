"""A small real run over pictures, texts and sounds: files, tiny models with random weights, caches, training."""

from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import torch
from PIL import Image, ImageDraw
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WavLMModel,
)

from fusemix.cli.called import run_command

COUNTS, COLOURS, SHAPES = ["a", "one", "some"], ["red", "green", "blue", "black"], ["square", "circle", "bar"]
PITCHES, KINDS = ["low", "high"], ["tone", "noise", "click", "hum"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "and"]
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.2,  # with the usual 0.02 models this narrow hardly look at their input
}
OF_SET = {"image": "pictures", "audio": "sounds"}


class TinyRun(NamedTuple):
    """Where everything lies.

    Attributes:
        run: folder of the run, trained on image, text and audio.
        latents: folder of the two latent sets, `pictures/all` and `sounds/all`.
        files: modality -> files of its items.
        recipes: encoders as the caching configs name them, in the order of training.
    """

    run: Path
    latents: Path
    files: dict[str, list[Path]]
    recipes: dict[str, dict[str, Any]]


def make_run(folder: Path) -> TinyRun:
    """Draw, cache and train; some seconds."""
    files = {"image": draw_pictures(folder / "pictures"), "audio": play_sounds(folder / "sounds")}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_models(folder / "models")
    bert = {"name": "transformers_text", "options": {"model": str(folder / "models" / "bert")}}
    vit = {"name": "transformers_image", "options": {"model": str(folder / "models" / "vit"), "pooling": "mean"}}
    hog = {"name": "hog", "options": {"size": 32, "coarse": 4}}
    wavlm = {"name": "transformers_audio", "options": {"model": str(folder / "models" / "wavlm")}}
    encoders = {"image": {"hog": hog, "vit": vit}, "audio": {"wavlm": wavlm}}
    for modality, of_modality in encoders.items():
        name = OF_SET[modality]
        where = f"folder: '{folder / name}', captions: '{folder / name / 'captions.csv'}'"
        parts = [f"encoders.{slug}={recipe}" for slug, recipe in {**of_modality, "bert": bert}.items()]
        common = [
            "splits=[all]",
            "compute.accelerator=cpu",
            "num_workers=0",
            "batch_size=8",
            f"out={folder / 'latents' / name}",
        ]
        run_command("cache_features", [f"dataset={{name: {modality}_captions, options: {{{where}}}}}", *parts, *common])
    latents = folder / "latents"
    run_command(
        "train",
        [
            f"train={latents / 'pictures' / 'all'}",
            "holdout=0.2",
            f"also.sounds={{train: '{latents / 'sounds' / 'all'}'}}",
            "encoders={image: [hog, vit], text: [bert], audio: [wavlm]}",
            "embedding_dim=16",
            "preprocess=[standardise]",
            "adapter.options={num_blocks: 1, dropout: 0.1}",
            "mixup.name=none",
            "optim={batch_size: 8, max_epochs: 3, warmup_steps: 2, lr: 0.01}",
            "compute.accelerator=cpu",
            f"out={folder / 'run'}",
        ],
    )
    return TinyRun(folder / "run", latents, files, {"hog": hog, "vit": vit, "bert": bert, "wavlm": wavlm})


def draw_pictures(folder: Path) -> list[Path]:
    """36 pictures of one shape each, with a caption that says which."""
    folder.mkdir(parents=True)
    files, lines = [], ["file,caption"]
    for number, (count, colour, shape) in enumerate(product(COUNTS, COLOURS, SHAPES)):
        picture = Image.new("RGB", (60 + number, 48), "white")
        box, pen = (8 + number // 4, 6, 8 + number // 4 + 26, 32), ImageDraw.Draw(picture)
        draw = {"square": pen.rectangle, "circle": pen.ellipse, "bar": pen.rectangle}[shape]
        draw((box[0], box[1], box[2], 14) if shape == "bar" else box, fill=colour)
        files.append(folder / f"{number:02}.png")
        picture.save(files[-1])
        lines.append(f"{files[-1].name},{count} {colour} {shape}")
    (folder / "captions.csv").write_text("\n".join(lines))
    return files


def play_sounds(folder: Path) -> list[Path]:
    """24 sounds of 22,050 Hz and of unequal length, with captions."""
    folder.mkdir(parents=True)
    files, lines, generator = [], ["file,caption"], np.random.default_rng(0)
    for number, (count, pitch, kind) in enumerate(product(COUNTS, PITCHES, KINDS)):
        time = np.arange(6000 + 400 * number) / 22050
        tone = np.sin(2 * np.pi * (200 if pitch == "low" else 1500) * (1 + KINDS.index(kind)) * time)
        files.append(folder / f"{number:02}.wav")
        soundfile.write(files[-1], 0.3 * tone + 0.05 * generator.standard_normal(len(time)), 22050, subtype="FLOAT")
        lines.append(f"{files[-1].name},{count} {pitch} {kind}")
    (folder / "captions.csv").write_text("\n".join(lines))
    return files


def save_models(folder: Path) -> None:
    """Tiny models of the real classes, as `save_pretrained` writes them."""
    for name in ("bert", "vit", "wavlm"):
        (folder / name).mkdir(parents=True)
    words = [*SPECIAL, *COUNTS, *COLOURS, *SHAPES, *PITCHES, *KINDS, *"abcdefghijklmnopqrstuvwxyz."]
    (folder / "bert" / "vocab.txt").write_text("\n".join(dict.fromkeys(words)))
    BertTokenizer(str(folder / "bert" / "vocab.txt"), model_max_length=48).save_pretrained(folder / "bert")
    BertModel(BertConfig(**SIZES, vocab_size=64, max_position_embeddings=64)).save_pretrained(folder / "bert")
    ViTModel(ViTConfig(**SIZES, image_size=32, patch_size=8)).save_pretrained(folder / "vit")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder / "vit")
    WavLMModel(WavLMConfig(**SIZES, conv_dim=[16] * 7)).save_pretrained(folder / "wavlm")
    Wav2Vec2FeatureExtractor().save_pretrained(folder / "wavlm")
