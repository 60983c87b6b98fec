"""timm models against what timm itself computes."""

import math

import pytest
import timm
import torch
from timm.data import create_transform, resolve_model_data_config

from fusemix.encoders.prefix import extra_of_timm
from fusemix.errors import EncoderError

MODELS = ["timm_vit", "timm_swin", "timm_resnet"]


@pytest.fixture
def pictures(picture):
    return [picture(40, 30, seed=1), picture(30, 90, seed=2), picture(64, 64, seed=3)]


@pytest.fixture
def library(model_folder, pictures):
    """Name of a model -> (timm's own network, its pixels, its last states)."""

    def run(name):
        network = timm.create_model(f"local-dir:{model_folder(name)}", pretrained=True, num_classes=0).eval()
        transform = create_transform(**resolve_model_data_config(network), is_training=False)
        pixels = torch.stack([transform(picture) for picture in pictures])
        with torch.inference_mode():
            return network, pixels, network.forward_features(pixels)

    return run


@pytest.fixture
def encode(encoder, pictures):
    def run(name, **options):
        built = encoder("timm", name, **options)
        return built.encode(built.collate(built.prepare(pictures)))

    return run


@pytest.mark.parametrize("model", MODELS)
def test_pictures_are_prepared_as_timm_does(encoder, library, pictures, model):
    _, pixels, _ = library(model)
    built = encoder("timm", model)
    batch = built.collate(built.prepare(pictures))
    assert batch.nbytes * 4 == pixels.nbytes, "handed over in bytes"
    assert torch.equal(built._transform.numbers(batch), pixels)


@pytest.mark.parametrize("model", MODELS)
def test_pooler_is_what_timm_gives_without_its_classifier(encode, library, model):
    network, pixels, _ = library(model)
    with torch.inference_mode():
        torch.testing.assert_close(encode(model), network(pixels), rtol=1e-5, atol=1e-5)


def test_mean_leaves_out_class_and_register_tokens(encode, library):
    _, _, states = library("timm_vit")
    assert states.shape[1] == 1 + 4 + 16
    torch.testing.assert_close(encode("timm_vit", pooling="mean"), states[:, 5:].mean(dim=1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "extra"),
    [
        ("volo_d1_224", (1, True)),
        ("coat_lite_tiny", (1, True)),
        ("deit_tiny_distilled_patch16_224", (2, True)),
        ("vit_small_patch16_dinov3", (5, True)),
        ("vit_base_patch16_siglip_224", (0, False)),
        ("mixer_s16_224", (0, False)),
    ],
)
def test_tokens_before_the_patches_are_known_also_where_a_model_does_not_count_them(architecture, extra):
    with torch.device("meta"):
        network = timm.create_model(architecture, num_classes=0).eval()
        states = network.forward_features(torch.zeros(1, *network.default_cfg["input_size"]))
    num_patches = math.isqrt(states.shape[1]) ** 2
    assert extra_of_timm(network)[:2] == extra == (states.shape[1] - num_patches, extra[1])


def test_cls_is_the_first_state_and_comes_before_the_mean(encode, library):
    _, _, states = library("timm_vit")
    first, patches = states[:, 0], states[:, 5:].mean(dim=1)
    torch.testing.assert_close(encode("timm_vit", pooling="cls"), first, rtol=1e-5, atol=1e-5)
    both = encode("timm_vit", pooling="cls+mean")
    torch.testing.assert_close(both, torch.cat([first, patches], dim=1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("model", "over"), [("timm_resnet", (2, 3)), ("timm_swin", (1, 2))])
def test_the_mean_of_a_map_is_over_its_places_wherever_its_width_stands(encode, library, model, over):
    network, _, states = library(model)
    expected = states.mean(dim=over)
    assert expected.shape[1] == network.num_features
    torch.testing.assert_close(encode(model, pooling="mean"), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", ["timm_resnet", "timm_swin"])
@pytest.mark.parametrize("pooling", ["cls", "cls+mean"])
def test_a_model_without_class_token_refuses_to_give_one(encoder, model, pooling):
    with pytest.raises(EncoderError, match="this model has no class token"):
        encoder("timm", model, pooling=pooling)


def test_last_token_is_refused_for_pictures(encoder):
    with pytest.raises(
        EncoderError, match=r"pooling=last_token is for text\. Use pooling=pooler, cls, mean or cls\+mean"
    ):
        encoder("timm", "timm_vit", pooling="last_token")


def test_an_unknown_pooling_is_refused(encoder):
    with pytest.raises(EncoderError, match="pooling is 'max', but must be one of"):
        encoder("timm", "timm_vit", pooling="max")


def test_bfloat16_is_computed_in_and_recorded_and_latents_stay_float32(encoder, encode):
    half, full = encode("timm_vit", dtype="bfloat16"), encode("timm_vit")
    assert encoder("timm", "timm_vit", dtype="bfloat16").fingerprint["dtype"] == "bfloat16"
    assert half.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(half, full).min() > 0.99


def test_the_fingerprint_names_the_folder_and_how_pictures_are_prepared(encoder):
    fingerprint = encoder("timm", "timm_vit").fingerprint
    assert (fingerprint["model"], fingerprint["revision"]) == ("timm_vit", "local")
    assert fingerprint["preprocessing"]["input_size"] == [3, 32, 32]
