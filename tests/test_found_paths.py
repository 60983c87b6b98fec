"""Results lead to the file from wherever one stands, whatever was indexed, and after everything was moved together."""

import json
import shutil
from pathlib import Path

import pytest
from index_samples import asked, make, photos

from fusemix.cli.called import run_command
from fusemix.disk.files import read_json, write_json
from fusemix.models.queries import Query
from fusemix.search.folder import Index
from fusemix.wiring.searching.searcher import Searcher


def results(capsys, out, *options):
    capsys.readouterr()
    run_command(
        "search", ["a red bar", "--index", str(out), "--compute.accelerator", "cpu", "--k", "3", "--json", *options]
    )
    return json.loads(capsys.readouterr().out)["results"]


def cached(tiny, dataset, out, split="all"):
    """A latent set of a data set, with the encoders of the tiny run."""
    encoders = [f"encoders.{name}={tiny.recipes[name]}" for name in ("hog", "vit", "bert")]
    common = ["compute.accelerator=cpu", "num_workers=0", "batch_size=8", f"splits=[{split}]", f"out={out}"]
    run_command("cache_features", [f"dataset={dataset}", *encoders, *common])
    return Path(out) / split


@pytest.fixture
def captioned(tiny, tmp_path):
    """A project folder with data/ below it, of pictures with captions."""
    data = tmp_path / "project" / "data"
    shutil.copytree(tiny.files["image"][0].parent, data)
    return data


RELATIVE = "{name: image_captions, options: {folder: data, captions: data/captions.csv}}"


def test_the_path_of_a_file_in_a_folder_is_its_own_from_anywhere(tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "my photos", tiny.files["image"][:4])
    out = make(tiny, "index", "my photos")
    wanted = {str(tmp_path / "my photos" / f"{number}.png") for number in range(4)}
    for folder in (tmp_path, tmp_path / "my photos", Path("/")):
        monkeypatch.chdir(folder)
        found = results(capsys, tmp_path / out)
        assert {result["path"] for result in found} < wanted
        assert all(result["within"] is None for result in found)


def test_a_latent_set_of_relative_paths_leads_to_its_files_from_anywhere(
    tiny, captioned, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(captioned.parent)
    latents = cached(tiny, RELATIVE, "latents")
    out = make(tiny, "index", latents)
    monkeypatch.chdir("/")
    found = results(capsys, captioned.parent / out)
    assert [Path(result["path"]) for result in found] == [captioned / result["id"][-6:] for result in found]
    searcher = Searcher(captioned.parent / out, device="cpu")
    assert searcher.content(0).size == (60, 48)


def test_an_index_of_before_finds_the_root_above_its_latents(tiny, captioned, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(captioned.parent)
    out = captioned.parent / make(tiny, "index", cached(tiny, RELATIVE, "latents"))
    about = read_json(out / "index.json")
    for key in ("root", "from_index"):
        del about["sources"][0][key]
    del about["sha256"]
    write_json(out / "index.json", about)
    monkeypatch.chdir("/")
    assert all(Path(result["path"]).is_file() for result in results(capsys, out))


@pytest.mark.parametrize("kind", ["folder", "latent set"])
def test_what_is_moved_with_its_index_is_found(tiny, captioned, tmp_path, capsys, monkeypatch, kind):
    monkeypatch.chdir(captioned.parent)
    make(tiny, "index", "data" if kind == "folder" else cached(tiny, RELATIVE, "latents"))
    monkeypatch.chdir(tmp_path)
    Path("project").rename("elsewhere")
    out = tmp_path / "elsewhere" / "index"
    found = results(capsys, out, "--model", str(tiny.run))
    assert all(Path(result["path"]).is_file() for result in found)
    assert all(Path(result["path"]).is_relative_to(tmp_path / "elsewhere") for result in found)
    assert Searcher(out, tiny.run, device="cpu").content(0).size == (60, 48)


def test_a_folder_that_was_moved_alone_is_given_again_and_nothing_is_embedded(tiny, tmp_path, capsys):
    photos(tmp_path / "a" / "photos", tiny.files["image"][:4])
    out = make(tiny, tmp_path / "index", tmp_path / "a" / "photos")
    before = sorted(out.glob("items.lance/**/*"))
    (tmp_path / "a").rename(tmp_path / "b")
    gone = results(capsys, out)[0]["path"]
    assert gone.startswith(str(tmp_path / "a" / "photos"))
    make(tiny, out, tmp_path / "b" / "photos")
    assert "nothing new" in capsys.readouterr().out
    assert sorted(out.glob("items.lance/**/*")) == before
    assert all(Path(result["path"]).is_file() for result in results(capsys, out))
    assert len(Index(out).description.sources) == 1


def test_items_of_a_tar_say_which_tar(tiny, captioned, tmp_path, capsys, monkeypatch):
    import tarfile

    monkeypatch.chdir(captioned.parent)
    (captioned.parent / "tars").mkdir()
    with tarfile.open(captioned.parent / "tars" / "00000.tar", "w") as tar:
        for number in range(6):
            tar.add(captioned / f"{number:02}.png", f"{number}.png")
            (captioned / "words.txt").write_text(f"a red bar {number}")
            tar.add(captioned / "words.txt", f"{number}.txt")
    out = captioned.parent / make(tiny, "index", cached(tiny, "{name: webdataset, options: {folder: tars}}", "latents"))
    monkeypatch.chdir("/")
    for result in results(capsys, out):
        assert (result["path"], result["within"]) == (None, str(captioned.parent / "tars" / "00000.tar"))


def test_drawn_items_and_texts_have_no_path(tiny, captioned, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(captioned.parent)
    out = make(tiny, "index", cached(tiny, RELATIVE, "latents"), "--modality", "text")
    assert [(result["path"], result["within"]) for result in results(capsys, out)] == [(None, None)] * 3


def test_the_table_shows_where_a_file_lies_from_where_one_stands(tiny, tmp_path, capsys, monkeypatch):
    photos(tmp_path / "photos", tiny.files["image"][:2])
    out = make(tiny, tmp_path / "index", tmp_path / "photos")
    command = ["a red bar", "--index", str(out), "--compute.accelerator", "cpu"]

    def said():
        capsys.readouterr()
        run_command("search", command)
        return capsys.readouterr().out

    monkeypatch.chdir(tmp_path)
    assert said().count("0.png") == 1  # id and path are the same words
    monkeypatch.chdir(tmp_path / "photos")
    assert any(line.strip() == "0.png" for line in said().splitlines())
    monkeypatch.chdir(out)
    assert str(tmp_path / "photos" / "0.png") in said().replace("\n", "").replace(" ", "")
    (tmp_path / "photos" / "0.png").unlink()
    assert "(nolongerthere)" in said().replace("\n", "").replace(" ", "")


def test_places_are_those_of_the_very_items(tiny, tmp_path):
    folder = photos(tmp_path / "photos", tiny.files["image"][:5])
    searcher = Searcher(make(tiny, tmp_path / "index", folder), device="cpu")
    for hit in searcher.search(asked(searcher, [Query("like", "photos/3.png")]), 1)[0]:
        (place,) = searcher.places([hit.position])
        assert Path(place.path).read_bytes() == tiny.files["image"][3].read_bytes()
