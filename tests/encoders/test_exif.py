"""When and by which camera a picture was taken, compared with what Pillow wrote; whatever the file, it goes on."""

import io
import random
from datetime import datetime

import pytest
from photo_samples import exif
from PIL import Image

from fusemix.encoders.exif import Exif, camera_of, exif_of


def file(kind, **said):
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(stream, kind, exif=exif(**said))
    return stream.getvalue()


def read(raw):
    return exif_of(io.BytesIO(raw))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_what_was_written_is_read(kind):
    raw = file(kind, taken="2023:05:14 10:20:30", make="FUJIFILM", model="X100")
    assert read(raw) == Exif(datetime(2023, 5, 14, 10, 20, 30), "FUJIFILM X100")
    assert read(file(kind, model="X1")) == Exif(None, "X1"), "four letters lie in the entry itself"
    assert read(file(kind)) == Exif()


@pytest.mark.parametrize("taken", ["0000:00:00 00:00:00", "2023:13:01 00:00:00", "yesterday", "", "2023:05"])
def test_a_moment_that_was_none_is_not_known(taken):
    assert read(file("JPEG", taken=taken, make="A", model="B")) == Exif(None, "A B")


@pytest.mark.parametrize(
    ("make", "model", "name"),
    [
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        (" SONY \0\0", " DSC-T1\n ", "SONY DSC-T1"),
        (None, "X", "X"),
        ("X", " ", "X"),
        (None, None, None),
        (5, 7, None),
        ("M" * 300, "x" * 300, "M" * 100),
    ],
)
def test_a_camera_is_called_by_its_maker_once(make, model, name):
    assert camera_of(make, model) == name


def test_no_file_makes_it_fail():
    whole = [file(kind, taken="2023:05:14 10:20:30", make="M", model="N") for kind in ("JPEG", "PNG", "WEBP", "AVIF")]
    draw = random.Random(0)
    for raw in whole:
        for end in range(0, min(len(raw), 300)):
            read(raw[:end])
        for _ in range(1500):
            broken = bytearray(raw)
            for _ in range(draw.randint(1, 8)):
                broken[draw.randrange(min(len(raw), 250))] = draw.randrange(256)
            assert isinstance(read(bytes(broken)), Exif)
    boxes = b"\0\0\0\x08ftyp" + b"\0\1\0\0meta" + b"\0\0\0\x08iinf" * 8000
    for raw in (
        boxes,
        b"\0\0\0\0ftyp",
        b"\0\0\0\1ftyp" + b"\xff" * 8,
        b"",
        b"\xff\xd8",
        b"\xff\xd8" + b"\xff\xe1\xff\xff" * 5000,
        b"GIF89a",
        bytes(1000),
    ):
        assert read(raw) == Exif()


def test_little_is_read_of_a_large_file(tmp_path):
    path = tmp_path / "large.jpg"
    path.write_bytes(file("JPEG", taken="2023:05:14 10:20:30") + bytes(10_000_000))

    class Counting(io.FileIO):
        num_bytes = 0

        def read(self, size=-1):
            raw = super().read(size)
            self.num_bytes += len(raw)
            return raw

    with Counting(path) as stream:
        assert exif_of(stream).taken == datetime(2023, 5, 14, 10, 20, 30)
        assert stream.num_bytes < 10_000
