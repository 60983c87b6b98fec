"""HEIC files, written by pillow-heif itself: found everywhere, read where the extra is, and set aside with a sentence
where it is not.
"""

import io
import struct
import sys
from datetime import datetime

import numpy as np
import pytest
from extracting import items_of, run
from photo_samples import exif
from PIL import ExifTags, Image, ImageOps

from fusemix.datasets.endings import endings, is_usual
from fusemix.datasets.folder import files_of
from fusemix.encoders import heif
from fusemix.encoders.decoding import decode, decode_image, decoding_fingerprint
from fusemix.encoders.exif import Exif, exif_of
from fusemix.encoders.heif import is_heif, open_picture
from fusemix.encoders.hog import hog

BEGINS = b"\0\0\0\x1cftyp%s\0\0\0\0%s%s"


@pytest.fixture(scope="module")
def written():
    """Writes a picture as HEIC."""
    package = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")

    def write(image, **options):
        file = io.BytesIO()
        package.from_pillow(image).save(file, **{"quality": -1, "chroma": 444, **options})
        return file.getvalue()

    return write


@pytest.fixture
def lacking(monkeypatch):
    """As where the extra is not installed."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    heif._register.cache_clear()
    yield
    heif._register.cache_clear()


def corners():
    """Each quarter has its own colour, so that a turn and a flip show."""
    image = Image.new("RGB", (96, 64), "red")
    image.paste("lime", (48, 0, 96, 32))
    image.paste("blue", (0, 32, 48, 64))
    image.paste("white", (48, 32, 96, 64))
    return image


def apart(some, other):
    assert some.size == other.size
    return np.abs(np.asarray(some, dtype=float) - np.asarray(other, dtype=float)).mean()


# With the extra


def test_a_picture_has_the_pixels_that_were_written(written):
    decoded = decode("image", written(corners()))
    assert decoded.mode == "RGB"
    assert apart(decoded, corners()) < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_turned_once(written, orientation):
    said = Image.Exif()
    said[ExifTags.Base.Orientation] = orientation
    image = corners()
    right = ImageOps.exif_transpose(_with(image, said))
    assert apart(decode_image(written(image, exif=said.tobytes())), right) < 2


def _with(image, said):
    file = io.BytesIO()
    image.save(file, "PNG", exif=said)
    return Image.open(file)


def test_what_exif_alone_says_of_turning_does_not_count(written):
    """Readers heed the boxes of the picture and take EXIF for a note (ISO/IEC 23008-12, A.2.1)."""
    said = Image.Exif()
    said[ExifTags.Base.Orientation] = 1
    raw = written(corners(), exif=said.tobytes())
    entry = struct.pack("<HHIHH", ExifTags.Base.Orientation, 3, 1, 1, 0)
    big = struct.pack(">HHIHH", ExifTags.Base.Orientation, 3, 1, 1, 0)
    assert raw.count(entry) + raw.count(big) == 1
    turned = raw.replace(entry, entry[:8] + b"\6\0\0\0").replace(big, big[:8] + b"\0\6\0\0")
    assert apart(decode_image(turned), corners()) < 2


def test_transparent_parts_show_white(written):
    image = corners().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 48, 32))
    decoded = decode_image(written(image))
    assert min(decoded.getpixel((20, 10))) > 250
    assert decoded.getpixel((20, 50))[2] > 240


def test_deep_pictures_are_scaled_to_8_bits(written):
    package = pytest.importorskip("pillow_heif")
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    for mode, values in (("RGB;16", np.stack([ramp] * 3, axis=2)), ("L;16", ramp)):
        file = io.BytesIO()
        package.from_bytes(mode, (64, 64), values.tobytes()).save(file, quality=-1, chroma=444)
        decoded = np.asarray(decode_image(file.getvalue()), dtype=float)
        assert decoded.shape == (64, 64, 3)
        assert np.abs(decoded - ramp[:, :, None] / 257).max() < 3


def test_an_own_thumbnail_of_the_file_is_not_taken_for_it(written):
    raw = written(corners().resize((768, 512)), thumbnails=[96])
    assert decode("image", raw, 48).size == (768, 512)
    assert decode_image(raw, 100).size == (154, 103), "read whole, then at a fifth"


def test_what_breaks_off_is_set_aside(written):
    raw = written(corners())
    for end in (len(raw) - 1, len(raw) // 2, 100, 12):
        with pytest.raises((OSError, ValueError, RuntimeError)):
            decode_image(raw[:end])


def test_a_size_that_the_pixels_do_not_have_is_refused(written):
    raw, side = written(Image.new("RGB", (64, 64))), struct.Struct(">II")
    assert raw.count(side.pack(64, 64)) == 1
    with pytest.raises((OSError, ValueError, RuntimeError)):
        decode_image(raw.replace(side.pack(64, 64), side.pack(65, 80)))
    with pytest.raises((ValueError, Image.DecompressionBombError), match="pixels"):
        decode_image(raw.replace(side.pack(64, 64), side.pack(20_000, 9000)))


@pytest.mark.parametrize(("kind", "others"), [(b"heic", b"mif1"), (b"mif1", b"heic")])
def test_whatever_its_first_brand_it_is_opened(written, kind, others):
    raw = written(corners())
    assert raw[:8] == b"\0\0\0\x1cftyp"
    assert open_picture(raw[:8] + kind + raw[12:16] + others + raw[20:]).format == "HEIF"


def test_it_takes_the_road_of_every_picture_to_an_encoder(written, file_of):
    image = corners().resize((192, 192))
    both = items_of("image", [written(image), file_of(image)])
    (given,) = run(both, hog())
    assert given.rejected == ()
    np.testing.assert_allclose(given.latents[0], given.latents[1], atol=0.05)


def test_camera_and_moment_are_read_of_heic_and_of_avif(written):
    said = exif("2023:05:14 10:20:30", "FUJIFILM", "X100")
    file = io.BytesIO()
    corners().save(file, "AVIF", exif=said)
    for raw in (written(corners(), exif=said.tobytes()), file.getvalue()):
        assert exif_of(io.BytesIO(raw)) == Exif(datetime(2023, 5, 14, 10, 20, 30), "FUJIFILM X100")
    assert exif_of(io.BytesIO(written(corners()))) == Exif()


# Without it


def test_files_are_found_and_set_aside_with_what_to_install(tmp_path, lacking):
    raw = BEGINS % (b"heic", b"mif1", b"heic") + bytes(100)
    for name in ("a.heic", "b.HEIF", "c.hif"):
        (tmp_path / name).write_bytes(raw)
    assert files_of(tmp_path).paths == {"image": ["a.heic", "b.HEIF", "c.hif"]}
    (given,) = run(items_of("image", [raw]), hog())
    assert [item.stage for item in given.rejected] == ["decode"]
    assert "HEIC pictures are read with the extra heic. Install it with: pip install" in given.rejected[0].reason
    assert "pillow-heif" in given.rejected[0].reason


def test_other_pictures_are_read_as_ever(picture, file_of, lacking):
    for kind in ("AVIF", "PNG", "JPEG"):
        assert decode_image(file_of(picture(), kind)).size == picture().size


# With or without


@pytest.mark.parametrize(
    ("kind", "others", "expected"),
    [
        (b"heic", b"mif1miaf", True),
        (b"heix", b"mif1heic", True),
        (b"mif1", b"heicmiaf", True),
        (b"msf1", b"hevcmiaf", True),
        (b"avif", b"mif1miaf", False),
        (b"mif1", b"avifmiaf", False),
        (b"isom", b"mp42heic", False),
    ],
)
def test_heif_is_told_from_avif_and_films_by_its_brands(kind, others, expected):
    assert is_heif(BEGINS % (kind, others[:4], others[4:]) + bytes(20)) is expected
    assert not is_heif(b"\xff\xd8\xff" + bytes(20))
    assert not is_heif(b"")


def test_endings_are_the_same_whether_or_not_something_reads_them():
    for ending in (".heic", ".heif", ".hif"):
        assert ending in endings("image")
        assert not is_usual("image", ending), "beside a JPEG of its name it is passed over, as before"


def test_what_is_cached_of_other_pictures_is_as_before():
    assert set(decoding_fingerprint("image")["packages"]) == {"pillow"}
    assert decoding_fingerprint("image")["rules"] == 3
