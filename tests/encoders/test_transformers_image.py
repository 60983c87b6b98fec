"""Vision models of transformers against what the library itself computes."""

import pytest
import torch
from tiny_models import SIZES, SQUARE
from transformers import (
    AutoImageProcessor,
    AutoModel,
    HGNetV2Config,
    VideoMAEConfig,
    VideoMAEModel,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)
from transformers.image_utils import SizeDict

from fusemix.encoders import ENCODERS
from fusemix.encoders.transformers.image import transformers_image
from fusemix.encoders.transformers.scaling import can_scale_later
from fusemix.errors import EncoderError

WITH_PATCHES = ["dinov2", "dinov2_registers", "dinov3", "vit", "siglip", "siglip2"]
NUM_PREFIX = {"dinov2": 1, "dinov2_registers": 1 + 4, "dinov3": 1 + 4, "vit": 1, "siglip": 0}


@pytest.fixture
def pictures(picture):
    return [picture(40, 30, seed=1), picture(30, 90, seed=2), picture(64, 64, seed=3)]


@pytest.fixture
def library(model_folder, pictures):
    """Name of a model -> (inputs, outputs) of transformers' own processor and model."""

    def run(name, **options):
        folder = model_folder(name)
        inputs = AutoImageProcessor.from_pretrained(folder)(images=pictures, return_tensors="pt")
        network = AutoModel.from_pretrained(folder).eval()
        with torch.inference_mode():
            return inputs, getattr(network, "vision_model", network)(**inputs, **options)

    return run


@pytest.fixture
def encode(encoder, pictures):
    def run(name, **options):
        built = encoder("transformers_image", name, **options)
        latents = built.encode(built.collate(built.prepare(pictures)))
        assert latents.shape == (len(pictures), built.dim)
        return latents

    return run


@pytest.mark.parametrize("model", [*WITH_PATCHES, "swin", "mobilenet"])
def test_the_network_gets_what_the_librarys_processor_gives(encoder, library, pictures, model):
    built = encoder("transformers_image", model, pooling="cls" if NUM_PREFIX.get(model) else "mean")
    seen = []
    built._tower.register_forward_pre_hook(lambda _, args, inputs: seen.append(inputs), with_kwargs=True)
    built.encode(built.collate(built.prepare(pictures)))
    inputs, _ = library(model)
    assert all(torch.equal(seen[0][key], inputs[key]) for key in inputs)


@pytest.mark.parametrize(("model", "size"), [("dinov2", 1), ("siglip", 1), ("siglip2", 1), ("dinov3", 4)])
def test_pictures_are_handed_over_as_bytes_where_scaling_is_the_processors_last_step(encoder, pictures, model, size):
    """DINOv3 scales before it resizes, so that its pixels are no bytes."""
    built = encoder("transformers_image", model, pooling="mean")
    assert built.collate(built.prepare(pictures))["pixel_values"].element_size() == size


@pytest.mark.parametrize("model", ["dinov3", "dinov2"])
def test_what_is_no_bytes_is_handed_over_as_narrow_as_the_model_takes_it(encoder, pictures, model):
    half, whole = (encoder("transformers_image", model, dtype=dtype) for dtype in ("bfloat16", "float32"))
    batch, exact = (built.collate(built.prepare(pictures)) for built in (half, whole))
    assert batch["pixel_values"].element_size() == (2 if model == "dinov3" else 1)
    assert torch.equal(half.encode(batch), half.encode(exact))


def test_a_processor_that_cannot_leave_its_scaling_out_is_used_whole(model_folder):
    processor = AutoImageProcessor.from_pretrained(model_folder("dinov2"))
    assert can_scale_later(processor)
    processor.do_pad, processor.pad_size = True, SizeDict(height=300, width=300)
    assert not can_scale_later(processor)


@pytest.mark.parametrize(("model", "num_prefix"), NUM_PREFIX.items())
def test_mean_leaves_out_class_and_register_tokens(encode, library, model, num_prefix):
    _, outputs = library(model)
    expected = outputs.last_hidden_state[:, num_prefix:].double().mean(dim=1).float()
    torch.testing.assert_close(encode(model, pooling="mean"), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "mean", "cls+mean", "pooler"])
