"""Histograms of oriented gradients: width, what they see, and that flat pictures do no harm."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.feature import hog as library_hog

from fusemix.errors import ConfigError, EncoderError


@pytest.mark.parametrize(
    "options",
    [
        {"size": 64, "cell": 8, "block": 1, "orientations": 9, "coarse": 16},
        {"size": 64, "cell": 8, "block": 2, "orientations": 9, "coarse": 16},
        {"size": 32, "cell": 8, "block": 2, "orientations": 6, "coarse": 0},
        {"size": 48, "cell": 16, "block": 3, "orientations": 9, "coarse": 5},
        {"size": 50, "cell": 8, "block": 2, "orientations": 4, "coarse": 1},
    ],
)
def test_the_width_follows_from_the_options(encoder, picture, options):
    built = encoder("hog", **options)
    blocks_a_side = options["size"] // options["cell"] - options["block"] + 1
    gradients = blocks_a_side**2 * options["block"] ** 2 * options["orientations"]
    assert built.dim == gradients + options["coarse"] ** 2
    assert built.encode(built.collate(built.prepare([picture()]))).shape == (1, built.dim)


@pytest.mark.parametrize(
    "wrong", [{"cell": 0}, {"block": 0}, {"orientations": 0}, {"coarse": -1}, {"size": 8, "block": 2}]
)
def test_numbers_that_make_no_picture_are_refused(encoder, wrong):
    with pytest.raises(EncoderError, match="one block of cells must fit into it"):
        encoder("hog", **wrong)


def test_a_black_picture_gives_finite_numbers(encoder):
    built = encoder("hog")
    latent = built.encode(built.collate(built.prepare([Image.new("RGB", (70, 50))])))
    assert latent.isfinite().all()
    assert not latent.any()


def test_another_picture_gives_another_vector(encoder, picture):
    built = encoder("hog")
    latents = built.encode(built.collate(built.prepare([picture(seed=1), picture(seed=2), picture(seed=1)])))
    assert not torch.equal(latents[0], latents[1])
    assert torch.equal(latents[0], latents[2])


@pytest.mark.parametrize("block", [1, 2])
def test_the_gradients_are_those_of_scikit_image(encoder, picture, block):
    grey = picture(64, 64).convert("L")
    sizes = {"orientations": 9, "pixels_per_cell": (8, 8), "cells_per_block": (block, block)}
    expected = library_hog(np.asarray(grey), **sizes)
    built = encoder("hog", coarse=0, block=block)
    assert np.allclose(built.prepare([grey.convert("RGB")])[0], expected, atol=1e-6)


def test_the_coarse_part_is_the_mean_grey_of_each_box(encoder, picture):
    image = picture(64, 64)
    grey = np.asarray(image.convert("L"), dtype=np.float64) / 255
    boxes = [grey[y : y + 8, x : x + 8].mean() for y in range(0, 64, 8) for x in range(0, 64, 8)]
    coarse = encoder("hog", coarse=8).prepare([image])[0][-64:]
    assert np.abs(coarse - boxes).max() <= 1 / 255  # grey levels are whole: rows are rounded, then columns


def test_light_that_falls_on_the_whole_picture_does_not_change_the_gradients(encoder, picture):
    image = Image.fromarray(np.asarray(picture(64, 64).convert("L")) // 2)
    brighter = Image.fromarray(np.asarray(image) + 60)
    built = encoder("hog", coarse=0)
    first, second = built.prepare([image.convert("RGB"), brighter.convert("RGB")])
    assert np.allclose(first, second, atol=1e-6)


def test_a_misspelt_option_is_named_with_the_nearest_one(encoder):
    with pytest.raises(ConfigError, match=r"'hog': it has no option 'orientation'\. Did you mean 'orientations'\?"):
        encoder("hog", orientation=9)
