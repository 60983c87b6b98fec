"""Killed before each step on the disk: the next command never takes old for new, and loses nothing that was good."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from killing import states_when_killed
from latent_samples import pair_set, write_store

from fusemix.encoders.content import digest_of
from fusemix.errors import LatentStoreError
from fusemix.interfaces import Items, Rejected
from fusemix.latents.embeddings_writer import EmbeddingsWriter
from fusemix.latents.set_writer import replace_set, write_set
from fusemix.latents.sets import LatentSet
from fusemix.latents.store import LatentStore
from fusemix.latents.verify import damaged_notes, damaged_shards, damaged_tables
from fusemix.latents.writer import StoreWriter
from fusemix.wiring.caching.content import forget_replaced

ROWS, DIM = 8, 2
IDS = [f"item-{i}" for i in range(ROWS)]


def opened(folder: Path, pooling: str, **options: object) -> StoreWriter:
    return StoreWriter(
        folder,
        ids=pa.chunked_array([IDS]),
        modality="image",
        dim=DIM,
        dtype="float16",
        shard_size=3,
        fingerprint={"encoder": {"pooling": pooling}, "items_sha256": "abc"},
        **options,
    )


def write(writer: StoreWriter, value: float) -> StoreWriter:
    for index in writer.missing():
        writer.write(index, np.full((len(writer.spans[index]), DIM), value, np.float32), [])
    return writer


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # a process that dies loses nothing that it has written


def contents(folder: Path) -> dict[str, bytes]:
    """All files but those under a temporary name."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def require_all(folder: Path, value: float) -> None:
    store = LatentStore(folder)
    assert (store.take(np.arange(ROWS)) == value).all()
    assert not [*damaged_shards(folder, store.manifest, read_back=True), *damaged_notes(folder, store.manifest)]


@pytest.mark.parametrize("is_sealed", [False, True])
def test_killed_anywhere_while_a_store_is_overwritten_no_latent_of_the_old_one_counts_as_new(tmp_path, is_sealed):
    old = write(opened(tmp_path / "old" / "image" / "dino", "cls"), 1)
    if is_sealed:
        old.seal()

    def overwrite(world: Path) -> None:
        write(opened(world / "image" / "dino", "mean", overwrite=True), 2).seal()

    states = states_when_killed(overwrite, tmp_path / "old", tmp_path / "states")
    for world in states:
        again = world.parent / "again"
        shutil.copytree(world, again)
        overwrite(world)
        require_all(world / "image" / "dino", 2)
        assert [path.name for path in (world / "image").iterdir()] == ["dino"], "what was discarded is deleted"
        try:
            write(opened(again / "image" / "dino", "mean"), 2).seal()  # the same without overwrite
        except LatentStoreError:
            write(opened(again / "image" / "dino", "cls"), 3).seal()
            require_all(again / "image" / "dino", 1)
        else:
            require_all(again / "image" / "dino", 2)
    assert len(states) > 20


@pytest.mark.parametrize("is_of_before", [False, True])
def test_a_record_of_another_fingerprint_or_of_none_does_not_count(tmp_path, is_of_before):
    folder = tmp_path / "image" / "dino"
    old = write(opened(folder, "cls"), 1)
    records = {path: path.read_bytes() for path in folder.glob("latents-*.json")}
    place = opened(folder, "mean", overwrite=True).folder
    for path, content in records.items():
        record = json.loads(content)
        if is_of_before:
            del record["fingerprint_sha256"]
        (place / path.name).write_text(json.dumps(record))
        (place / path.name).with_suffix(".npy").write_bytes(b"x" * old.shards()[0].num_bytes)
    assert opened(folder, "mean", overwrite=True).missing() == [0, 1, 2]
    write(opened(folder, "mean", overwrite=True), 2).seal()
    require_all(folder, 2)


def test_a_finished_shard_that_was_lost_since_is_made_anew_before_the_store_is_sealed(tmp_path):
    write(opened(tmp_path / "store", "cls"), 1)
    (tmp_path / "store/latents-00001.npy").unlink()
    content = (tmp_path / "store/latents-00002.npy").read_bytes()
    (tmp_path / "store/latents-00002.npy").write_bytes(content[:-1] + b"\xff")
    assert opened(tmp_path / "store", "cls").missing() == [1]
    assert opened(tmp_path / "store", "cls", verify=True).missing() == [1, 2]


