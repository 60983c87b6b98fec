"""Items that cannot be read, decoded, prepared or encoded: set aside, each with its reason."""

import numpy as np
import pytest
import torch
from extracting import Letters, items_of, run, sound_bytes

# Bad items


def test_a_picture_that_cannot_be_read_or_decoded_is_set_aside_with_the_reason(encoder, raw_pictures):
    (encoded,) = run(items_of("image", raw_pictures), encoder("hog"))
    read, garbage, broken = encoded.rejected
    assert (read.id, read.stage, read.reason) == ("item-1", "read", "FileNotFoundError: no such file: gone.png")
    assert (garbage.id, garbage.stage) == ("item-4", "decode")
    assert garbage.reason == "UnidentifiedImageError: cannot identify image file <_io.BytesIO object>"
    assert (broken.id, broken.stage) == ("item-6", "decode")


def test_the_row_of_a_bad_picture_is_nan_and_its_neighbours_are_unharmed(encoder, raw_pictures):
    built = encoder("hog")
    (encoded,) = run(items_of("image", raw_pictures), built)
    for row, latent in enumerate(encoded.latents):
        if row in (1, 4, 6):
            assert np.isnan(latent).all()
        else:
            (alone,) = run(items_of("image", [raw_pictures[row]]), built)
            assert np.array_equal(latent, alone.latents[0])


def test_a_blank_text_is_set_aside():
    (encoded,) = run(items_of("text", ["a dog", " \n", "grass"]), Letters())
    assert [tuple(item) for item in encoded.rejected] == [("item-1", "decode", "ValueError: the text is empty")]
    assert np.isnan(encoded.latents[:, 0]).tolist() == [False, True, False]


def test_a_sound_too_short_to_be_prepared_is_set_aside(encoder):
    built = encoder("transformers_audio", "ast")
    raws = [sound_bytes(1.0), sound_bytes(0.01), sound_bytes(2.0, seed=1)]
    (encoded,) = run(items_of("audio", raws), built)
    assert [(item.id, item.stage) for item in encoded.rejected] == [("item-1", "prepare")]
    assert "ValueError: negative dimensions" in encoded.rejected[0].reason
    assert np.isnan(encoded.latents).all(axis=1).tolist() == [False, True, False]
    (alone,) = run(items_of("audio", raws[2:]), built)
    np.testing.assert_allclose(encoded.latents[2], alone.latents[0], rtol=1e-5, atol=1e-5)


def test_a_sound_too_short_for_the_model_itself_is_set_aside(encoder):
    built = encoder("transformers_audio", "wavlm")
    raws = [sound_bytes(1.0), sound_bytes(0.01), sound_bytes(0.5, seed=1)]
    (encoded,) = run(items_of("audio", raws), built)
    assert [(item.id, item.stage) for item in encoded.rejected] == [("item-1", "encode")]
    assert encoded.rejected[0].reason.startswith("RuntimeError: ")
    assert np.isnan(encoded.latents).all(axis=1).tolist() == [False, True, False]
    (alone,) = run(items_of("audio", raws[2:]), built)
    np.testing.assert_allclose(encoded.latents[2], alone.latents[0], rtol=1e-5, atol=1e-5)


def test_a_span_of_nothing_but_bad_items_is_all_nan(encoder):
    raws = [b"no", b"pictures", OSError("gone")]
    (encoded,) = run(items_of("image", raws), encoder("hog"), batch_size=2)
    assert [item.id for item in encoded.rejected] == ["item-0", "item-1", "item-2"]
    assert np.isnan(encoded.latents).all()


def test_a_bad_item_is_reported_with_the_span_that_holds_it(encoder, raw_pictures):
    encoded = run(items_of("image", raw_pictures), encoder("hog"), [range(0, 4), range(4, 6), range(6, 9)])
    assert [[item.id for item in part.rejected] for part in encoded] == [["item-1"], ["item-4"], ["item-6"]]


def test_a_long_reason_is_cut_to_one_line_of_300_characters():
    (encoded,) = run(items_of("text", [OSError("broken\n" * 200)]), Letters())
    (item,) = encoded.rejected
    assert len(item.reason) == 300
    assert "\n" not in item.reason


def test_an_error_of_the_device_is_no_items_fault_and_ends_the_run():
    class Failing(Letters):
        def encode(self, batch):
            raise torch.AcceleratorError("device-side assert")

    with pytest.raises(torch.AcceleratorError, match="device-side assert"):
        run(items_of("text", ["a dog", "grass"]), Failing())
