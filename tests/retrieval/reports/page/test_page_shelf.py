import base64
import io

import soundfile
from page_samples import sine
from PIL import Image

from fusemix.reports.page.data import Shown
from fusemix.reports.page.shelf import Shelf


def content(uri, kind):
    head, data = uri.split(",")
    assert head == f"data:{kind};base64"
    return io.BytesIO(base64.b64decode(data, validate=True))


def test_pictures_and_sounds_stand_in_the_page_as_data_that_decode():
    shelf = Shelf()
    red, sound = (
        shelf.view(Shown("a", Image.new("RGB", (30, 20), "red"), "")),
        shelf.view(Shown("a", sine(440, 12, 44_100), "")),
    )
    assert Image.open(content(shelf.uris[red.medium], "image/jpeg")).size == (30, 20)
    samples, rate = soundfile.read(content(shelf.uris[sound.medium], "audio/mpeg"))
    assert rate == 24_000
    assert abs(len(samples) / rate - 10) < 0.01
    assert shelf.outlines[sound.medium].count("M") == 64


def test_the_shelf_keeps_each_picture_and_sound_once():
    shelf = Shelf()
    picture, sound = Shown("a", Image.new("RGB", (448, 224)), "red"), Shown("a", sine(440, 12), "")
    views = [shelf.view(shown) for shown in (picture, sound, picture, Shown("a", "a", ""), sound)]
    assert [view.kind for view in views] == ["image", "audio", "image", "text", "audio"]
    assert len(shelf.uris) == 2
    assert len(shelf.outlines) == 1
    assert views[0] == views[2]
    assert views[0].size == (224, 112)
    assert views[1].medium != views[0].medium
    assert views[1].length == "first 10 s of 12.0 s"
    assert views[3].text == "a"


def test_a_label_that_only_repeats_the_text_is_left_out():
    assert Shelf().view(Shown("1", "a dog", "a dog")).label == ""
    assert Shelf().view(Shown("1", "a dog", "title")).label == "title"