@pytest.mark.parametrize("model", ["timm_vit", "timm_swin", "timm_resnet"])
def test_a_model_of_timm_gives_what_it_gives_as_one_of_timm(encoder, pictures, model, pooling):
    if "cls" in pooling and model != "timm_vit":
        pytest.skip("has no class token")
    ours, theirs = (encoder(family, model, pooling=pooling) for family in ("transformers_image", "timm"))
    batch = theirs.collate(theirs.prepare(pictures))
    pixels = {"pixel_values": theirs._transform.numbers(batch)}
    torch.testing.assert_close(ours.encode(pixels), theirs.encode(batch), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("model", "before", "after"), [("dinov3_convnext", 1, 0), ("pvt", 1, 0), ("yolos", 1, 5)])
def test_mean_leaves_out_tokens_that_stand_for_no_patch_wherever_they_are(encode, library, model, before, after):
    _, outputs = library(model)
    states = outputs.last_hidden_state
    patches = states[:, before : states.shape[1] - after]
    assert patches.shape[1] == {"dinov3_convnext": 4, "pvt": 4, "yolos": 16}[model]
    torch.testing.assert_close(encode(model, pooling="mean"), patches.mean(dim=1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(encode(model), states[:, 0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", ["dinov2", "dinov2_registers", "dinov3", "vit"])
def test_cls_is_the_first_state_and_comes_before_the_mean(encode, library, model):
    _, outputs = library(model)
    first, patches = outputs.last_hidden_state[:, 0], outputs.last_hidden_state[:, NUM_PREFIX[model] :].mean(dim=1)
    torch.testing.assert_close(encode(model), first, rtol=1e-5, atol=1e-5)
    both = encode(model, pooling="cls+mean")
    assert both.shape[1] == 2 * first.shape[1]
    torch.testing.assert_close(both, torch.cat([first, patches], dim=1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", [*WITH_PATCHES, "swin", "mobilenet"])
def test_pooler_is_the_models_own_pooled_output(encode, library, model):
    _, outputs = library(model)
    expected = outputs.pooler_output.flatten(1)
    torch.testing.assert_close(encode(model, pooling="pooler"), expected, rtol=1e-5, atol=1e-5)


def test_the_mean_of_a_convolutional_net_is_over_its_map(encode, library):
    _, outputs = library("mobilenet")
    assert outputs.last_hidden_state.ndim == 4
    expected = outputs.last_hidden_state.mean(dim=(2, 3))
    torch.testing.assert_close(encode("mobilenet", pooling="mean"), expected, rtol=1e-5, atol=1e-5)


def test_the_mean_of_a_model_that_merges_patches_is_over_all_it_has_left(encode, library):
    _, outputs = library("swin")
    expected = outputs.last_hidden_state.mean(dim=1)
    torch.testing.assert_close(encode("swin", pooling="mean"), expected, rtol=1e-5, atol=1e-5)


def test_the_mean_over_patches_of_any_number_leaves_out_their_padding(encode, library):
    inputs, outputs = library("siglip2")
    mask = inputs["pixel_attention_mask"].bool()
    assert not mask.all()
    rows = [row[real].double().mean(dim=0) for row, real in zip(outputs.last_hidden_state, mask, strict=True)]
    torch.testing.assert_close(encode("siglip2", pooling="mean"), torch.stack(rows).float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", ["siglip", "siglip2", "swin", "mobilenet"])
@pytest.mark.parametrize("pooling", ["cls", "cls+mean"])
def test_a_model_without_class_token_refuses_to_give_one(encoder, model, pooling):
    with pytest.raises(EncoderError, match="this model has no class token"):
        encoder("transformers_image", model, pooling=pooling)


@pytest.mark.parametrize("layer", [0, 1, -1])
@pytest.mark.parametrize("model", ["vit", "dinov3", "siglip"])
def test_a_layer_is_an_index_into_the_librarys_hidden_states(encode, library, model, layer):
    _, outputs = library(model, output_hidden_states=True)
    expected = outputs.hidden_states[layer][:, NUM_PREFIX[model] :].mean(dim=1)
    torch.testing.assert_close(encode(model, pooling="mean", layer=layer), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("model", "layer"), [("dinov3_convnext", 1), ("pvt", 1)])
def test_scales_before_the_last_have_no_class_token(encoder, encode, library, model, layer):
    _, outputs = library(model, output_hidden_states=True)
    expected = outputs.hidden_states[layer]
    expected = expected.flatten(2).transpose(1, 2) if expected.ndim == 4 else expected
    assert torch.allclose(encode(model, pooling="mean", layer=layer), expected.mean(dim=1), atol=1e-5)
    with pytest.raises(EncoderError, match="this model has no class token"):
        encoder("transformers_image", model, pooling="cls", layer=layer)


@pytest.mark.parametrize(("model", "pooling"), [("vit", "cls"), ("dinov3", "cls+mean")])
def test_a_first_token_that_has_not_seen_the_picture_is_refused(encoder, model, pooling):
    with pytest.raises(EncoderError, match=r"the first token of this model sees nothing .* a higher layer"):
        encoder("transformers_image", model, pooling=pooling, layer=0)


def test_a_model_that_wants_other_inputs_is_refused_in_one_sentence(tmp_path):
    VideoMAEModel(VideoMAEConfig(**SIZES, image_size=32, patch_size=8, num_frames=2)).save_pretrained(tmp_path)
    ViTImageProcessor(**SQUARE).save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match=r"gives no latent of image alone \(ValueError: .* wrap it"):
        transformers_image(model=str(tmp_path), pooling="mean")


def test_a_backbone_that_gives_maps_alone_is_refused_in_one_sentence(tmp_path):
    stages = {f"stage_{name}_channels": [8] * 4 for name in ("in", "mid", "out")}
    config = HGNetV2Config(embedding_size=8, hidden_sizes=[8] * 4, depths=[1] * 4, stem_channels=[3, 4, 8], **stages)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    ViTImageProcessor(**SQUARE).save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match="gives no states that could be pooled"):
        transformers_image(model=str(tmp_path), pooling="mean")


def test_a_layer_that_the_model_does_not_have_is_refused(encoder):
    with pytest.raises(EncoderError, match=r"layer is 7, but this model's layers are from 0 to 2\."):
        encoder("transformers_image", "vit", layer=7)


def test_the_pooler_of_an_inner_layer_is_refused(encoder):
    with pytest.raises(EncoderError, match="pooling=pooler: it belongs to the last layer alone"):
        encoder("transformers_image", "vit", pooling="pooler", layer=1)


def test_last_token_is_refused_for_pictures(encoder):
    with pytest.raises(
        EncoderError, match=r"pooling=last_token is for text\. Use pooling=cls, mean, cls\+mean or pooler"
    ):
        encoder("transformers_image", "vit", pooling="last_token")


def test_a_pooler_whose_weights_the_checkpoint_lacks_is_refused(tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}
    ViTModel(ViTConfig(**sizes, image_size=16, patch_size=8), add_pooling_layer=False).save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match=r"the checkpoint lacks weights that are needed here: pooler\.dense\.weight"):
        ENCODERS.build("transformers_image", {"model": str(tmp_path), "pooling": "pooler"})
    first, second = (ENCODERS.build("transformers_image", {"model": str(tmp_path)}) for _ in range(2))
    assert first.fingerprint == second.fingerprint


def test_the_weights_of_the_text_tower_do_not_reach_the_fingerprint_of_the_image_tower(encoder):
    image = encoder("transformers_image", "siglip", pooling="pooler").fingerprint
    text = encoder("transformers_text", "siglip", pooling="pooler").fingerprint
    assert image["weights_sha256"] != text["weights_sha256"]


def test_bfloat16_is_computed_in_and_recorded_and_latents_stay_float32(encoder, encode):
    half, full = encode("vit", dtype="bfloat16"), encode("vit")
    assert encoder("transformers_image", "vit", dtype="bfloat16").fingerprint["dtype"] == "bfloat16"
    assert half.dtype == torch.float32
    assert not torch.equal(half, full)
    assert torch.nn.functional.cosine_similarity(half, full).min() > 0.99


def test_how_pictures_are_prepared_is_in_the_fingerprint(encoder):
    fingerprint = encoder("transformers_image", "vit").fingerprint
    assert (fingerprint["model"], fingerprint["revision"]) == ("vit", "local")
    assert {"image_mean", "image_std", "resample", "size"} <= set(fingerprint["preprocessing"])
