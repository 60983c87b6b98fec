"""JPEGs that are decoded at a fraction of their size, for encoders that ask for it, and for nobody else."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from extracting import items_of, run, run_all
from PIL import Image

from fusemix.encoders.decoding import decode
from fusemix.encoders.drafts import needed_by_processor
from fusemix.errors import EncoderError

FAMILIES = [
    ("transformers_image", "dinov2", 48),
    ("transformers_image", "dinov3", 32),
    ("open_clip_image", "open_clip", 32),
    ("timm", "timm_vit", 36),
]


def options(family):
    return {"pooling": "mean"} if family != "open_clip_image" else {}


@pytest.mark.parametrize(
    ("size", "least", "decoded"),
    [
        ((400, 300), 100, (200, 150)),
        ((400, 300), 76, (200, 150)),
        ((400, 300), 75, (100, 75)),
        ((401, 301), 37, (51, 38)),
        ((400, 300), 151, (400, 300)),
        ((4000, 300), 10, (500, 38)),
        ((60, 40), 100, (60, 40)),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_is_decoded_at_the_smallest_fraction_that_no_side_is_too_short_at(
    picture, file_of, size, least, decoded, mode
):
    raw = file_of(picture(*size).convert(mode), "JPEG", quality=90)
    found = decode("image", raw, least)
    assert (found.size, found.mode) == (decoded, "RGB")
    shrunk = np.asarray(decode("image", raw).resize(decoded, Image.Resampling.BOX), dtype=float)
    assert np.abs(np.asarray(found) - shrunk).mean() < 8  # of 255; sides are rounded up


def test_other_files_and_pictures_of_the_users_own_keep_their_size(picture, file_of):
    large = picture(400, 300)
    for kind in ("PNG", "WEBP", "BMP"):
        assert decode("image", file_of(large, kind), 20).size == (400, 300)
    own = Image.open(io.BytesIO(file_of(large, "JPEG")))
    assert decode("image", own, 20).size == own.size == (400, 300)


def test_a_jpeg_that_breaks_off_is_refused_all_the_same(picture, file_of):
    raw = file_of(picture(400, 300), "JPEG", quality=95)
    with pytest.raises(OSError, match="truncated"):
        decode("image", raw[: len(raw) * 3 // 4], 20)


@pytest.mark.parametrize(("family", "model", "needed"), FAMILIES)
def test_an_encoder_keeps_twice_what_its_library_resizes_to_and_says_so(
    encoder, picture, file_of, family, model, needed
):
    whole, fraction = (encoder(family, model, decode=how, **options(family)) for how in ("whole", "fraction"))
    assert (whole.least_side, fraction.least_side) == (None, 2 * needed)
    assert fraction.fingerprint == {
        **whole.fingerprint,
        "decode": {"jpeg": "1/2, 1/4 or 1/8", "least_side": 2 * needed},
    }
    assert encoder(family, model, **options(family)).fingerprint == whole.fingerprint

    raws = [file_of(picture(900, 700, seed=seed), "JPEG", quality=90) for seed in range(3)]
    (found,), (exact,) = (run(items_of("image", raws), built) for built in (fraction, whole))
    drafted = [decode("image", raw, 2 * needed) for raw in raws]
    assert all(2 * needed <= min(one.size) <= 350 for one in drafted)
    alone = fraction.encode(fraction.collate(fraction.prepare(drafted))).numpy()
    np.testing.assert_allclose(found.latents, alone, rtol=1e-4, atol=1e-5)
    assert not np.array_equal(found.latents, exact.latents)
    cosine = torch.nn.functional.cosine_similarity(torch.tensor(found.latents), torch.tensor(exact.latents))
    assert cosine.min() > 0.99


def test_encoders_beside_one_another_each_get_the_picture_as_they_want_it(encoder, picture, file_of):
    raws = [file_of(picture(900, 700, seed=seed), "JPEG", quality=90) for seed in range(3)] + [b"no picture"]
    encoders = {
        "whole": encoder("transformers_image", "dinov2", pooling="mean"),
        "fraction": encoder("transformers_image", "dinov2", pooling="mean", decode="fraction"),
        "hog": encoder("hog"),
    }
    (together,) = run_all(items_of("image", raws), encoders)
    for name, built in encoders.items():
        (alone,) = run(items_of("image", raws), built)
        assert np.array_equal(together[name].latents, alone.latents, equal_nan=True)
        assert [item.id for item in together[name].rejected] == ["item-3"]
    assert not np.array_equal(together["whole"].latents, together["fraction"].latents)


def test_who_says_no_size_is_refused_with_advice(encoder):
    """SigLIP2 (NaFlex) resizes each picture to another size."""
    with pytest.raises(EncoderError, match=r"'.*siglip2' does not say one size.*Use decode=whole"):
        encoder("transformers_image", "siglip2", pooling="pooler", decode="fraction")


def test_a_processor_that_resizes_to_more_than_it_crops_to_needs_more():
    size = SimpleNamespace(shortest_edge=224, height=None, width=None)
    assert needed_by_processor(SimpleNamespace(size=size, do_resize=True, crop_pct=0.875)) == 256
    assert needed_by_processor(SimpleNamespace(size=size, do_resize=True)) == 224
    assert needed_by_processor(SimpleNamespace(size=size, do_resize=False)) is None