def test_killed_anywhere_while_a_set_is_overwritten_the_next_command_makes_the_whole_new_one(tmp_path):
    links = np.array([[0, 0], [0, 1], [1, 2], [2, 3]])

    def make(folder: Path, links: np.ndarray, value: float) -> None:
        pairs = pair_set(links)
        place = write_set(folder, pairs, {"name": "a:b"}, overwrite=True)
        for items, slug in ((pairs.left, "eyes"), (pairs.right, "words")):
            write_store(place, items, slug, np.full((len(items), 2), value, np.float32))
        replace_set(place)

    make(tmp_path / "old" / "train", links, 1)

    def overwrite(world: Path) -> None:
        make(world / "train", links[:-1], 2)

    states = states_when_killed(overwrite, tmp_path / "old", tmp_path / "states")
    for world in states:
        folder = world / "train"
        make(folder, links[:-1], 2)
        found = LatentSet(folder, {"image": ["eyes"], "text": ["words"]})
        assert (found.links == links[:-1]).all()
        assert all((side.take(np.arange(len(side))) == 2).all() for side in found.sides)
        assert not damaged_tables(folder)
        assert [path.name for path in world.iterdir()] == ["train"]
    assert len(states) > 20


def test_killed_anywhere_while_an_export_is_overwritten_no_file_of_the_old_one_is_left(tmp_path):
    table = pa.table({"image_path": ["a", "b", "c"], "caption": ["d", "e", "f"]})

    def make(folder: Path, rows_per_file: int, sign: float) -> None:
        writer = EmbeddingsWriter(
            folder,
            modalities=("image", "text"),
            num_rows=3,
            rows_per_file=rows_per_file,
            about={"sign": sign},
            overwrite=True,
        )
        for index in writer.missing():
            span = writer.spans[index]
            vectors = np.full((len(span), 2), sign, np.float32)
            writer.write(index, vectors, vectors, table.slice(span.start, len(span)))
        writer.seal()

    make(tmp_path / "old" / "out", 1, 1)
    make(tmp_path / "new" / "out", 2, -1)
    states = states_when_killed(lambda world: make(world / "out", 2, -1), tmp_path / "old", tmp_path / "states")
    for world in states:
        make(world / "out", 2, -1)
        assert contents(world) == contents(tmp_path / "new")
    assert len(states) > 20


def test_killed_anywhere_while_set_aside_items_are_filled_in_the_result_is_that_of_an_undisturbed_run(tmp_path):
    bad = [Rejected("item-1", "read", "ESTALE"), Rejected("item-6", "decode", "broken")]
    writer = opened(tmp_path / "old", "cls")
    items = Items("image", pa.table({"id": IDS}), lambda row: bytes([row]))
    digests = np.array([digest_of(items.read(row)) for row in range(ROWS)], dtype=np.uint64)
    for index in writer.missing():
        rows = np.array(writer.spans[index])
        here = [item for item in bad if int(item.id[-1]) in rows]
        known = np.where(rows == 1, 0, digests[rows]).tolist()
        writer.write(index, np.column_stack([rows, rows]).astype(np.float32), here, known)
    writer.seal()

    def retry(folder: Path) -> None:
        writer = opened(folder, "cls")
        forget_replaced(folder, items, {"cls": writer}, everything=False)
        assert writer.missing() == []
        for index, rows in writer.set_aside().items():
            again = [item for item in bad if item.id == "item-6" and 6 in rows]
            writer.fill(index, rows, np.full((len(rows), DIM), 9, np.float32), again, digests[rows].tolist())
        writer.seal()

    retry(shutil.copytree(tmp_path / "old", tmp_path / "undisturbed"))
    wanted = {**contents(tmp_path / "undisturbed")}
    wanted["manifest.json"] = wanted["manifest.json"].replace(b'"undisturbed"', b'"killed"')
    (tmp_path / "before").mkdir()
    shutil.copytree(tmp_path / "old", tmp_path / "before" / "killed")
    states = states_when_killed(lambda world: retry(world / "killed"), tmp_path / "before", tmp_path / "states")
    for world in states:
        retry(world / "killed")
        assert contents(world / "killed") == wanted
    assert len(states) > 15
    found = LatentStore(tmp_path / "undisturbed").take(np.arange(ROWS))[:, 0].tolist()
    assert found[:6] == [0, 9, 2, 3, 4, 5]
    assert np.isnan(found[6])
