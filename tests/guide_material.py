"""Small material under the names that the guides use: pictures, tiny models in place of the hub's, short recipes.

Place in the flow: test_guides.py -> a folder in which every command of a guide can be typed.
"""

import shutil
from pathlib import Path

import numpy as np
import yaml
from shape_samples import COLOURS, SHAPES, draw
from tiny_run import COUNTS, SIZES
from transformers import BertTokenizer, SiglipConfig, SiglipImageProcessor, SiglipModel

ROOT = Path(__file__).parents[1]
HUB = {"facebook/dinov2-base": "vit", "BAAI/bge-base-en-v1.5": "bert", "google/siglip-base-patch16-224": "siglip"}
"""Tiny models in place of those that the guides name."""
FEW_STEPS = {"epochs": 2, "steps": 4}
"""How long a recipe trains. Batch and validations are its own: they must fit what the guide has."""


def save_two_towers(folder: Path, with_tokenizer: Path) -> None:
    """A tiny SigLIP, whose towers share a width."""
    text = {**SIZES, "vocab_size": 64, "max_position_embeddings": 48, "projection_size": 32}
    vision = {**SIZES, "image_size": 32, "patch_size": 8}
    SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    BertTokenizer.from_pretrained(with_tokenizer).save_pretrained(folder)


def furnish(folder: Path, models: Path) -> None:
    """Small material under the names that the guides use: captioned pictures, tiny models. Recipes take few steps."""
    (folder / "models").symlink_to(models)
    for hub_name, model in HUB.items():
        (folder / hub_name).parent.mkdir()
        (folder / hub_name).symlink_to(models / model)  # a folder works in place of a hub name
    (folder / "configs").unlink()
    shutil.copytree(ROOT / "configs", folder / "configs")
    for path in (folder / "configs" / "train").glob("*.yaml"):
        settings = yaml.safe_load(path.read_text())
        if auto := settings.get("optim", {}).get("auto"):
            auto.update(FEW_STEPS)
            path.write_text(yaml.safe_dump(settings))
    (folder / "data" / "photos").mkdir(parents=True)
    generator, lines = np.random.default_rng(0), ["file,caption"]
    for number in range(240):
        count, colour, shape = COUNTS[number % 3], COLOURS[number // 3 % 6], SHAPES[number // 18 % 4]
        draw(folder / "data" / "photos" / f"{number:03}.png", colour, shape, generator)
        lines.append(f"{number:03}.png,{count} {colour} {shape} {chr(97 + number // 72)}")
    (folder / "data" / "photos" / "captions.csv").write_text("\n".join(lines))
    (folder / "data" / "captioned").symlink_to(folder / "data" / "photos")
