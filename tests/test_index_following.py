"""An index follows its folder: what is gone leaves, what is other is embedded again, what is removed stays away."""

import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from index_samples import content, make, photos

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, DatasetError, IndexFolderError, QueryError
from fusemix.models.queries import Query
from fusemix.search.description import read_description, write_description
from fusemix.search.folder import Index
from fusemix.wiring.searching import index_plan
from fusemix.wiring.searching.searcher import Searcher


@contextmanager
def embedded(monkeypatch):
    """Paths of what is embedded."""
    names, embed_items = [], index_plan.Embedder.embed_items

    def noted(self, items, parts, **settings):
        names.extend(items.table["id"].to_pylist())
        return embed_items(self, items, parts, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(index_plan.Embedder, "embed_items", noted)
        yield names


def edit(out, *options):
    return run_command("index", ["--out", str(out), *map(str, options)])


@pytest.fixture
def folder(tiny, tmp_path):
    return photos(tmp_path / "photos", tiny.files["image"][:6])


@pytest.fixture
def out(tiny, folder, tmp_path):
    return make(tiny, tmp_path / "out", folder)


def test_an_index_becomes_what_the_folder_is(tiny, folder, out, tmp_path, monkeypatch, capsys):
    before = content(out)
    (folder / "1.png").unlink()
    shutil.copy(tiny.files["image"][20], folder / "2.png")
    shutil.copy(tiny.files["image"][21], folder / "new.png")
    os.utime(folder / "3.png", ns=(10**18, 10**18))
    with embedded(monkeypatch) as names:
        edit(out, "--sync")
    assert sorted(names) == ["2.png", "new.png"], "a new time alone is no change"
    assert "6 image items, 1 new, 1 changed, 1 gone" in " ".join(capsys.readouterr().out.split())
    found, right = content_by_id(out), content(make(tiny, tmp_path / "right", folder))
    assert found.keys() == right.keys()
    for item, vector in right.items():
        np.testing.assert_allclose(found[item], vector, atol=1e-6)
    for item in ("photos/0.png", "photos/3.png"):
        np.testing.assert_array_equal(found[item], before[item])
    with embedded(monkeypatch) as names:
        edit(out, "--sync")
    assert names == []
    assert "nothing new" in capsys.readouterr().out


def content_by_id(out):
    index = Index(out)
    ids = [item for batch in index.columns(["id"]) for item in batch["id"].to_pylist()]
    return dict(zip(ids, index.vectors([index.find(item) for item in ids]), strict=True))


def test_without_sync_nothing_leaves_and_nothing_is_looked_at_again(tiny, folder, out):
    (folder / "1.png").unlink()
    shutil.copy(tiny.files["image"][20], folder / "2.png")
    before = content(out)
    make(tiny, out, folder)
    assert content(out).keys() == before.keys()


def test_a_file_that_cannot_be_read_any_more_leaves_and_is_listed(folder, out):
    (folder / "2.png").write_bytes(b"no picture")
    edit(out, "--sync")
    assert "photos/2.png" not in content_by_id(out)
    assert "photos/2.png" in (out / "quarantine.jsonl").read_text()


@pytest.mark.parametrize("how", ["most", "all", "unmounted"])
def test_a_folder_that_is_gone_or_half_copied_takes_nothing_with_it(folder, out, how):
    before = content(out)
    if how == "unmounted":
        folder.rename(folder.with_name("elsewhere"))
    for path in sorted(folder.glob("*"))[: 4 if how == "most" else 6]:
        path.unlink()
    message = {"most": r"4 of 6 items of .*photos are gone, more than half", "all": "holds no pictures and no sounds"}
    with pytest.raises(DatasetError, match=message.get(how, "there is no folder .*photos")):
        edit(out, "--sync")
    assert content(out).keys() == before.keys()
    if how == "most":
        edit(out, "--sync", "--remove-most")
        assert list(content_by_id(out)) == ["photos/4.png", "photos/5.png"]


def test_what_is_removed_is_neither_found_nor_shown_and_stays_away(tiny, folder, out, capsys):
    searcher = Searcher(out, device="cpu")
    position = searcher.index.find("photos/3.png")
    vector = searcher.index.vectors([position])
    assert searcher.content(position) is not None
    edit(out, "--remove", "photos/3.png")
    assert searcher.index.find("photos/3.png") is None
    assert searcher.content(position) is None
    padded = np.concatenate([vector, np.zeros((1, len(searcher.index.description.hub_queries)), np.float32)], axis=1)
    assert position not in searcher.index.search(padded, 6).positions
    make(tiny, out, folder)
    edit(out, "--sync")
    assert "photos/3.png" not in content_by_id(out)
    edit(out, "--remove", "photos/*")
    with pytest.raises(IndexFolderError, match="holds no items"):
        Index(out)
    assert "removed 5 items" in capsys.readouterr().out


def stays_out(tiny, out, data, capsys, *options):
    """How many items an indexing says stay out."""
    capsys.readouterr()
    make(tiny, out, data, *options)
    found = re.search(
        r"(\d+) items stay out, since they were removed; an index that is made anew \(--overwrite\) has",
        " ".join(capsys.readouterr().out.split()),
    )
    return int(found[1]) if found else 0


def test_what_is_removed_stays_away_by_another_road_too(tiny, folder, out, tmp_path, capsys):
    edit(out, "--remove", "photos/3.png", "--remove", "photos/5.png")
    assert stays_out(tiny, out, folder, capsys) == 2
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "to.png").symlink_to(folder / "3.png")
    (tmp_path / "link" / "other.png").write_bytes(tiny.files["image"][30].read_bytes())
    assert stays_out(tiny, out, tmp_path / "link", capsys, "--follow-links", "true") == 1
    assert set(content_by_id(out)) == {*(f"photos/{n}.png" for n in (0, 1, 2, 4)), "link/other.png"}
    above = tmp_path / "above"
    above.mkdir()
    folder.rename(above / "photos")
    edit(out, "--relocate", f"{folder}={above / 'photos'}")
    assert stays_out(tiny, out, above, capsys) == 2
    edit(out, "--sync")
    assert not {item for item in content_by_id(out) if item.endswith(("3.png", "5.png"))}
    make(tiny, out, above, "--overwrite")
    assert set(content_by_id(out)) == {f"above/photos/{n}.png" for n in range(6)}, "an index that is made anew forgets"


