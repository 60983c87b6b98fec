import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fusemix.errors import LatentStoreError
from fusemix.interfaces import Rejected
from fusemix.latents.manifest import read_manifest
from fusemix.latents.records import read_quarantine
from fusemix.latents.store import LatentStore
from fusemix.latents.writer import StoreWriter

ROWS, DIM, SHARD = 23, 5, 10
LATENTS = np.random.default_rng(0).standard_normal((ROWS, DIM)).astype(np.float32)


def open_writer(folder: Path, **changes: object) -> StoreWriter:
    settings = {
        "ids": pa.chunked_array([[f"item-{i}" for i in range(ROWS)]]),
        "modality": "image",
        "dim": DIM,
        "dtype": "float16",
        "shard_size": SHARD,
        "fingerprint": {"encoder": {"pooling": "cls"}, "items_sha256": "abc"},
        **changes,
    }
    return StoreWriter(folder, **settings)


def write(writer: StoreWriter, latents: np.ndarray = LATENTS, rejected: tuple[Rejected, ...] = ()) -> None:
    for index in writer.missing():
        span = writer.spans[index]
        here = [r for r in rejected if int(r.id.split("-")[1]) in span]
        writer.write(index, latents[span.start : span.stop], here)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_written_is_read_back_in_any_order(tmp_path):
    writer = open_writer(tmp_path / "store")
    write(writer)
    writer.seal()
    store = LatentStore(tmp_path / "store")
    rows = np.array([22, 0, 9, 10, 10, 3])
    assert (store.take(rows) == LATENTS[rows].astype(np.float16)).all()
    assert (len(store), store.dim) == (ROWS, DIM)
    assert sorted(contents(tmp_path / "store")) == [
        "latents-00000.npy",
        "latents-00001.npy",
        "latents-00002.npy",
        "manifest.json",
        "quarantine.jsonl",
    ]


def test_shards_are_plain_numpy_files_with_the_hash_that_the_manifest_names(tmp_path):
    writer = open_writer(tmp_path / "store")
    write(writer)
    manifest = writer.seal()
    for shard, start in zip(manifest.shards, (0, 10, 20), strict=True):
        path = tmp_path / "store" / shard.file
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        assert (mapped == LATENTS[start : start + shard.num_rows].astype(np.float16)).all()
        assert hashlib.sha256(path.read_bytes()).hexdigest() == shard.sha256


def test_an_unsealed_store_is_refused_with_how_to_finish_it(tmp_path):
    writer = open_writer(tmp_path / "store")
    writer.write(0, LATENTS[:10], [])
    with pytest.raises(LatentStoreError, match=r"no manifest.json \(1 finished shards\).*goes on where it stopped"):
        LatentStore(tmp_path / "store")
    with pytest.raises(LatentStoreError, match=r"shards \[1, 2\] are not written yet"):
        writer.seal()


def test_a_writer_goes_on_where_another_stopped_and_leaves_the_same_bytes(tmp_path):
    write(open_writer(tmp_path / "straight"))
    open_writer(tmp_path / "straight").seal()
    for index in (1, 0):
        span = open_writer(tmp_path / "broken").spans[index]
        open_writer(tmp_path / "broken").write(index, LATENTS[span.start : span.stop], [])
    going_on = open_writer(tmp_path / "broken")
    assert going_on.missing() == [2]
    write(going_on)
    going_on.seal()
    straight, broken = contents(tmp_path / "straight"), contents(tmp_path / "broken")
    straight["manifest.json"] = straight["manifest.json"].replace(b'"straight"', b'"broken"')
    assert straight == broken


def test_a_shard_whose_record_is_missing_counts_as_not_written(tmp_path):
    writer = open_writer(tmp_path / "store")
    write(writer)
    (tmp_path / "store" / "latents-00001.json").unlink()
    assert open_writer(tmp_path / "store").missing() == [1]


def test_a_sealed_store_is_left_alone(tmp_path):
    writer = open_writer(tmp_path / "store")
    write(writer)
    writer.seal()
    before = contents(tmp_path / "store")
    again = open_writer(tmp_path / "store")
    assert (again.is_sealed, again.missing()) == (True, [])
    again.seal()
    assert contents(tmp_path / "store") == before


