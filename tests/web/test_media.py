import io
import os
import shutil
import sys
import threading

import numpy as np
import pytest
import soundfile
from PIL import Image

from fusemix.cli.called import run_command
from fusemix.interfaces import Waveform
from fusemix.web.answers import Refusal
from fusemix.web.decoders import Decoders
from fusemix.web.media import LOUDEST, Media, jpeg, mp3, outline_svg, rendered
from fusemix.wiring.searching.searcher import Searcher


def noise(width, height):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("size", "given", "expected"),
    [
        ("small", (900, 450), (448, 224)),
        ("large", (900, 450), (900, 450)),
        ("large", (800, 3200), (400, 1600)),
        ("small", (3, 2), (3, 2)),
    ],
)
def test_pictures_are_made_smaller_and_never_larger(size, given, expected):
    assert Image.open(io.BytesIO(jpeg(noise(*given), size))).size == expected


@pytest.mark.parametrize(("rate", "expected"), [(8000, 8000), (10_000, 11_025), (44_100, 44_100), (96_000, 48_000)])
def test_a_sound_keeps_its_pitch_and_length_as_mp3(rate, expected):
    time = np.arange(2 * rate) / rate
    played, found_rate = soundfile.read(io.BytesIO(mp3(Waveform(0.5 * np.sin(2 * np.pi * 500 * time), rate), "small")))
    assert found_rate == expected
    assert len(played) / found_rate == pytest.approx(2, abs=0.1)
    spectrum = np.abs(np.fft.rfft(played))
    assert np.argmax(spectrum) * found_rate / len(played) == pytest.approx(500, abs=2)
    assert np.abs(played).max() == pytest.approx(0.5, abs=0.08)


def test_a_sound_beyond_full_scale_is_made_quieter_as_a_whole():
    time = np.arange(16_000) / 16_000
    played, _ = soundfile.read(io.BytesIO(mp3(Waveform(3 * np.sin(2 * np.pi * 500 * time), 16_000), "small")))
    assert np.abs(played).max() == pytest.approx(LOUDEST, abs=0.08)


def test_of_a_long_sound_the_beginning_is_played():
    wave = Waveform(np.zeros(40 * 8000, dtype=np.float32), 8000)
    assert soundfile.info(io.BytesIO(mp3(wave, "small"))).duration == pytest.approx(30, abs=0.2)
    assert soundfile.info(io.BytesIO(mp3(wave, "large"))).duration == pytest.approx(40, abs=0.2)


def test_the_outline_is_high_where_the_sound_is_loud():
    samples = np.concatenate([np.full(4000, 0.01), np.full(4000, 0.5)]).astype(np.float32)
    path = outline_svg(Waveform(samples, 8000)).decode().split('d="')[1].split('"')[0]
    heights = [float(bar.split("v")[1]) for bar in path.split("M")[1:]]
    assert len(heights) == 56
    assert max(heights[:27]) < 10 < 40 < min(heights[29:])


def test_texts_are_sent_as_they_are_and_other_things_not_at_all():
    found = rendered("ein Käfig <b>", "small")
    assert (found.body, found.kind) == ("ein Käfig <b>".encode(), "text/plain; charset=utf-8")
    assert rendered(np.zeros(3), "small") is None


def test_what_was_shown_last_is_kept_up_to_a_number_of_bytes():
    asked = []

    def content(position, decode):
        asked.append(position)
        return None if position == 9 else noise(64, 64)

    one = len(jpeg(noise(64, 64), "small"))
    media = Media(content, Decoders(), most_bytes=2 * one)
    for position in (0, 1, 0, 2, 0, 1):
        assert media.get(position, "small").body == jpeg(noise(64, 64), "small")
    assert asked == [0, 1, 2, 1], "1 had to go for 2, since 0 was asked for later"
    assert media.get(0, "large").tag == media.get(0, "small").tag, "equal bytes have equal names"
    asked.clear()
    assert media.get(9, "small") is media.get(9, "small") is None
    assert asked == [9, 9], "what is out of reach may come back"


@pytest.mark.skipif(sys.platform == "win32", reason="has no pipes among its files")
def test_what_took_the_place_of_a_picture_keeps_nobody_waiting_and_what_lies_elsewhere_is_not_shown(tiny, tmp_path):
    folder, out = tmp_path / "pictures", tmp_path / "index"
    folder.mkdir()
    for number in range(5):
        shutil.copy(tiny.files["image"][number], folder / f"{number}.png")
    common = ["--model", str(tiny.run), "--compute.accelerator", "cpu", "--num-workers", "0"]
    run_command("index", [*common, "--data", str(folder), "--out", str(out)])
    for number in range(1, 5):
        (folder / f"{number}.png").unlink()
    os.mkfifo(folder / "1.png")
    (folder / "2.png").symlink_to(tiny.files["image"][2])
    (folder / "3.png").symlink_to("/dev/zero")
    (folder / "4.png").symlink_to("0.png")
    media = Media(Searcher(out, device="cpu").content, Decoders())
    found = {}
    asking = threading.Thread(target=lambda: found.update({at: media.get(at, "small") for at in range(5)}), daemon=True)
    asking.start()
    asking.join(30)
    assert [found[at] is not None for at in range(5)] == [True, False, False, False, True]


def test_items_are_drawn_by_processes_that_can_be_ended():
    raw = io.BytesIO()
    noise(900, 450).save(raw, "PNG")
    sound = io.BytesIO()
    soundfile.write(sound, np.zeros(40 * 8000), 8000, format="WAV")
    files = {0: ("image", raw.getvalue()), 1: ("audio", sound.getvalue()), 2: ("image", b"damaged")}
    media = Media(lambda position, decode: decode(*files[position]), Decoders())
    assert Image.open(io.BytesIO(media.get(0, "small").body)).size == (448, 224)
    assert soundfile.info(io.BytesIO(media.get(1, "small").body)).duration == pytest.approx(30, abs=0.2)
    assert media.get(1, "outline").kind == "image/svg+xml"
    with pytest.raises(Refusal):  # which a Searcher takes for an item that is out of reach
        media.get(2, "small")


def test_a_browser_keeps_what_it_was_given_for_as_long_as_the_server_runs(server):
    address = server.search({"text": "bar", "k": 1}).data["results"][0]["media"]
    kept = server.ask(address)
    assert kept.headers["cache-control"] == "private, max-age=86400, immutable"
    plain = server.ask(address.partition("?")[0])
    assert plain.headers["cache-control"] == "private, no-cache"
    again = server.ask(address, headers={"If-None-Match": plain.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    ("asked", "status", "span"),
    [
        ("bytes=0-1", 206, slice(0, 2)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=5-99999999", 206, slice(5, None)),
        ("bytes=99999999-", 416, None),
        ("bytes=9-5", 416, None),
        ("bytes=-", 200, slice(None)),
        ("bytes=a-b", 200, slice(None)),
        ("bytes=0-1,5-6", 200, slice(None)),
    ],
)
def test_a_player_may_ask_for_a_part_of_a_sound(server, asked, status, span):
    whole = server.ask("/media/40")
    part = server.ask("/media/40", headers={"Range": asked})
    assert part.status == status
    if status == 416:
        assert part.headers["content-range"] == f"bytes */{len(whole.body)}"
        assert "the range lies outside of the" in part.error
    else:
        assert part.body == whole.body[span]
    if status == 206:
        places = range(len(whole.body))[span]
        assert part.headers["content-range"] == f"bytes {places[0]}-{places[-1]}/{len(whole.body)}"