def test_another_file_at_the_place_of_a_removed_one_is_one_of_its_own_by_another_road(
    tiny, folder, out, tmp_path, capsys
):
    edit(out, "--remove", "photos/3.png", "--remove", "photos/4.png")
    shutil.copy(tiny.files["image"][20], folder / "3.png")
    assert stays_out(tiny, out, folder, capsys) == 2, "an id that was removed stays away, whatever it is of"
    below = tmp_path / "below"
    below.mkdir()
    for name in ("3.png", "4.png"):
        (below / name).symlink_to(folder / name)
    shutil.copy(tiny.files["image"][21], below / "new.png")
    assert stays_out(tiny, out, below, capsys, "--follow-links", "true") == 1
    assert {item for item in content_by_id(out) if item.startswith("below")} == {"below/3.png", "below/new.png"}


def test_what_was_removed_before_hashes_were_noted_stays_away_by_its_place(tiny, folder, out, tmp_path, capsys):
    edit(out, "--remove", "photos/3.png")
    description = read_description(out)
    assert set(description.removed_sha256) == {"photos/3.png"}
    write_description(out, replace(description, removed_sha256={}))
    assert stays_out(tiny, out, folder.parent, capsys) == 1
    assert not any(item.endswith("3.png") for item in content_by_id(out))


def test_an_id_that_is_not_there_is_told_with_one_like_it_and_nothing_is_removed(out):
    with pytest.raises(QueryError, match=r"has the id 'photo/3\.png'\..*photos/3\.png.* Nothing was removed"):
        edit(out, "--remove", "photos/1.png", "--remove", "photo/3.png")
    assert len(content(out)) == 6


