"""From files to pictures and texts: each rule against something independent.

Not here: sounds (test_decoding_sounds.py), files that break off or are damaged (test_damage.py),
and the table of odd files (bad_files.py).
"""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from fusemix.encoders.decoding import clean_text, decode, decode_image


def ramp(dtype, top):
    return np.linspace(0, top, 64, dtype=np.float64).round().astype(dtype).reshape(8, 8)


# Pictures


def test_an_rgb_picture_keeps_its_pixels(picture, file_of):
    decoded = decode_image(file_of(picture()))
    assert decoded.mode == "RGB"
    assert np.array_equal(np.asarray(decoded), np.asarray(picture()))


def test_a_picture_that_is_already_open_is_taken_as_it_is(picture):
    assert np.array_equal(np.asarray(decode_image(picture())), np.asarray(picture()))


def test_a_palette_picture_gets_the_colours_of_its_palette(file_of):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putpixel((1, 0), 1)
    decoded = decode_image(file_of(image))
    assert decoded.mode == "RGB"
    assert [decoded.getpixel((x, 0)) for x in (0, 1)] == [(10, 20, 30), (200, 100, 0)]


def test_a_cmyk_picture_becomes_rgb(file_of):
    decoded = decode_image(file_of(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"))
    assert decoded.mode == "RGB"
    assert decoded.getpixel((4, 4)) == (255, 0, 0)


def test_what_is_transparent_shows_white(picture, file_of):
    alpha = np.random.default_rng(1).integers(0, 256, (30, 40), dtype=np.uint8)
    image = picture()
    image.putalpha(Image.fromarray(alpha))
    colours = np.asarray(picture(), dtype=np.float64)
    share = alpha[:, :, None] / 255
    decoded = np.asarray(decode_image(file_of(image)), dtype=np.float64)
    assert np.abs(decoded - (share * colours + (1 - share) * 255)).max() <= 1


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_a_greyscale_picture_becomes_three_equal_channels(picture, file_of, mode):
    grey = picture().convert(mode)
    decoded = np.asarray(decode_image(file_of(grey)))
    expected = np.asarray(grey.convert("L"))
    assert all(np.array_equal(decoded[:, :, channel], expected) for channel in range(3))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight_and_not_clipped(file_of, kind):
    deep = ramp(np.uint16, 65535)
    decoded = np.asarray(decode_image(file_of(Image.fromarray(deep), kind)), dtype=np.float64)
    assert decoded.max() == 255
    assert np.abs(decoded[:, :, 0] - deep / 257).max() <= 0.5


@pytest.mark.parametrize(("dtype", "white"), [(np.uint16, 65535), (np.float32, 1)])
def test_deep_grey_whose_white_is_zero_is_not_a_negative(file_of, dtype, white):
    values = np.array([[0, white]], dtype=dtype)
    decoded = decode_image(file_of(Image.fromarray(values), "TIFF", tiffinfo={262: 0}))
    assert [decoded.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (0, 0, 0)]


def test_sixteen_bits_in_the_other_byte_order_are_scaled_alike(file_of):
    deep = ramp(np.uint16, 65535)
    swapped = Image.frombytes("I;16B", (8, 8), deep.astype(">u2").tobytes())
    expected = decode_image(file_of(Image.fromarray(deep)))
    assert np.array_equal(np.asarray(decode_image(swapped)), np.asarray(expected))


@pytest.mark.parametrize(
    ("orientation", "turned_back"),
    [(1, lambda a: a), (2, np.fliplr), (3, lambda a: np.rot90(a, 2)), (6, lambda a: np.rot90(a, -1)), (8, np.rot90)],
)
def test_a_picture_is_upright_as_its_exif_data_says(picture, file_of, orientation, turned_back):
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode_image(file_of(picture(), exif=exif))
    assert np.array_equal(np.asarray(decoded), turned_back(np.asarray(picture())))


def test_of_an_animation_the_first_frame_is_taken(file_of):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    decoded = decode_image(file_of(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert decoded.mode == "RGB"
    assert decoded.getpixel((3, 3)) == (255, 0, 0)


def test_what_is_decoded_says_no_more_how_it_was_turned(picture, file_of):
    exif = Image.Exif()
    exif[0x0112] = 6
    decoded = decode_image(file_of(picture(), "JPEG", exif=exif))
    assert decoded.getexif().get(0x0112) is None
    assert decoded.info == {}


def test_a_picture_that_is_already_open_is_left_as_it_was(picture):
    given = picture().convert("RGBA")
    given.info["exif"] = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    before = np.asarray(given).copy()
    assert decode_image(given).size == given.size[::-1]
    assert given.mode == "RGBA"
    assert "exif" in given.info
    assert np.array_equal(np.asarray(given), before)


@pytest.mark.parametrize("raw", [None, "name.jpg", np.zeros((4, 4, 3), dtype=np.uint8)])
def test_what_is_neither_a_file_nor_a_picture_is_named(raw):
    message = f"a picture must be the bytes of a file or a PIL image, not {type(raw).__name__}"
    with pytest.raises(TypeError, match=message):
        decode_image(raw)


# Texts


def test_a_text_loses_nul_bytes_and_outer_white_space():
    assert clean_text("\n a dog\0runs  fast \t") == "a dog runs  fast"


@pytest.mark.parametrize("raw", ["", "  \n\t", "\0", " \0 \0"])
def test_a_blank_text_raises(raw):
    with pytest.raises(ValueError, match="the text is empty"):
        clean_text(raw)


def without_halves_by_loop(text):
    """Join each high half with a low one right after it; the others become U+FFFD."""
    found, at = "", 0
    while at < len(text):
        here, after = ord(text[at]), ord(text[at + 1]) if at + 1 < len(text) else 0
        if 0xD800 <= here < 0xDC00 <= after < 0xE000:
            found += chr(0x10000 + ((here - 0xD800) << 10) + after - 0xDC00)
            at += 2
        else:
            found += "\ufffd" if 0xD800 <= here < 0xE000 else text[at]
            at += 1
    return found


def test_halves_of_surrogate_pairs_are_joined_or_replaced():
    generator = np.random.default_rng(0)
    for _ in range(200):
        text = "".join(generator.choice(["a", "é", "\ud83d", "\udc36", "\udcff", "\U0001f436", "\ufeff"], 8))
        cleaned = clean_text(f"<{text}>")
        assert cleaned == without_halves_by_loop(f"<{text}>")
        cleaned.encode("utf-8")


def test_a_text_that_every_tokenizer_takes_is_left_as_it_is():
    for text in ("a dog", "re\u0301sume\u0301", "\u200fשלום", "\U0001f469\u200d\U0001f680", "tab\tand\nline"):
        assert clean_text(text) == text


@pytest.mark.parametrize("raw", [b"a dog", None, 7, ["a dog"]])
def test_what_is_no_text_is_named(raw):
    with pytest.raises(TypeError, match=f"a text must be a str, not {type(raw).__name__}"):
        clean_text(raw)


# By modality


def test_each_modality_has_its_decoder_and_others_pass_through(picture, file_of):
    assert decode("text", " a ") == "a"
    assert decode("image", file_of(picture())).size == picture().size
    file = io.BytesIO()
    soundfile.write(file, np.ones(800, dtype=np.float32) / 2, 16000, format="WAV")
    assert decode("audio", file.getvalue()).sample_rate == 16000
    anything = object()
    assert decode("touch", anything) is anything


def deep_with_key():
    """A PNG of 16-bit grey, one value of which is transparent."""
    file = io.BytesIO()
    Image.fromarray(ramp(np.uint16, 65535).reshape(8, 8)).save(file, "PNG", transparency=65535)
    return file.getvalue()


def clear_png(mode):
    alpha = np.random.default_rng(0).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(alpha).convert(mode).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("raw", [deep_with_key(), clear_png("RGBA"), clear_png("LA")])
def test_a_picture_that_is_computed_in_strips_is_the_same(monkeypatch, raw):
    whole = np.asarray(decode_image(raw))
    monkeypatch.setattr("fusemix.encoders.pictures.STRIP_PIXELS", 24)
    assert np.array_equal(np.asarray(decode_image(raw)), whole)
