"""A folder as clip-retrieval itself writes one -> a latent set, its items, links and source."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fusemix.cli.called import run_command
from fusemix.datasets import DATASETS
from fusemix.errors import DatasetError, LatentStoreError
from fusemix.latents.sets import LatentSet
from fusemix.wiring.caching import import_latents


def imported(source: Path, out: Path, *changes: str) -> Path:
    run_command("import", [f"clip_retrieval={source}", f"out={out}", "dataset=back", "split=train", *changes])
    return out / "train"


def clip_retrieval(folder: Path, rows: list[tuple[str | None, str | None]], image_vectors: np.ndarray) -> Path:
    """A folder such as clip-retrieval itself writes, without ids or a record of ours."""
    for name in ("img_emb", "text_emb", "metadata"):
        (folder / name).mkdir(parents=True)
    texts = {caption: number for number, (_, caption) in enumerate(rows)}
    text_vectors = np.array([[texts[caption] + 1, 1.0] for _, caption in rows], dtype=np.float16)
    np.save(folder / "img_emb/img_emb_0.npy", image_vectors.astype(np.float16))
    np.save(folder / "text_emb/text_emb_0.npy", text_vectors)
    table = pa.table({"image_path": [path for path, _ in rows], "caption": [caption for _, caption in rows]})
    pq.write_table(table, folder / "metadata/metadata_0.parquet")
    return folder


ROWS = [("a.jpg", "one"), ("b.jpg", "two"), ("a.jpg", "two"), (None, "three"), ("c.jpg", None), ("b.jpg", "one ")]
PICTURES = np.array([[1, 0], [0, 1], [1, 0], [5, 5], [3, 3], [0, 1]], dtype=np.float32)


def test_repeated_pictures_and_captions_become_one_item_with_several_links(tmp_path, capsys):
    folder = imported(clip_retrieval(tmp_path / "theirs", ROWS, PICTURES), tmp_path)
    latent_set = LatentSet(folder, {"image": ["imported"], "text": ["imported"]})
    assert latent_set.left.table["id"].to_pylist() == ["a.jpg", "b.jpg"]
    assert latent_set.right.table["caption"].to_pylist() == ["one", "two"]
    assert latent_set.links.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    np.testing.assert_array_equal(latent_set.left.take(np.arange(2)), [[1, 0], [0, 1]])
    listed = [json.loads(line) for line in (folder / "quarantine.jsonl").read_text().splitlines()]
    assert [(row["id"], row["reason"]) for row in listed] == [
        ("row 3", "no image_path"),
        ("c.jpg#0", "empty caption"),
        ("c.jpg", "no caption"),
    ]
    assert "left out 3, such as row 3: no image_path" in capsys.readouterr().out


def test_the_source_of_an_imported_set_gives_its_pair_set_again(tmp_path):
    theirs = clip_retrieval(tmp_path / "theirs", ROWS, PICTURES)
    folder = imported(theirs, tmp_path)
    description = json.loads((folder / "set.json").read_text())
    source = description["source"]
    assert source["name"] == "clip_retrieval"
    pairs = DATASETS.build(source["name"], source["options"], split=description["split"])
    assert pairs.dataset == description["dataset"] == "back"
    assert pairs.left.table["path"].to_pylist() == ["a.jpg", "b.jpg"]
    (tmp_path / "a.jpg").write_bytes(b"picture")
    moved = clip_retrieval(tmp_path / "x", [(str(tmp_path / "a.jpg"), "one")], PICTURES[:1])
    assert import_latents.clip_retrieval(folder=str(moved), dataset="d", split="s").left.read(0) == b"picture"


def test_a_picture_with_two_different_vectors_is_refused(tmp_path):
    pictures = PICTURES.copy()
    pictures[2] = [0, 1]
    theirs = clip_retrieval(tmp_path / "theirs", ROWS, pictures)
    with pytest.raises(LatentStoreError, match=r"rows 0 and 2 are both named 'a.jpg', but hold different vectors"):
        imported(theirs, tmp_path)


def test_a_folder_whose_rows_name_nothing_is_refused(tmp_path):
    theirs = clip_retrieval(tmp_path / "theirs", [(None, "a"), (None, "b")], PICTURES[:2])
    with pytest.raises(
        DatasetError, match=r"back, split 'train': no pair is left. 2 entries were left out \(row 0: no im"
    ):
        imported(theirs, tmp_path)