def test_a_library_that_moved_is_found_again(folder, out, tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    shutil.copytree(folder, tmp_path / "disk" / "photos", copy_function=shutil.copy)
    shutil.rmtree(folder)
    assert Searcher(out, device="cpu").content(0) is None
    edit(out, "--relocate", f"{tmp_path / 'photos'}={tmp_path / 'disk' / 'photos'}")
    assert Searcher(out, device="cpu").content(0) is not None
    with embedded(monkeypatch) as names:
        edit(out, "--sync")
    assert names == [], "new times are no new contents"
    with pytest.raises(ConfigError, match=r"no folder of .*out lay at or below /nowhere; it has .*disk/photos"):
        edit(out, "--relocate", "/nowhere=/somewhere")
    with pytest.raises(ConfigError, match=r"there is no .*gone/photos, where .* would lie\. Nothing was changed"):
        edit(out, "--relocate", f"{tmp_path / 'disk'}={tmp_path / 'gone'}")


def test_two_folders_of_one_name_stand_side_by_side_under_a_prefix(tiny, folder, out, tmp_path):
    other = photos(tmp_path / "b" / "photos", tiny.files["image"][8:10])
    make(tiny, out, other, "--prefix", "holidays")
    assert list(content(out))[-2:] == ["holidays/0.png", "holidays/1.png"]
    (other / "0.png").unlink()
    edit(out, "--sync")
    assert [item for item in content_by_id(out) if item.startswith("holidays")] == ["holidays/1.png"]


def test_a_file_that_is_there_by_two_roads_is_one_item(tiny, folder, out, tmp_path):
    photos(tmp_path / "more" / "below", tiny.files["image"][8:10])
    (folder / "again.png").symlink_to(folder / "0.png")
    make(tiny, out, folder)
    assert len(content(out)) == 6
    above = tmp_path / "above"
    above.mkdir()
    folder.rename(above / "photos")
    edit(out, "--relocate", f"{folder}={above / 'photos'}")
    (tmp_path / "more" / "below").rename(above / "below")
    make(tiny, out, above)
    assert list(content(out))[6:] == ["above/below/0.png", "above/below/1.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sync", "--overwrite"], "sync follows folders of files"),
        (["--remove", "x", "--sync"], "without data"),
        (["--relocate", "x"], "must be OLD=NEW"),
        ([], "give either data=FOLDER"),
        (["--prefix", "a", "--sync"], "prefix is for data"),
    ],
)
def test_what_does_not_go_together_is_one_message(out, options, message):
    with pytest.raises(ConfigError, match=message):
        edit(out, *options)


def test_without_an_index_a_model_is_needed(folder, tmp_path):
    with pytest.raises(ConfigError, match="is no index yet, so model=RUN is needed"):
        edit(tmp_path / "none", "--data", folder)
    with pytest.raises(IndexFolderError, match="so it is no index"):
        edit(tmp_path / "none", "--remove", "x")


def test_an_index_that_is_made_again_with_another_model_is_not_searched_with_the_old_one(tiny, folder, out):
    searcher = Searcher(out, device="cpu")
    vectors = np.concatenate([searcher.index.vectors([0]), searcher.weights([Query("like", "photos/0.png")])], axis=1)
    description = read_description(out)
    write_description(out, replace(description, model={**description.model, "sha256": "another"}))
    with pytest.raises(QueryError, match="was made again with another model"):
        searcher.search(vectors, 1)


def test_a_searcher_that_is_open_finds_a_library_where_it_lies_now(folder, out, tmp_path):
    searcher = Searcher(out, device="cpu")
    assert searcher.content(0) is not None
    folder.rename(tmp_path / "elsewhere")
    edit(out, "--relocate", f"{folder}={tmp_path / 'elsewhere'}")
    assert searcher.content(0) is not None