def test_leftovers_of_a_crash_between_sealing_and_clearing_are_cleared(tmp_path):
    writer = open_writer(tmp_path / "store")
    write(writer)
    records = contents(tmp_path / "store")
    writer.seal()
    clean = contents(tmp_path / "store")
    for name, content in records.items():
        (tmp_path / "store" / name).write_bytes(content)
    open_writer(tmp_path / "store").seal()
    assert contents(tmp_path / "store") == clean


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"fingerprint": {"encoder": {"pooling": "mean"}, "items_sha256": "abc"}},
            "encoder.pooling: on disk 'cls', now 'mean'",
        ),
        (
            {"fingerprint": {"encoder": {"pooling": "cls"}, "items_sha256": "xyz"}},
            "items_sha256: on disk 'abc', now 'xyz'",
        ),
        ({"dim": 6}, "dim: on disk 5, now 6"),
        ({"dtype": "float32"}, "dtype: on disk 'float16', now 'float32'"),
        ({"shard_size": 4}, "shard_size: on disk 10, now 4"),
    ],
)
def test_another_fingerprint_is_refused_field_by_field_and_nothing_is_lost(tmp_path, change, line, sealed):
    writer = open_writer(tmp_path / "store")
    write(writer)
    if sealed:
        writer.seal()
    before = contents(tmp_path / "store")
    with pytest.raises(LatentStoreError, match=f"(?s)made by something else:\n  {line}\n.*overwrite=true"):
        open_writer(tmp_path / "store", **change)
    assert contents(tmp_path / "store") == before
    assert open_writer(tmp_path / "store", **change, overwrite=True).missing()[:1] == [0]


def test_rejected_items_keep_their_row_as_nan_and_are_listed(tmp_path):
    writer = open_writer(tmp_path / "store")
    write(writer, rejected=(Rejected("item-3", "decode", "truncated"), Rejected("item-20", "read", "gone")))
    assert writer.seal().num_rejected == 2
    store = LatentStore(tmp_path / "store")
    everything = store.take(np.arange(ROWS))
    assert np.flatnonzero(np.isnan(everything).any(axis=1)).tolist() == [3, 20]
    assert read_quarantine(tmp_path / "store") == [
        Rejected("item-3", "decode", "truncated"),
        Rejected("item-20", "read", "gone"),
    ]


def test_nan_and_what_float16_cannot_hold_are_set_aside_and_their_neighbours_kept(tmp_path):
    latents = LATENTS.copy()
    latents[2, 1] = np.nan
    latents[11, 0] = 70_000
    latents[12, 0] = np.inf
    latents[13, 0] = 65_504
    writer = open_writer(tmp_path / "store")
    write(writer, latents)
    writer.seal()
    reasons = {r.id: (r.stage, r.reason) for r in read_quarantine(tmp_path / "store")}
    assert reasons == {
        "item-2": ("encode", "the encoder gave NaN or infinity"),
        "item-11": ("encode", "a value of 7e+04 is too large for float16; store with dtype=float32"),
        "item-12": ("encode", "the encoder gave NaN or infinity"),
    }
    assert LatentStore(tmp_path / "store").take(np.array([13]))[0, 0] == 65_504


def test_a_value_that_float16_cannot_hold_is_stored_in_float32(tmp_path):
    writer = open_writer(tmp_path / "store", dtype="float32")
    write(writer, LATENTS * 1e5)
    assert writer.seal().num_rejected == 0
    assert (LatentStore(tmp_path / "store").take(np.arange(ROWS)) == LATENTS * np.float32(1e5)).all()


def test_a_run_that_is_mostly_bad_stops_early_and_keeps_what_it_has(tmp_path):
    bad = tuple(Rejected(f"item-{i}", "decode", "no picture") for i in range(0, ROWS, 2))
    writer = open_writer(tmp_path / "store", max_bad_fraction=0.3)
    with pytest.raises(
        LatentStoreError, match=r"(?s)10 of 20 items so far.*max_bad_fraction=0.3.*item-0 \(decode\): no picture"
    ):
        write(writer, rejected=bad)
    assert writer.missing() == [2]
    lenient = open_writer(tmp_path / "store", max_bad_fraction=0.6)
    write(lenient, rejected=bad)
    assert lenient.seal().num_rejected == 12


