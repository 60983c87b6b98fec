"""What small requests may take; real processes decode here, since their end is what is tested."""

import base64
import io
import os
import threading
import time

import numpy as np
import pytest
import soundfile
from nasty_bodies import png
from PIL import Image

from fusemix.encoders.decoding import decode_beginning, decode_image
from fusemix.encoders.scans import num_scans
from fusemix.web.answers import Refusal
from fusemix.web.budget import MOST, Budget, Load
from fusemix.web.decoder import File
from fusemix.web.decoders import Decoders
from fusemix.web.requests import parse


def webp(side):
    """34 bytes that are a black picture of any size: a header, and five codes of one symbol each (RFC 9649)."""
    fields = [(0x2F, 8), (side - 1, 14), (side - 1, 14), (0, 1), (0, 3), (0, 3), *[(1, 4)] * 5]
    bits = shift = 0
    for value, width in fields:
        bits |= value << shift
        shift += width
    data = bits.to_bytes(14, "little")
    return b"RIFF" + (12 + len(data)).to_bytes(4, "little") + b"WEBPVP8L" + len(data).to_bytes(4, "little") + data


def jpeg(side, repeated):
    """A progressive JPEG whose last scan comes again and again."""
    file = io.BytesIO()
    Image.new("L", (side, side), 128).save(file, "JPEG", progressive=True)
    raw = file.getvalue()
    last, end = raw.rfind(b"\xff\xda"), raw.rfind(b"\xff\xd9")
    return raw[:last] + raw[last:end] * repeated + raw[end:]


@pytest.fixture(scope="module")
def decoders():
    return Decoders()


def decoded(decoders, *files, budget=None):
    with decoders.decoded(files, budget or Budget()) as contents:
        return contents


def test_pictures_of_a_request_are_judged_together_by_what_they_state(server):
    """16 of these are 1,021 bytes and 16 times 64 million pixels."""
    small = base64.b64encode(webp(8000)).decode()
    assert len(webp(8000)) == 34
    started = time.monotonic()
    answer = server.search({"queries": [{"image": small}] * 16})
    assert answer.status == 422
    assert answer.error == "the pictures have 128.0 million pixels together; 64 are the most"
    assert time.monotonic() - started < 20
    assert server.search({"queries": [{"image": base64.b64encode(webp(8)).decode()}] * 16}).status == 200


def test_sounds_of_a_request_are_judged_together(decoders):
    file = io.BytesIO()
    soundfile.write(file, np.zeros(301 * 8000, np.float32), 8000, format="FLAC")
    assert len(file.getvalue()) < 20_000
    (wave,) = decoded(decoders, File("audio", file.getvalue()))
    assert wave.samples.shape == (301 * 8000,)
    with pytest.raises(Refusal, match="the sounds are too long together; 10 minutes in stereo at 48 kHz"):
        decoded(decoders, *[File("audio", file.getvalue())] * 2)


def test_links_of_an_ogg_file_are_judged_together(decoders):
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 8000, 1, format="OGG") as ogg:
        for _ in range(301):  # libsndfile breaks down when it writes a long one at once
            ogg.write(np.zeros(8000, np.float32))
    with pytest.raises(Refusal, match="the sound is too long; 10 minutes"):
        decoded(decoders, File("audio", file.getvalue() * 2))


def test_a_decoder_that_takes_too_long_is_ended_with_its_process():
    hurried = Decoders(decode_sec=-1.0)
    with pytest.raises(Refusal, match="it takes too long to decode what was sent") as refusal:
        decoded(hurried, File("image", png()))
    assert refusal.value.status == 422
    assert not hurried._idle or all(not worker.is_ended for worker in hurried._idle)


def test_a_decoder_that_breaks_down_is_a_refusal_and_the_next_files_are_decoded(decoders):
    decoded(decoders, File("image", png()))
    worker = decoders._idle[-1]
    os.kill(worker._process.pid, 9)
    worker._process.join()
    with pytest.raises(Refusal, match="it takes too long, or breaks the decoder"):
        decoded(decoders, File("image", png()))
    assert decoded(decoders, File("image", png()))[0].size == (4, 4)


def test_a_file_that_cannot_be_read_leaves_the_process_alive(decoders):
    decoded(decoders, File("image", png()))
    before = decoders._idle[-1]
    with pytest.raises(Refusal, match="the picture cannot be read"):
        decoded(decoders, File("image", b"nothing"))
    assert decoders._idle[-1] is before
    assert decoded(decoders, File("image", png(3, 5)), File("image", png()))[0].size == (3, 5)


def test_who_finds_no_room_waits_in_turn_and_is_told_to_come_again():
    budget = Budget(Load(10, 10, 10))
    with budget.taken(Load(pixels=8)):
        with budget.taken(Load(pixels=2)), pytest.raises(Refusal, match="too many pictures") as refusal:
            budget.taken(Load(pixels=1), 0.05).__enter__()
        assert refusal.value.status == 503
        order = []

        def wait(pixels):
            with budget.taken(Load(pixels=pixels), 10.0):
                order.append(pixels)

        large = threading.Thread(target=wait, args=(99,))
        large.start()
        while not budget._line:
            time.sleep(0.001)
        small = threading.Thread(target=wait, args=(1,))
        small.start()
        time.sleep(0.05)
        assert order == [], "a small one does not pass by"
    large.join()
    small.join()
    assert order == [99, 1]


def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded():
    assert num_scans(jpeg(16, 1)) == 6
    assert num_scans(jpeg(16, 500)) == 505
    assert num_scans(png()) == 0
    decode_image(jpeg(16, 90))
    with pytest.raises(ValueError, match="the JPEG file is made of 505 scans, where 100 are the most"):
        decode_image(jpeg(16, 500))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_large_picture_is_read_smaller_and_looks_the_same(kind):
    pixels = np.zeros((400, 600, 3), np.uint8)
    pixels[:, :300] = 255, 100, 0
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    small, whole = decode_image(file.getvalue(), 100), decode_image(file.getvalue())
    assert (small.size, whole.size) == ((150, 100), (600, 400))
    scaled = np.asarray(whole.resize((150, 100), Image.Resampling.BOX), np.float32)
    assert np.abs(np.asarray(small, np.float32) - scaled).mean() < 2
    assert decode_image(file.getvalue(), 300).size == (600, 400)


def test_of_a_long_sound_the_beginning_can_be_read():
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 8000 * 20).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, samples, 8000, format="WAV", subtype="FLOAT")
    assert np.array_equal(decode_beginning(file.getvalue(), 3).samples, samples[: 3 * 8000])
    assert len(decode_beginning(file.getvalue(), 30).samples) == len(samples)


def test_a_request_of_very_many_values_is_not_read():
    with pytest.raises(Refusal, match="the request holds too many values; 262,144 are the most"):
        parse(b'{"embedding":[' + b"0," * (1 << 18) + b"0,0]}")


def test_what_is_beyond_the_budget_counts_as_all_of_it():
    budget = Budget()
    with budget.taken(Load(pixels=10 * MOST.pixels), 0.0):
        pass
