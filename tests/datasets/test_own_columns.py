"""What a caption file says in columns of its own is kept, bounded, whatever its layout."""

import json

import pytest
from PIL import Image

from fusemix.datasets.captioned_files import image_captions
from fusemix.datasets.own_columns import LONGEST, MOST_CHARACTERS, MOST_COLUMNS, own_of

KARPATHY = {
    "images": [
        {"filename": "a.png", "sentences": [{"raw": "one"}], "author": "Ada", "stars": 4, "imgid": 7, "split": "all"},
        {"filename": "b.png", "sentences": [{"raw": "two"}], "split": "all"},
    ]
}
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "author": "Ada", "stars": 4}, {"id": 2, "file_name": "b.png"}],
    "annotations": [{"image_id": 1, "caption": "one"}, {"image_id": 2, "caption": "two"}],
}
ROWS = [{"file": "a.png", "caption": "one", "author": "Ada", "stars": 4}, {"file": "b.png", "caption": "two"}]
WRITTEN = {
    "c.csv": "file,caption,author,stars\na.png,one,Ada,4\na.png,again,Grace,5\nb.png,two,,\n",
    "c.tsv": "file\tcaption\tauthor\tstars\na.png\tone\tAda\t4\nb.png\ttwo\t\t\n",
    "c.jsonl": "\n".join(map(json.dumps, ROWS)),
    "karpathy.json": json.dumps(KARPATHY),
    "coco.json": json.dumps(COCO),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_each_layout_keeps_what_its_first_line_of_a_file_says(tmp_path, name):
    for file in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / file)
    (tmp_path / name).write_text(WRITTEN[name])
    pairs = image_captions(split="all", folder=str(tmp_path), captions=str(tmp_path / name))
    first, second = pairs.left.table["own"].to_pylist()
    assert {key: str(value) for key, value in json.loads(first).items()} == {"author": "Ada", "stars": "4"}
    assert second is None


def test_a_file_without_columns_of_its_own_has_none(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "c.csv").write_text("file,caption,split\na.png,one,all\n")
    pairs = image_captions(split="all", folder=str(tmp_path), captions=str(tmp_path / "c.csv"))
    assert "own" not in pairs.left.table.column_names


def test_what_is_kept_is_bounded_and_plain():
    row = {"a": " x ", "b": "", "c": None, "d": float("nan"), "e": [1], "f": {"g": 1}, 5: "x", "h": "y" * (LONGEST + 1)}
    assert json.loads(own_of({**row, "i": True, "j": 2.5, "known": "z"}, {"known"})) == {"a": "x", "i": True, "j": 2.5}
    assert own_of({"known": "z"}, {"known"}) is own_of({}, ()) is None
    many = json.loads(own_of({f"n{number}": number for number in range(99)}, ()))
    assert len(many) == MOST_COLUMNS
    long = own_of({f"n{number}": "x" * LONGEST for number in range(30)}, ())
    assert len(long) < 1.1 * MOST_CHARACTERS
