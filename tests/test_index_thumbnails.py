"""An index keeps what people see of its items, and shows it when the files are gone."""

import io
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from index_samples import content, make, photos
from PIL import Image

from fusemix.cli.called import run_command
from fusemix.search.filters import columns_of
from fusemix.search.folder import Index
from fusemix.search.table import THUMBNAIL, open_table
from fusemix.web.decoders import Decoders
from fusemix.web.media import Media
from fusemix.wiring.searching.searcher import Searcher


@pytest.fixture
def folder(tiny, tmp_path):
    return photos(tmp_path / "photos", tiny.files["image"][:4])


def kept(out):
    """Id -> size of its thumbnail, or None."""
    index, found = Index(out), {}
    for batch in index.columns(["id"]):
        for item, position in zip(batch["id"].to_pylist(), batch["_rowid"].to_pylist(), strict=True):
            kept_of = index.thumbnail(position)
            found[item] = None if kept_of is None else Image.open(io.BytesIO(kept_of[1])).size
    return found


def shown(out, size="small"):
    """What a browser gets of each item; None where nothing."""
    index = Index(out)
    media = Media(Searcher(out, device="cpu").content, Decoders(), index.thumbnail)
    positions = [position for batch in index.columns(["id"]) for position in batch["_rowid"].to_pylist()]
    return [None if (found := media.get(position, size)) is None else found.kind for position in positions]


def without_thumbnails(out):
    """As an index was before there were any."""
    open_table(out).drop_columns([THUMBNAIL])


def test_pictures_are_shown_when_their_folder_is_gone_and_large_ones_are_not(tiny, folder, tmp_path):
    out = make(tiny, tmp_path / "out", folder)
    assert kept(out) == {f"photos/{path.name}": Image.open(path).size for path in folder.iterdir()}
    assert shown(out, "large") == ["image/jpeg"] * 4
    shutil.rmtree(folder)
    assert shown(out) == ["image/webp"] * 4
    assert shown(out, "large") == [None] * 4


def test_sounds_keep_their_outline_and_play_from_their_files(tiny, tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    for number, path in enumerate(tiny.files["audio"][:3]):
        shutil.copy(path, folder / f"{number}.wav")
    out = make(tiny, tmp_path / "out", folder)
    assert shown(out) == ["audio/mpeg"] * 3
    from_files = shown(make(tiny, tmp_path / "other", folder, "--thumbnails=false"), "outline")
    shutil.rmtree(folder)
    assert shown(out, "outline") == from_files == ["image/svg+xml"] * 3
    assert shown(out) == [None] * 3


def test_none_are_made_where_none_are_wanted_and_pictures_are_decoded_as_before(tiny, folder, tmp_path):
    out = make(tiny, tmp_path / "out", folder, "--thumbnails=false")
    assert set(kept(out).values()) == {None}
    assert shown(out) == ["image/jpeg"] * 4
    other = photos(tmp_path / "more", tiny.files["image"][4:6])
    make(tiny, out, other)
    assert [size is None for size in kept(out).values()] == [True] * 4 + [False] * 2, "it is said command by command"


def test_items_of_latents_have_none(tiny, tmp_path):
    out = make(tiny, tmp_path / "out", tiny.latents / "pictures" / "all")
    assert set(kept(out).values()) == {None}
    assert set(shown(out)) == {"image/jpeg"}


def test_an_index_of_before_works_as_it_did_and_gets_the_column_when_it_is_added_to(tiny, folder, tmp_path):
    out = make(tiny, tmp_path / "out", folder)
    without_thumbnails(out)
    assert THUMBNAIL not in open_table(out).schema.names
    assert set(kept(out).values()) == {None}
    assert shown(out) == ["image/jpeg"] * 4
    shutil.copy(tiny.files["image"][7], folder / "new.png")
    make(tiny, out, folder, "--thumbnails=false")
    assert THUMBNAIL not in open_table(out).schema.names
    shutil.copy(tiny.files["image"][8], folder / "newer.png")
    make(tiny, out, folder)
    assert [item for item, size in kept(out).items() if size] == ["photos/newer.png"]
    assert shown(out) == ["image/jpeg"] * 5 + ["image/webp"]


def test_a_column_of_that_name_from_a_caption_file_stays_what_it_is(tiny, folder, tmp_path):
    out = make(tiny, tmp_path / "out", folder)
    without_thumbnails(out)
    table = open_table(out)
    table.add_columns(pa.schema([(THUMBNAIL, pa.string())]))
    table.update(values={THUMBNAIL: "a text"})
    shutil.copy(tiny.files["image"][7], folder / "new.png")
    make(tiny, out, folder)
    rows = open_table(out).search().select(["id", THUMBNAIL]).to_list()
    assert [row[THUMBNAIL] for row in rows] == ["a text"] * 4 + [None]
    assert columns_of(open_table(out).schema)[THUMBNAIL] == "text"
    assert shown(out) == ["image/jpeg"] * 5


def test_a_changed_picture_gets_another_and_a_moved_time_keeps_it(tiny, folder, tmp_path):
    out = make(tiny, tmp_path / "out", folder)
    before = kept(out)
    Image.new("RGB", (70, 50), "green").save(folder / "2.png")
    (folder / "1.png").touch()
    run_command("index", ["--out", str(out), "--sync"])
    assert kept(out) == before | {"photos/2.png": (70, 50)}
    run_command("index", ["--out", str(out), "--remove", "photos/2.png"])
    assert "photos/2.png" not in kept(out)


def test_vectors_do_not_depend_on_them_and_exports_and_filters_know_nothing_of_them(tiny, folder, tmp_path):
    out, plain = make(tiny, tmp_path / "out", folder), make(tiny, tmp_path / "plain", folder, "--thumbnails=false")
    assert all((vector == content(plain)[item]).all() for item, vector in content(out).items())
    assert THUMBNAIL not in columns_of(open_table(out).schema)
    assert THUMBNAIL not in {facet.name for facet in Index(out).facets()}
    assert THUMBNAIL not in Index(out).items([0])[0]
    run_command("export_index", ["--index", str(out), "--to", "parquet", "--out", str(tmp_path / "parquet")])
    assert THUMBNAIL not in pq.read_schema(tmp_path / "parquet" / "part-00000.parquet").names
    run_command("verify", [str(out)])