def test_a_shard_of_another_shape_is_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match=r"shard 0 takes \(10, 5\), not \(9, 5\)"):
        open_writer(tmp_path / "store").write(0, LATENTS[:9], [])


def test_a_missing_store_is_answered_with_what_there_is(tmp_path):
    with pytest.raises(LatentStoreError, match=r"there is no latent store .*dino. Run cache_features.py first"):
        LatentStore(tmp_path / "dino")
    write(open_writer(tmp_path / "hog"))
    open_writer(tmp_path / "hog").seal()
    with pytest.raises(LatentStoreError, match=r"there is no latent store .*dino. There are: hog"):
        LatentStore(tmp_path / "dino")
    (tmp_path / "dino").mkdir()
    with pytest.raises(LatentStoreError, match="has no manifest.json, so it is no latent store"):
        LatentStore(tmp_path / "dino")


def test_a_shard_that_is_missing_or_cut_short_is_named(tmp_path):
    write(open_writer(tmp_path / "store"))
    open_writer(tmp_path / "store").seal()
    shard = tmp_path / "store" / "latents-00001.npy"
    content = shard.read_bytes()
    shard.write_bytes(content[:-7])
    with pytest.raises(
        LatentStoreError, match=f"latents-00001.npy is {len(content) - 7} bytes long, not {len(content)}"
    ):
        LatentStore(tmp_path / "store")
    shard.unlink()
    with pytest.raises(LatentStoreError, match="latents-00001.npy is missing"):
        LatentStore(tmp_path / "store")


def test_a_manifest_of_another_version_is_refused(tmp_path):
    write(open_writer(tmp_path / "store"))
    open_writer(tmp_path / "store").seal()
    path = tmp_path / "store" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))
    with pytest.raises(LatentStoreError, match="is not of format fusemix.latent_store, version 1"):
        read_manifest(tmp_path / "store")


def test_a_process_that_joins_another_neither_reopens_nor_discards_what_is_there(tmp_path):
    write(open_writer(tmp_path / "store"))
    open_writer(tmp_path / "store").seal()
    (tmp_path / "store/latents-00001.npy").unlink()
    joining = open_writer(tmp_path / "store", joins=True, overwrite=True, verify=True)
    assert joining.is_sealed
    assert joining.missing() == []
    assert open_writer(tmp_path / "store").missing() == [1], "the first process does"


def test_processes_that_replace_a_store_write_beside_it_together_until_it_is_sealed(tmp_path):
    old = open_writer(tmp_path / "store")
    write(old)
    old.seal()
    before = contents(tmp_path / "store")
    first = open_writer(tmp_path / "store", shard_size=4, overwrite=True)
    joining = open_writer(tmp_path / "store", shard_size=4, overwrite=True, joins=True)
    assert first.folder == joining.folder == tmp_path / ".store.new"
    latents = np.ones((ROWS, joining.dim), np.float32)
    for writer, indices in ((first, range(0, len(first.spans), 2)), (joining, range(1, len(first.spans), 2))):
        for index in indices:
            writer.write(index, latents[: len(writer.spans[index])], [])
    assert contents(tmp_path / "store") == before
    assert first.seal().shard_size == 4
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert LatentStore(tmp_path / "store").manifest.encoder == "store"


def test_a_rejected_item_of_a_sound_shard_stays_set_aside_when_another_shard_is_made_anew(tmp_path):
    bad = (Rejected("item-3", "decode", "no picture"), Rejected("item-21", "decode", "no sound"))
    write(open_writer(tmp_path / "store"), rejected=bad)
    sealed = open_writer(tmp_path / "store").seal()
    before = {path.name: path.read_bytes() for path in (tmp_path / "store").iterdir()}
    (tmp_path / "store/latents-00001.npy").write_bytes(b"half")
    again = open_writer(tmp_path / "store")
    assert again.missing() == [1]
    write(again, rejected=bad)
    assert again.seal() == sealed
    assert {path.name: path.read_bytes() for path in (tmp_path / "store").iterdir()} == before
