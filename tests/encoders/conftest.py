"""Encoders loaded from tiny models, and things to encode."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import BUILDERS

from fusemix.encoders import ENCODERS
from fusemix.interfaces import Waveform


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Name of a builder, seed of its weights -> the folder that the model was saved to; made once."""
    made: dict[tuple[str, int], Path] = {}

    def folder(name: str, seed: int = 0) -> str:
        if (name, seed) not in made:
            path = tmp_path_factory.mktemp(f"weights-{seed}") / name
            path.mkdir()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                BUILDERS[name](path)
            made[name, seed] = path
        return str(made[name, seed])

    return folder


@pytest.fixture(scope="session")
def encoder(model_folder: Callable[..., str]) -> Callable[..., Any]:
    """Name in ENCODERS, name of a builder, options -> the encoder, loaded once."""
    loaded: dict[str, Any] = {}

    def load(name: str, model: str | None = None, **options: Any) -> Any:
        key = repr((name, model, sorted(options.items())))
        if key not in loaded:
            where = {"model": model_folder(model)} if model else {}
            loaded[key] = ENCODERS.build(name, {**where, **options})
        return loaded[key]

    return load


def noise_picture(width: int = 40, height: int = 30, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def noise_sound(seconds: float, sample_rate: int, seed: int = 0) -> Waveform:
    samples = np.random.default_rng(seed).standard_normal(int(seconds * sample_rate)) * 0.1
    return Waveform(samples.astype(np.float32), sample_rate)


def picture_bytes(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="session")
def picture() -> Callable[..., Image.Image]:
    return noise_picture


@pytest.fixture(scope="session")
def sound() -> Callable[..., Waveform]:
    return noise_sound


@pytest.fixture(scope="session")
def file_of() -> Callable[..., bytes]:
    """A picture, a PIL format -> the bytes of its file."""
    return picture_bytes


@pytest.fixture
def raw_pictures(picture: Callable[..., Image.Image], file_of: Callable[..., bytes]) -> list[bytes | Exception]:
    """Nine files; one cannot be read, one is no picture, one breaks off."""
    raws: list[bytes | Exception] = [file_of(picture(40 + i, 30 + 2 * i, seed=i)) for i in range(9)]
    raws[1] = FileNotFoundError("no such file:\n  gone.png")
    raws[4] = b"this is no picture"
    raws[6] = file_of(picture(46, 42, seed=6))[:800]
    return raws
