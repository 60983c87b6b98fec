"""Small pictures come out of the index, which may be anybody's: no bytes of it are more than a picture to a browser."""

import io
import shutil

import numpy as np
import pyarrow as pa
import pytest
from browsing import settled
from index_samples import make, photos
from PIL import Image
from serving import UPLOAD_MB, running

from fusemix.cli.called import run_command
from fusemix.search.table import THUMBNAIL, open_table
from fusemix.web.app import create_app
from fusemix.web.batching import Batcher
from fusemix.web.hosts import LOCAL
from fusemix.web.media import MOST_THUMBNAIL_BYTES, shown_at_once
from fusemix.wiring.searching.searcher import Searcher


def saved(kind, **options):
    file = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(file, kind, **options)
    return file.getvalue()


SCRIPT = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (saved("WEBP"), "image/webp"),
        (saved("JPEG"), "image/jpeg"),
        (saved("PNG"), None),
        (saved("GIF"), None),
        (SCRIPT, None),
        (b"<html><script>alert(1)</script></html>", None),
        (b"%PDF-1.7", None),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"", None),
        (saved("JPEG") + bytes(MOST_THUMBNAIL_BYTES), None),
    ],
)
def test_only_small_jpegs_and_webps_go_out_as_what_they_are(raw, kind):
    found = shown_at_once("image", raw, "small")
    assert (None if found is None else (found.kind, found.body)) == (None if kind is None else (kind, raw))
    assert shown_at_once("image", raw, "large") is shown_at_once("image", raw, "outline") is None
    assert shown_at_once("audio", raw, "small") is shown_at_once("text", raw, "small") is None


def test_whatever_stands_for_a_sound_is_drawn_as_bars():
    found = shown_at_once("audio", SCRIPT[:56], "outline")
    assert found.kind == "image/svg+xml"
    assert b"script" not in found.body
    heights = [float(bar.split("v")[1]) for bar in found.body.decode().split('d="')[1].split('"')[0].split("M")[1:]]
    np.testing.assert_allclose(heights, np.maximum(46 / 255 * np.frombuffer(SCRIPT[:56], np.uint8), 2), atol=0.051)
    assert shown_at_once("audio", SCRIPT[:57], "outline") is shown_at_once("audio", b"", "outline") is None


@pytest.fixture
def folder(tiny, tmp_path):
    return photos(tmp_path / "photos", tiny.files["image"][:3])


@pytest.fixture
def served(tiny, folder, tmp_path):
    searcher = Searcher(make(tiny, tmp_path / "out", folder), device="cpu")
    with Batcher(searcher) as batcher, running(create_app(batcher, max_upload_mb=UPLOAD_MB, hosts=LOCAL)) as server:
        yield server


def test_they_are_served_like_other_pictures_and_a_removed_item_at_once_no_more(served, folder, tmp_path):
    shutil.rmtree(folder)
    answer = served.ask("/media/1")
    assert answer.status == 200
    assert Image.open(io.BytesIO(answer.body)).format == "WEBP"
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "private, no-cache"
    assert served.ask("/media/1", headers={"If-None-Match": answer.headers["etag"]}).status == 304
    assert served.ask("/media/1?size=large").status == 404
    run_command("index", ["--out", str(tmp_path / "out"), "--remove", "photos/1.png"])
    assert served.ask("/media/1").status == 404
    assert served.ask("/media/0").status == 200


def test_the_page_shows_pictures_whose_files_are_gone(visit, served, folder):
    shutil.rmtree(folder)
    tab = visit("/?q=a+red+square", url=served.url)
    settled(tab)
    load = "async (picture) => { picture.loading = 'eager'; await picture.decode(); return picture.naturalWidth; }"
    assert all(tab.locator(".hit img").evaluate_all(f"(all) => Promise.all(all.map({load}))"))
    assert tab.locator(".gone").count() == 0


def test_what_is_no_picture_is_decoded_from_its_file_instead(served, tmp_path):
    table = open_table(tmp_path / "out")
    ids = [f"photos/{number}.png" for number in range(3)]
    table.merge_insert("id").when_matched_update_all().execute(
        pa.table({"id": ids, THUMBNAIL: pa.array([SCRIPT, None, b""], pa.binary())})
    )
    positions = table.search().with_row_id(True).select(["id"]).to_list()
    kinds = [served.ask(f"/media/{row['_rowid']}").headers["content-type"] for row in positions]
    assert kinds == ["image/jpeg"] * 3
