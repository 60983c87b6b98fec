"""Data sets of one side: pictures, sounds and texts without partners."""

import pytest
from dataset_samples import picture, sound, write_files

from fusemix.datasets import DATASETS
from fusemix.errors import DatasetError
from fusemix.latents.set_writer import write_set
from fusemix.latents.sets import set_of_one_side


def built(name, **options):
    return DATASETS.build(name, options, split="all")


@pytest.mark.parametrize(
    ("name", "modality", "ending", "content"),
    [("images", "image", "png", picture), ("sounds", "audio", "wav", sound)],
)
def test_files_of_a_folder_are_its_items_and_the_other_side_is_empty(tmp_path, name, modality, ending, content):
    files = [f"b/2.{ending}", f"a/1.{ending}", f"3.{ending}"]
    folder = write_files(tmp_path / "files", files, content)
    (tmp_path / "files" / "notes.txt").write_text("no item")
    pairs = built(name, folder=str(folder))
    assert pairs.left.modality == modality and pairs.left.table["id"].to_pylist() == sorted(files)
    assert pairs.left.read(0) == (tmp_path / "files" / sorted(files)[0]).read_bytes()
    assert (len(pairs.right), len(pairs.links), pairs.right.modality) == (0, 0, "text")


def test_lines_of_a_file_are_texts_each_once(tmp_path):
    (tmp_path / "lines.txt").write_text("a dog\n\n  a cat \na dog\n", encoding="utf-8-sig")
    pairs = built("texts", file=str(tmp_path / "lines.txt"))
    assert [pairs.right.read(row) for row in range(len(pairs.right))] == ["a dog", "a cat"]
    assert (len(pairs.left), pairs.left.modality) == (0, "image")


def test_other_content_is_another_revision(tmp_path):
    revisions = set()
    for words in ("a dog", "a cat"):
        (tmp_path / "lines.txt").write_text(words)
        revisions.add(built("texts", file=str(tmp_path / "lines.txt")).revision)
    assert len(revisions) == 2


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("images", {"folder": "nowhere"}, "there is no folder"),
        ("images", {"folder": "."}, "holds no pictures"),
        ("sounds", {"folder": "."}, "holds no sounds"),
        ("texts", {"file": "nowhere.txt"}, "there is no file"),
        ("texts", {"file": "empty.txt"}, "holds no text"),
        ("texts", {"file": "latin.txt"}, "is not UTF-8"),
    ],
)
def test_what_holds_nothing_is_refused_in_one_message(tmp_path, monkeypatch, name, options, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DatasetError, match=said):
        built(name, **options)


def test_a_latent_set_of_one_side_is_opened_by_that_side(tmp_path):
    (tmp_path / "lines.txt").write_text("a dog\na cat")
    write_set(tmp_path / "set", built("texts", file=str(tmp_path / "lines.txt")), {})
    opened = set_of_one_side(tmp_path / "set", "text", [])
    assert [len(side) for side in opened.sides] == [0, 2]
