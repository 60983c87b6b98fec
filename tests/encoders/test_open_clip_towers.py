"""Both towers of open_clip against what open_clip itself computes."""

import json
import shutil
from pathlib import Path

import open_clip
import pytest
import torch

from fusemix.encoders import ENCODERS
from fusemix.errors import EncoderError

TEXTS = ["a dog", "two small children laugh and throw red balls over the green grass while a dog runs", "grass"]
BOTH = ["open_clip_image", "open_clip_text"]


@pytest.fixture
def pictures(picture):
    return [picture(40, 30, seed=1), picture(30, 90, seed=2), picture(64, 64, seed=3)]


@pytest.fixture
def library(model_folder):
    """open_clip's own network, transform and tokenizer."""
    name = f"local-dir:{model_folder('open_clip')}"
    network, _, transform = open_clip.create_model_and_transforms(name)
    return network.eval(), transform, open_clip.get_tokenizer(name)


@pytest.fixture
def known_architecture(model_folder, tmp_path, monkeypatch):
    """Name of the tiny architecture, as open_clip knows its own."""
    from open_clip import factory

    monkeypatch.setattr(factory, "_MODEL_CONFIGS", dict(factory._MODEL_CONFIGS))
    monkeypatch.setattr(factory, "_MODEL_CONFIG_PATHS", list(factory._MODEL_CONFIG_PATHS))
    config = json.loads((Path(model_folder("open_clip")) / "open_clip_config.json").read_text())["model_cfg"]
    (tmp_path / "tiny-tower.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "tiny-tower.json")
    return "tiny-tower"


def test_pictures_get_the_latents_of_the_image_tower_not_normalised(encoder, library, pictures):
    network, transform, _ = library
    built = encoder("open_clip_image", "open_clip")
    pixels = torch.stack([transform(picture) for picture in pictures])
    batch = built.collate(built.prepare(pictures))
    assert batch.nbytes * 4 == pixels.nbytes, "handed over in bytes"
    assert torch.equal(built._transform.numbers(batch), pixels)
    with torch.inference_mode():
        expected = network.encode_image(pixels, normalize=False)
    torch.testing.assert_close(built.encode(built.collate(built.prepare(pictures))), expected, rtol=1e-5, atol=1e-5)
    assert built.dim == 24


def test_texts_get_the_latents_of_the_text_tower_not_normalised(encoder, library):
    network, _, tokenizer = library
    built = encoder("open_clip_text", "open_clip")
    tokens = tokenizer(TEXTS)
    assert torch.equal(torch.stack(built.prepare(TEXTS)), tokens)
    with torch.inference_mode():
        expected = network.encode_text(tokens, normalize=False)
    torch.testing.assert_close(built.encode(built.collate(built.prepare(TEXTS))), expected, rtol=1e-5, atol=1e-5)


def test_a_text_longer_than_the_models_one_length_is_cut(encoder):
    built = encoder("open_clip_text", "open_clip")
    assert {len(tokens) for tokens in built.prepare([*TEXTS, "dog " * 200])} == {16}


@pytest.mark.parametrize("name", BOTH)
def test_an_architecture_with_a_file_of_weights_equals_the_folder(
    encoder, model_folder, known_architecture, pictures, name
):
    weights = str(Path(model_folder("open_clip")) / "open_clip_model.safetensors")
    built = ENCODERS.build(name, {"model": known_architecture, "pretrained": weights})
    expected = encoder(name, "open_clip")
    contents = pictures if name == "open_clip_image" else TEXTS
    assert torch.equal(
        built.encode(built.collate(built.prepare(contents))),
        expected.encode(expected.collate(expected.prepare(contents))),
    )
    assert built.fingerprint["weights_sha256"] == expected.fingerprint["weights_sha256"]


@pytest.mark.parametrize("name", BOTH)
def test_an_architecture_without_weights_is_refused_and_not_made_up(known_architecture, name):
    message = "the model 'tiny-tower' cannot be loaded: Required pretrained weights .* could not be loaded"
    with pytest.raises(EncoderError, match=message):
        ENCODERS.build(name, {"model": known_architecture})


@pytest.mark.parametrize("name", BOTH)
def test_a_folder_without_weights_is_refused_and_not_made_up(model_folder, tmp_path, name):
    shutil.copy(Path(model_folder("open_clip")) / "open_clip_config.json", tmp_path)
    with pytest.raises(EncoderError, match=r"Required pretrained weights .* could not be loaded"):
        ENCODERS.build(name, {"model": str(tmp_path)})


def test_an_unknown_tag_of_weights_is_named(known_architecture):
    message = r"the model 'tiny-tower' cannot be loaded: Pretrained value 'laion9b' is not a known tag or valid file"
    with pytest.raises(EncoderError, match=message):
        ENCODERS.build("open_clip_image", {"model": known_architecture, "pretrained": "laion9b"})


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_computed_in_and_recorded_and_latents_stay_float32(encoder, pictures, dtype):
    for name, contents in (("open_clip_image", pictures), ("open_clip_text", TEXTS)):
        half, full = encoder(name, "open_clip", dtype=dtype), encoder(name, "open_clip")
        assert half.fingerprint["dtype"] == dtype
        latents = half.encode(half.collate(half.prepare(contents)))
        assert latents.dtype == torch.float32
        expected = full.encode(full.collate(full.prepare(contents)))
        assert torch.nn.functional.cosine_similarity(latents, expected).min() > 0.99


def test_the_fingerprint_names_the_folder_and_how_items_are_prepared(encoder):
    image, text = (encoder(name, "open_clip").fingerprint for name in BOTH)
    assert (image["family"], image["model"], image["revision"]) == ("open_clip", "open_clip", "local")
    assert "Normalize(mean=" in image["preprocessing"]
    assert text["preprocessing"] == "SimpleTokenizer 16"
